package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// gather: y[n,0,0,:] = table[index[n],:]: embeddings. table: [R,C], index: [N] u32. Of a table of integers: [R,1] u32 it is an
// index again, [N] u32.
// gather_grad: dtable from index, dy.
var gather, gatherGrad *Op

// mix: y[n,...] = a[t[n]] x[n,...] + b[t[n]] y[n,...]: the closed form of the forward process. a, b: [T], t: [N] u32.
var mix *Op

func wantIndex(t Type, n int) error {
	if t.DType != backend.U32 || len(t.Shape) != 1 || (n > 0 && t.Shape[0] != n) {
		return fmt.Errorf("index is %v, wants u32[%d]", t, n)
	}
	return nil
}

func init() {
	gather = register(&Op{
		Name: "gather",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if len(in) != 2 {
				return nil, fmt.Errorf("wants 2 inputs")
			}
			if err := wantIndex(in[1], 0); err != nil {
				return nil, err
			}
			if t := in[0]; t.DType == backend.U32 && len(t.Shape) == 2 && t.Shape[1] == 1 {
				return []Type{U32(in[1].Shape[0])}, nil
			}
			if err := want(in[:1], 2); err != nil {
				return nil, err
			}
			return []Type{F32(in[1].Shape[0], 1, 1, in[0].Shape[1])}, nil
		},
		VJP: func(c *Cotangent) []*Value {
			return []*Value{c.one(gatherGrad, backend.Rows{Rows: c.In(0).Shape[0]}, c.In(1), c.Out[0]), nil}
		},
		Ref: func(_ any, in, out []*Tensor) {
			C := in[0].Shape[1]
			for n, i := range in[1].Data {
				copy(out[0].Data[n*C:(n+1)*C], in[0].Data[int(i)*C:])
			}
		},
		Cases: []Case{{Name: "odd", In: []Input{x(10, 7), {U32(5), integers(10)}}, Grad: []int{0}}, {Name: "wide", In: []Input{x(4, 128), {U32(9), integers(4)}}, Grad: []int{0}},
			{Name: "labels", In: []Input{{U32(23, 1), integers(1 << 20)}, {U32(9), integers(23)}}}},
	})
	gatherGrad = register(&Op{
		Name: "gather_grad",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if len(in) != 2 {
				return nil, fmt.Errorf("wants 2 inputs")
			}
			if err := want(in[1:], 4); err != nil {
				return nil, err
			}
			s := in[1].Shape
			if err := sameShape(s, Shape{s[0], 1, 1, s[3]}); err != nil {
				return nil, err
			}
			return []Type{F32(attrs.(backend.Rows).Rows, s[3])}, wantIndex(in[0], s[0])
		},
		Ref: func(_ any, in, out []*Tensor) {
			C := in[1].Shape[3]
			for n, i := range in[0].Data {
				for c := range C {
					out[0].Data[int(i)*C+c] += in[1].Data[n*C+c]
				}
			}
		},
		FLOPs: elementwise(1),
		Cases: []Case{{Name: "repeats", Attrs: backend.Rows{Rows: 3}, In: []Input{{U32(9), integers(3)}, x(9, 1, 1, 5)}}},
	})
	mix = register(&Op{
		Name: "mix",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if len(in) != 5 {
				return nil, fmt.Errorf("wants 5 inputs")
			}
			if err := want(in[:4], 4, 4, 1, 1); err != nil {
				return nil, err
			}
			if err := wantIndex(in[4], in[0].Shape[0]); err != nil {
				return nil, err
			}
			if err := sameShape(in[3].Shape, in[2].Shape); err != nil {
				return nil, err
			}
			return []Type{in[0]}, sameShape(in[1].Shape, in[0].Shape)
		},
		Ref: func(_ any, in, out []*Tensor) {
			per := len(in[0].Data) / in[0].Shape[0]
			for i := range out[0].Data {
				t := int(in[4].Data[i/per])
				out[0].Data[i] = in[2].Data[t]*in[0].Data[i] + in[3].Data[t]*in[1].Data[i]
			}
		},
		FLOPs: elementwise(3),
		Cases: []Case{{Name: "odd", In: []Input{x(3, 3, 5, 3), x(3, 3, 5, 3), x(10), x(10), {U32(3), integers(10)}}}},
	})
}

// Gather takes rows of table: [R,C] by index: [N], giving [N,1,1,C], or [N] of a table of integers: [R,1].
func (g *Graph) Gather(table, index *Value) *Value { return g.one(gather, nil, table, index) }

// Mix is a[t] x + b[t] y for images x, y: [N,H,W,C], coefficients a, b: [T] and timesteps t: [N]. It has no gradient.
func (g *Graph) Mix(x, y, a, b, t *Value) *Value { return g.one(mix, nil, x, y, a, b, t) }
