package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// concat: y[...,:A] = a, y[...,A:] = b along the channels. channels: y = x[...,From:To].
var concat, channels *Op

func init() {
	concat = register(&Op{
		Name: "concat",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4); err != nil {
				return nil, err
			}
			a, b := in[0].Shape, in[1].Shape
			return []Type{F32(a[0], a[1], a[2], a[3]+b[3])}, sameShape(b[:3], a[:3])
		},
		VJP: func(c *Cotangent) []*Value {
			d, A := make([]*Value, 2), c.In(0).Shape[3]
			if c.Need[0] {
				d[0] = c.Channels(c.Out[0], 0, A)
			}
			if c.Need[1] {
				d[1] = c.Channels(c.Out[0], A, c.Out[0].Shape[3])
			}
			return d
		},
		Ref: func(_ any, in, out []*Tensor) {
			A, B := in[0].Shape[3], in[1].Shape[3]
			for i := range out[0].Data {
				if p, c := i/(A+B), i%(A+B); c < A {
					out[0].Data[i] = in[0].Data[p*A+c]
				} else {
					out[0].Data[i] = in[1].Data[p*B+c-A]
				}
			}
		},
		Cases: []Case{
			{Name: "odd", In: []Input{x(2, 3, 5, 7), x(2, 3, 5, 4)}, Grad: []int{0, 1}},
			{Name: "wide", In: []Input{x(2, 4, 4, 64), x(2, 4, 4, 32)}, Grad: []int{0, 1}},
		},
	})
	channels = register(&Op{
		Name: "channels",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4); err != nil {
				return nil, err
			}
			a, s := attrs.(backend.Channels), in[0].Shape
			if a.From < 0 || a.From >= a.To || a.To > s[3] {
				return nil, fmt.Errorf("channels %d to %d of %d", a.From, a.To, s[3])
			}
			return []Type{F32(s[0], s[1], s[2], a.To-a.From)}, nil
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a, C := attrs.(backend.Channels), in[0].Shape[3]
			n := a.To - a.From
			for i := range out[0].Data {
				out[0].Data[i] = in[0].Data[i/n*C+a.From+i%n]
			}
		},
		Cases: []Case{
			{Name: "first", Attrs: backend.Channels{From: 0, To: 4}, In: []Input{x(2, 3, 5, 7)}},
			{Name: "last", Attrs: backend.Channels{From: 4, To: 7}, In: []Input{x(2, 3, 5, 7)}},
			{Name: "wide", Attrs: backend.Channels{From: 32, To: 96}, In: []Input{x(2, 4, 4, 96)}},
		},
	})
}

// Concat joins the channels of a: [N,H,W,A] and b: [N,H,W,B].
func (g *Graph) Concat(a, b *Value) *Value { return g.one(concat, nil, a, b) }

// Channels takes the channels [from, to) of x: [N,H,W,C]. It has no gradient.
func (g *Graph) Channels(x *Value, from, to int) *Value {
	return g.one(channels, backend.Channels{From: from, To: to}, x)
}
