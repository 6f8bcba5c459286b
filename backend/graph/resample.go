package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// upsample: every pixel becomes 2x2, times Factor. downsample: the sum of 2x2 pixels, times Factor. Each is the other's
// adjoint; a quarter makes the average pool.
var upsample, downsample *Op

func init() {
	upsample = register(&Op{
		Name: "upsample",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if err := want(in, 4); err != nil {
				return nil, err
			}
			s := in[0].Shape
			return []Type{F32(s[0], 2*s[1], 2*s[2], s[3])}, nil
		},
		VJP: func(c *Cotangent) []*Value { return c.Apply(downsample, c.Node.Attrs, c.Out[0]) },
		Ref: func(attrs any, in, out []*Tensor) {
			eachQuad(in[0], out[0], func(small, large int) {
				out[0].Data[large] = float64(attrs.(backend.Factor).Factor) * in[0].Data[small]
			})
		},
		FLOPs: elementwise(1),
		Cases: resampleCases(Shape{2, 3, 5, 7}, Shape{2, 4, 4, 64}),
	})
	downsample = register(&Op{
		Name: "downsample",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if err := want(in, 4); err != nil {
				return nil, err
			}
			s := in[0].Shape
			if s[1]%2 != 0 || s[2]%2 != 0 {
				return nil, fmt.Errorf("%dx%d pixels do not halve", s[1], s[2])
			}
			return []Type{F32(s[0], s[1]/2, s[2]/2, s[3])}, nil
		},
		VJP: func(c *Cotangent) []*Value { return c.Apply(upsample, c.Node.Attrs, c.Out[0]) },
		Ref: func(attrs any, in, out []*Tensor) {
			eachQuad(out[0], in[0], func(small, large int) {
				out[0].Data[small] += float64(attrs.(backend.Factor).Factor) * in[0].Data[large]
			})
		},
		FLOPs: elementwise(4),
		Cases: resampleCases(Shape{2, 6, 10, 7}, Shape{2, 4, 4, 64}),
	})
}

// eachQuad calls f with the index of a small pixel's channel and each of the four in the large image.
func eachQuad(small, large *Tensor, f func(small, large int)) {
	s := large.Shape
	for n := range s[0] {
		for h := range s[1] {
			for w := range s[2] {
				for c := range s[3] {
					f(small.at4(n, h/2, w/2, c), large.at4(n, h, w, c))
				}
			}
		}
	}
}

func resampleCases(odd, wide Shape) []Case {
	return []Case{
		{Name: "odd", Attrs: backend.Factor{Factor: 1}, In: []Input{x(odd...)}, Grad: []int{0}},
		{Name: "wide", Attrs: backend.Factor{Factor: 0.25}, In: []Input{x(wide...)}, Grad: []int{0}},
	}
}

// Upsample doubles an image x: [N,H,W,C] by repeating pixels.
func (g *Graph) Upsample(x *Value) *Value { return g.one(upsample, backend.Factor{Factor: 1}, x) }

// AvgPool halves an image x: [N,H,W,C] by averaging 2x2 pixels.
func (g *Graph) AvgPool(x *Value) *Value { return g.one(downsample, backend.Factor{Factor: 0.25}, x) }
