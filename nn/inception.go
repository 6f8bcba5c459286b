package nn

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// Inception-v3 (Szegedy et al. 2015) up to its last pooling, in the form whose features make the Fréchet Inception distance: average
// pools that leave the padding out, and a maximum pool in the last block. The names are torchvision's, which pytorch-fid's weights
// have too. Batch norms are folded into the convolutions before them.

// InceptionSize is the side of the images that the features are defined for.
const InceptionSize = 299

// InceptionFeatures is the number of features.
const InceptionFeatures = 2048

// inceptionEps is of the batch norms.
const inceptionEps = 1e-3

// Inception puts the network into a graph. x: [N,S,S,3] in [-1,1], S at least 75; result: [N,1,1,2048], the sums over the last map, to be
// divided by its pixels, of which there are pixels.
func Inception(g *graph.Graph, p *Params, x *graph.Value) (features *graph.Value, pixels int) {
	b := &inception{&builder{Graph: g, params: p}}
	h := b.conv("Conv2d_1a_3x3", x, 32, 3, 3, 2, 0, 0)
	h = b.conv("Conv2d_2a_3x3", h, 32, 3, 3, 1, 0, 0)
	h = b.conv("Conv2d_2b_3x3", h, 64, 3, 3, 1, 1, 1)
	h = b.MaxPool(h, 3, 2, 0)
	h = b.conv("Conv2d_3b_1x1", h, 80, 1, 1, 1, 0, 0)
	h = b.conv("Conv2d_4a_3x3", h, 192, 3, 3, 1, 0, 0)
	h = b.MaxPool(h, 3, 2, 0)
	for i, name := range []string{"Mixed_5b", "Mixed_5c", "Mixed_5d"} {
		b.in(name, func() { h = b.blockA(h, []int{32, 64, 64}[i]) })
	}
	b.in("Mixed_6a", func() { h = b.blockB(h) })
	for i, name := range []string{"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"} {
		b.in(name, func() { h = b.blockC(h, []int{128, 160, 160, 192}[i]) })
	}
	b.in("Mixed_7a", func() { h = b.blockD(h) })
	b.in("Mixed_7b", func() { h = b.blockE(h, b.MeanPool) })
	b.in("Mixed_7c", func() { h = b.blockE(h, b.MaxPool) })
	return b.SumSpace(h), h.Shape[1] * h.Shape[2]
}

// inception builds the blocks.
type inception struct{ *builder }

// conv is a convolution, a batch norm and ReLU. x: [N,H,W,I], y: [N,H',W',out]
func (b *inception) conv(name string, x *graph.Value, out, kh, kw, stride, ph, pw int) *graph.Value {
	return b.make(name, func() *graph.Value {
		in := x.Shape[3]
		w := b.param("weight", ConvWeight, kh*kw*in, out, kh, kw, in)
		return b.ReLU(b.Conv2D(x, w, b.param("bias", Bias, kh*kw*in, out), stride, [4]int{ph, pw, ph, pw}))
	})
}

// join concatenates channels.
func (b *inception) join(vs ...*graph.Value) *graph.Value {
	y := vs[0]
	for _, v := range vs[1:] {
		y = b.Concat(y, v)
	}
	return y
}

func (b *inception) blockA(x *graph.Value, pool int) *graph.Value {
	one := b.conv("branch1x1", x, 64, 1, 1, 1, 0, 0)
	five := b.conv("branch5x5_2", b.conv("branch5x5_1", x, 48, 1, 1, 1, 0, 0), 64, 5, 5, 1, 2, 2)
	three := b.conv("branch3x3dbl_1", x, 64, 1, 1, 1, 0, 0)
	three = b.conv("branch3x3dbl_2", three, 96, 3, 3, 1, 1, 1)
	three = b.conv("branch3x3dbl_3", three, 96, 3, 3, 1, 1, 1)
	return b.join(one, five, three, b.conv("branch_pool", b.MeanPool(x, 3, 1, 1), pool, 1, 1, 1, 0, 0))
}

func (b *inception) blockB(x *graph.Value) *graph.Value {
	three := b.conv("branch3x3", x, 384, 3, 3, 2, 0, 0)
	double := b.conv("branch3x3dbl_1", x, 64, 1, 1, 1, 0, 0)
	double = b.conv("branch3x3dbl_2", double, 96, 3, 3, 1, 1, 1)
	double = b.conv("branch3x3dbl_3", double, 96, 3, 3, 2, 0, 0)
	return b.join(three, double, b.MaxPool(x, 3, 2, 0))
}

