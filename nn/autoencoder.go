package nn

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// An Autoencoder is a small convolutional autoencoder: its code is what pictures are compared by where no other features are at hand.
type Autoencoder struct {
	Size, Channels int
}

// autoencoderWidth is the channels at full size; they double with each halving up to four times it.
const autoencoderWidth = 24

// codeTarget is about how many numbers a code has.
const codeTarget = 128

// halvings is how often the pictures are halved: to a side of 4, or of an odd number.
func (a Autoencoder) halvings() int {
	n := 0
	for s := a.Size; s > 4 && s%2 == 0; s /= 2 {
		n++
	}
	return n
}

// Code is the shape of a picture's code: [h,w,c].
func (a Autoencoder) Code() graph.Shape {
	s := a.Size >> a.halvings()
	return graph.Shape{s, s, max(1, codeTarget/(s*s))}
}

func (a Autoencoder) width(level int) int { return autoencoderWidth << min(level, 2) }

// Encode puts the encoder into a graph. x: [N,S,S,C]; result: [N,h,w,c] as Code says.
func (a Autoencoder) Encode(g *graph.Graph, p *Params, x *graph.Value) *graph.Value {
	b := &builder{Graph: g, params: p, cfg: &UNetConfig{NormEps: 1e-5}}
	return b.make("encoder", func() *graph.Value {
		h := b.normed("conv_in", x, a.width(0), 1)
		for i := range a.halvings() {
			h = b.normed(fmt.Sprintf("down.%d", i), h, a.width(i+1), 2)
		}
		return b.conv("code", h, a.Code()[2], 1, same)
	})
}

// Decode puts the decoder into a graph. code: [N,h,w,c]; result: [N,S,S,C].
func (a Autoencoder) Decode(g *graph.Graph, p *Params, code *graph.Value) *graph.Value {
	b := &builder{Graph: g, params: p, cfg: &UNetConfig{NormEps: 1e-5}}
	return b.make("decoder", func() *graph.Value {
		h := b.normed("conv_in", code, a.width(a.halvings()), 1)
		for i := a.halvings() - 1; i >= 0; i-- {
			h = b.normed(fmt.Sprintf("up.%d", i), b.Upsample(h), a.width(i), 1)
		}
		return b.conv("conv_out", h, a.Channels, 1, same)
	})
}

// normed is a convolution, a group norm and SiLU. x: [N,H,W,I], y: [N,H/stride,W/stride,out]
func (b *builder) normed(name string, x *graph.Value, out, stride int) *graph.Value {
	return b.make(name, func() *graph.Value {
		return b.norm("norm", b.conv("conv", x, out, stride, same), 8, true)
	})
}
