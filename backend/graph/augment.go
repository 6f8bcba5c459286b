package graph

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// augment changes each image of a batch, in the manner of ADA (Karras et al. 2020, "Training Generative Adversarial Networks with
// Limited Data", appendix B; those of its transformations that need no resampling): each with probability P, mirroring, a quarter turn,
// a shift by up to an eighth of the side (mirrored at the border), brightness, contrast. Values stay in [-1,1]. It has no gradient.
// Inputs x: [N,S,S,C], control.
//
// The lots of a sample, in blocks of four words of StreamAugment: 0 is mirror or not, which, turn or not, how far; 1 is shift or not, dx,
// dy; 2 is brightness or not, contrast or not; the normals of block 3 are brightness/0.2 and log2 contrast/0.5.
var augment *Op

// An Augmentation is what happens to one image.
type augmentation struct {
	mirror               bool
	turns, dx, dy        int
	brightness, contrast float64
}

func drawAugmentation(p float32, size int, seed uint64, sample uint32, step uint64) augmentation {
	a := augmentation{contrast: 1}
	block := func(i uint32) [4]uint32 { return rng.Block(seed, rng.StreamAugment, i, sample, step) }
	hit := func(w uint32) bool { return rng.Uniform(w) < p }
	w, v, u := block(0), block(1), block(2)
	n := rng.NormalBlock(seed, rng.StreamAugment, 3, sample, step)
	a.mirror = hit(w[0]) && w[1]>>31 == 1
	if hit(w[2]) {
		a.turns = int(rng.Below(w[3], 4))
	}
	if far := size / 8; hit(v[0]) {
		a.dx, a.dy = int(rng.Below(v[1], uint32(2*far+1)))-far, int(rng.Below(v[2], uint32(2*far+1)))-far
	}
	if hit(u[0]) {
		a.brightness = 0.2 * float64(n[0])
	}
	if hit(u[1]) {
		a.contrast = math.Exp2(0.5 * float64(n[1]))
	}
	return a
}

// from is the pixel that goes to row h and column w.
func (a augmentation) from(h, w, size int) (int, int) {
	h, w = reflect(h+a.dy, size), reflect(w+a.dx, size)
	for range a.turns {
		h, w = w, size-1-h
	}
	if a.mirror {
		w = size - 1 - w
	}
	return h, w
}

func init() {
	ctl := Input{U32(backend.CtlWords), exactly(7, 0, 12345, 6, 3)}
	augment = register(&Op{
		Name: "augment",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if len(in) != 2 {
				return nil, fmt.Errorf("wants images and the control buffer")
			}
			if err := want(in[:1], 4); err != nil {
				return nil, err
			}
			if a, s := attrs.(backend.Augment), in[0].Shape; !(a.P >= 0 && a.P <= 1) || s[1] != s[2] {
				return nil, fmt.Errorf("probability %g, images of %dx%d", a.P, s[1], s[2])
			}
			return in[:1], wantControl(in[1])
		},
		Ref: func(attrs any, in, out []*Tensor) {
			seed, step, first := control(in[1])
			x, y, s := in[0], out[0], in[0].Shape
			for n := range s[0] {
				a := drawAugmentation(attrs.(backend.Augment).P, s[1], seed, first+uint32(n), step)
				for h := range s[1] {
					for w := range s[2] {
						fh, fw := a.from(h, w, s[1])
						for c := range s[3] {
							y.Data[y.at4(n, h, w, c)] = min(max(x.Data[x.at4(n, fh, fw, c)]*a.contrast+a.brightness, -1), 1)
						}
					}
				}
			}
		},
		FLOPs: elementwise(4),
		Cases: []Case{
			{Name: "always", Attrs: backend.Augment{P: 1}, In: []Input{{F32(16, 8, 8, 3), uniform(-1, 1)}, ctl}},
			{Name: "sometimes", Attrs: backend.Augment{P: 0.4}, In: []Input{{F32(16, 9, 9, 1), uniform(-1, 1)}, ctl}},
		},
	})
}

// Augment changes each of the images x: [N,S,S,C] in [-1,1], each transformation with probability p. It has no gradient.
func (g *Graph) Augment(x, control *Value, p float32) *Value {
	return g.one(augment, backend.Augment{P: p}, x, control)
}