func (b *inception) blockC(x *graph.Value, c int) *graph.Value {
	one := b.conv("branch1x1", x, 192, 1, 1, 1, 0, 0)
	seven := b.conv("branch7x7_1", x, c, 1, 1, 1, 0, 0)
	seven = b.conv("branch7x7_2", seven, c, 1, 7, 1, 0, 3)
	seven = b.conv("branch7x7_3", seven, 192, 7, 1, 1, 3, 0)
	double := b.conv("branch7x7dbl_1", x, c, 1, 1, 1, 0, 0)
	double = b.conv("branch7x7dbl_2", double, c, 7, 1, 1, 3, 0)
	double = b.conv("branch7x7dbl_3", double, c, 1, 7, 1, 0, 3)
	double = b.conv("branch7x7dbl_4", double, c, 7, 1, 1, 3, 0)
	double = b.conv("branch7x7dbl_5", double, 192, 1, 7, 1, 0, 3)
	return b.join(one, seven, double, b.conv("branch_pool", b.MeanPool(x, 3, 1, 1), 192, 1, 1, 1, 0, 0))
}

func (b *inception) blockD(x *graph.Value) *graph.Value {
	three := b.conv("branch3x3_2", b.conv("branch3x3_1", x, 192, 1, 1, 1, 0, 0), 320, 3, 3, 2, 0, 0)
	seven := b.conv("branch7x7x3_1", x, 192, 1, 1, 1, 0, 0)
	seven = b.conv("branch7x7x3_2", seven, 192, 1, 7, 1, 0, 3)
	seven = b.conv("branch7x7x3_3", seven, 192, 7, 1, 1, 3, 0)
	seven = b.conv("branch7x7x3_4", seven, 192, 3, 3, 2, 0, 0)
	return b.join(three, seven, b.MaxPool(x, 3, 2, 0))
}

func (b *inception) blockE(x *graph.Value, pool func(x *graph.Value, k, stride, pad int) *graph.Value) *graph.Value {
	one := b.conv("branch1x1", x, 320, 1, 1, 1, 0, 0)
	three := b.conv("branch3x3_1", x, 384, 1, 1, 1, 0, 0)
	threeA, threeB := b.conv("branch3x3_2a", three, 384, 1, 3, 1, 0, 1), b.conv("branch3x3_2b", three, 384, 3, 1, 1, 1, 0)
	double := b.conv("branch3x3dbl_2", b.conv("branch3x3dbl_1", x, 448, 1, 1, 1, 0, 0), 384, 3, 3, 1, 1, 1)
	doubleA, doubleB := b.conv("branch3x3dbl_3a", double, 384, 1, 3, 1, 0, 1), b.conv("branch3x3dbl_3b", double, 384, 3, 1, 1, 1, 0)
	return b.join(one, threeA, threeB, doubleA, doubleB, b.conv("branch_pool", pool(x, 3, 1, 1), 192, 1, 1, 1, 0, 0))
}

// DecodeInception fills flat: [Elems] from a file of torchvision's or pytorch-fid's Inception-v3. Each batch norm is folded:
// w' = w gamma/sqrt(var + eps), b' = beta - mean gamma/sqrt(var + eps). What the features do not need is left aside.
func (p *Params) DecodeInception(flat []float32, file *safetensors.File) error {
	read := func(name string, n int) ([]float32, error) {
		t, err := file.Tensor(name)
		if err != nil {
			return nil, fmt.Errorf("%w; want the weights of Inception-v3 under torchvision's names", err)
		}
		v, err := t.Float32s()
		if err == nil && len(v) != n {
			err = fmt.Errorf("%s: tensor %q has %d numbers, Inception-v3 has %d there", file.Path, name, len(v), n)
		}
		return v, err
	}
	for _, q := range p.list {
		if q.Kind != ConvWeight {
			continue
		}
		name := q.Name[:len(q.Name)-len(".weight")]
		O := q.Shape[0]
		var bn [4][]float32
		for i, part := range []string{"weight", "bias", "running_mean", "running_var"} {
			var err error
			if bn[i], err = read(name+".bn."+part, O); err != nil {
				return err
			}
		}
		w, err := read(name+".conv.weight", q.Shape.Elems())
		if err != nil {
			return err
		}
		per := len(w) / O
		scale := make([]float64, O)
		for o := range scale {
			scale[o] = float64(bn[0][o]) / math.Sqrt(float64(bn[3][o])+inceptionEps)
		}
		q.each(func(from, to int) { flat[q.Offset+to] = float32(float64(w[from]) * scale[from/per]) })
		bias := p.byName[name+".bias"]
		for o := range scale {
			flat[bias.Offset+o] = float32(float64(bn[1][o]) - float64(bn[2][o])*scale[o])
		}
	}
	return nil
}
