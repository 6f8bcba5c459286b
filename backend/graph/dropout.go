package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// dropout (Srivastava et al. 2014): y = x/(1-P) where a number drawn for the element is at least P, else 0. The numbers are those of
// the step and the sample, so the gradient is the same op: no mask is kept. Inputs x: [N,H,W,C], control.
var dropout *Op

func init() {
	ctl := Input{U32(backend.CtlWords), exactly(7, 0, 12345, 6, 3)}
	dropout = register(&Op{
		Name: "dropout",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if len(in) != 2 {
				return nil, fmt.Errorf("wants an image and the control buffer")
			}
			if err := want(in[:1], 4); err != nil {
				return nil, err
			}
			if a := attrs.(backend.Dropout); !(a.P >= 0 && a.P < 1) || a.First%4 != 0 {
				return nil, fmt.Errorf("probability %g, first element %d", a.P, a.First)
			}
			return in[:1], wantControl(in[1])
		},
		VJP: func(c *Cotangent) []*Value { return []*Value{c.one(dropout, c.Node.Attrs, c.Out[0], c.In(1)), nil} },
		Ref: func(attrs any, in, out []*Tensor) {
			a := attrs.(backend.Dropout)
			seed, step, first := control(in[1])
			per := len(in[0].Data) / in[0].Shape[0]
			for i, v := range in[0].Data {
				if rng.Uniform(rng.Uint32(seed, rng.StreamDropout, a.First+uint32(i%per), first+uint32(i/per), step)) >= a.P {
					out[0].Data[i] = v / (1 - float64(a.P))
				}
			}
		},
		FLOPs: elementwise(12),
		Cases: []Case{
			{Name: "odd", Attrs: backend.Dropout{P: 0.3, First: 8}, In: []Input{x(2, 3, 5, 7), ctl}, Grad: []int{0}},
			{Name: "wide", Attrs: backend.Dropout{P: 0.1}, In: []Input{x(3, 8, 8, 96), ctl}, Grad: []int{0}},
		},
	})
}

// Dropout sets elements of x: [N,H,W,C] to zero with probability p and makes up for it in the others. first is the number of a sample's
// first element, a multiple of 4.
func (g *Graph) Dropout(x, control *Value, p float32, first uint32) *Value {
	return g.one(dropout, backend.Dropout{P: p, First: first}, x, control)
}
