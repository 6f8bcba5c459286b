package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

func sameShape(got, want Shape) error {
	if !got.Equal(want) {
		return fmt.Errorf("shape [%v], wants [%v]", got, want)
	}
	return nil
}

// sameTypes is the shape inference of an op whose n float32 inputs and output look alike.
func sameTypes(n int) func(any, []Type) ([]Type, error) {
	return func(_ any, in []Type) ([]Type, error) {
		if err := want(in, make([]int, n)...); err != nil {
			return nil, err
		}
		for _, t := range in[1:] {
			if err := sameShape(t.Shape, in[0].Shape); err != nil {
				return nil, err
			}
		}
		return []Type{in[0]}, nil
	}
}

var pairCases = []Case{
	{Name: "odd", In: []Input{x(2, 3, 5, 7), x(2, 3, 5, 7)}, Grad: []int{0, 1}},
	{Name: "wide", In: []Input{x(3, 8, 8, 96), x(3, 8, 8, 96)}, Grad: []int{0, 1}},
	{Name: "flat", In: []Input{x(1001), x(1001)}, Grad: []int{0, 1}},
}

// add: y = a + b.
var add = register(&Op{
	Name:  "add",
	Infer: sameTypes(2),
	VJP:   func(c *Cotangent) []*Value { return []*Value{c.Out[0], c.Out[0]} },
	Ref: func(_ any, in, out []*Tensor) {
		for i := range out[0].Data {
			out[0].Data[i] = in[0].Data[i] + in[1].Data[i]
		}
	},
	FLOPs: elementwise(1),
	Cases: pairCases,
})

// mul: y = a b.
var mul *Op

// scale: y = A x + B.
var scale *Op

// silu: y = x sigmoid(x); silu_grad: dx = dy sigmoid(x) (1 + x (1 - sigmoid(x))) from x, dy.
var silu, siluGrad *Op

func init() {
	mul = register(&Op{
		Name:  "mul",
		Infer: sameTypes(2),
		VJP: func(c *Cotangent) []*Value {
			d := make([]*Value, 2)
			for i := range d {
				if c.Need[i] {
					d[i] = c.Mul(c.Out[0], c.In(1-i))
				}
			}
			return d
		},
		Ref: func(_ any, in, out []*Tensor) {
			for i := range out[0].Data {
				out[0].Data[i] = in[0].Data[i] * in[1].Data[i]
			}
		},
		FLOPs: elementwise(1),
		Cases: pairCases,
	})
	scale = register(&Op{
		Name:  "scale",
		Infer: sameTypes(1),
		VJP: func(c *Cotangent) []*Value {
			return []*Value{c.Scale(c.Out[0], c.Node.Attrs.(backend.Linear).A, 0)}
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a := attrs.(backend.Linear)
			for i, v := range in[0].Data {
				out[0].Data[i] = float64(a.A)*v + float64(a.B)
			}
		},
		FLOPs: elementwise(2),
		Cases: []Case{{Name: "odd", Attrs: backend.Linear{A: -0.7, B: 0.3}, In: []Input{x(2, 3, 5, 7)}, Grad: []int{0}}, {Name: "flat", Attrs: backend.Linear{A: 2, B: -1}, In: []Input{x(77)}, Grad: []int{0}}},
	})
	wide := Input{F32(4, 4, 4, 33), normal(6, 0)}
	silu = register(&Op{
		Name:  "silu",
		Infer: sameTypes(1),
		VJP:   func(c *Cotangent) []*Value { return c.Apply(siluGrad, nil, c.In(0), c.Out[0]) },
		Ref: func(_ any, in, out []*Tensor) {
			for i, v := range in[0].Data {
				out[0].Data[i] = v * sigmoid(v)
			}
		},
		FLOPs: elementwise(4),
		Cases: []Case{
			{Name: "odd", In: []Input{x(2, 3, 5, 7)}, Grad: []int{0}},
			{Name: "large values", In: []Input{wide}, Grad: []int{0}},
			{Name: "saturated", In: []Input{{F32(1, 1, 1, 6), exactly(-1e4, -100, -20, 20, 100, 1e4)}}, Tol: 1e-7},
		},
	})
	siluGrad = register(&Op{
		Name:  "silu_grad",
		Infer: sameTypes(2),
		Ref: func(_ any, in, out []*Tensor) {
			for i, v := range in[0].Data {
				out[0].Data[i] = in[1].Data[i] * siluPrime(v)
			}
		},
		FLOPs: elementwise(8),
		Cases: []Case{{Name: "odd", In: []Input{x(2, 3, 5, 7), x(2, 3, 5, 7)}}, {Name: "large values", In: []Input{wide, {wide.Type, normal(1, 0)}}}},
	})
}

// Add is a + b.
func (g *Graph) Add(a, b *Value) *Value { return g.one(add, nil, a, b) }

// Mul is a b, element by element.
func (g *Graph) Mul(a, b *Value) *Value { return g.one(mul, nil, a, b) }

// Scale is a x + b.
func (g *Graph) Scale(x *Value, a, b float32) *Value {
	return g.one(scale, backend.Linear{A: a, B: b}, x)
}

// SiLU is x sigmoid(x).
func (g *Graph) SiLU(x *Value) *Value { return g.one(silu, nil, x) }
