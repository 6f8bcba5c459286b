package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// attention: o = softmax(q k^T / sqrt(d)) v, over the H W positions of each image and each head's d = C/heads channels
// (Vaswani et al. 2017, eq. 1). q, k, v: [N,H,W,C]; o like q, lse: [N,heads,HW] is the logarithm of each row's sum of exp(q k^T / sqrt(d)):
// all that the gradient needs to compute the weights again, so that no [HW,HW] lies in memory (Dao et al. 2022, section 3.1).
var attention, attentionGrad *Op

// heads calls f with an index function for each image and head: at(position, channel of the head).
func headsEach(s Shape, heads int, f func(b int, at func(i, c int) int)) {
	L, C, d := s[1]*s[2], s[3], s[3]/heads
	for n := range s[0] {
		for h := range heads {
			f(n*heads+h, func(i, c int) int { return (n*L+i)*C + h*d + c })
		}
	}
}

func attentionTypes(attrs any, in []Type) error {
	for _, t := range in {
		if err := sameShape(t.Shape, in[0].Shape); err != nil {
			return err
		}
	}
	if h := attrs.(backend.Heads).Heads; h < 1 || in[0].Shape[3]%h != 0 {
		return fmt.Errorf("%d channels in %d heads", in[0].Shape[3], h)
	}
	return nil
}

func init() {
	flops := func(k int64) func(any, []Type, []Type) int64 {
		return func(_ any, in, _ []Type) int64 {
			s := in[0].Shape
			return k * int64(s[0]) * int64(s[1]*s[2]) * int64(s[1]*s[2]) * int64(s[3])
		}
	}
	attention = register(&Op{
		Name: "attention",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4, 4); err != nil {
				return nil, err
			}
			s := in[0].Shape
			return []Type{in[0], F32(s[0], attrs.(backend.Heads).Heads, s[1]*s[2])}, attentionTypes(attrs, in)
		},
		VJP: func(c *Cotangent) []*Value {
			return c.Apply(attentionGrad, c.Node.Attrs, c.In(0), c.In(1), c.In(2), c.Node.Out[0], c.Node.Out[1], c.Out[0])
		},
		Ref: func(attrs any, in, out []*Tensor) {
			s, heads := in[0].Shape, attrs.(backend.Heads).Heads
			q, k, v, L, d := in[0].Data, in[1].Data, in[2].Data, s[1]*s[2], s[3]/heads
			headsEach(s, heads, func(b int, at func(i, c int) int) {
				p := make([]float64, L)
				for i := range L {
					scores(p, q, k, i, d, at)
					top, sum := slices.Max(p), 0.0
					for j := range L {
						p[j] = math.Exp(p[j] - top)
						sum += p[j]
					}
					out[1].Data[b*L+i] = top + math.Log(sum)
					for j := range L {
						for c := range d {
							out[0].Data[at(i, c)] += p[j] / sum * v[at(j, c)]
						}
					}
				}
			})
		},
		FLOPs: flops(4),
		Cases: attentionCases(func(s Shape, _ int) []Input { return []Input{x(s...), x(s...), x(s...)} }, []int{0, 1, 2}, []int{1}),
	})
	// attention_grad: dq, dk, dv from q, k, v, o, lse, do. With p = exp(q k^T / sqrt(d) - lse) the gradient of the softmax's argument
	// is p (do v^T - D), where D, the sum of p do v^T over a row, is that of do o (Dao et al. 2022, appendix B.2).
	attentionGrad = register(&Op{
		Name: "attention_grad",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4, 4, 4, 3, 4); err != nil {
				return nil, err
			}
			if err := attentionTypes(attrs, []Type{in[0], in[1], in[2], in[3], in[5]}); err != nil {
				return nil, err
			}
			s := in[0].Shape
			return []Type{in[0], in[1], in[2]}, sameShape(in[4].Shape, Shape{s[0], attrs.(backend.Heads).Heads, s[1] * s[2]})
		},
		Ref: func(attrs any, in, out []*Tensor) {
			s, heads := in[0].Shape, attrs.(backend.Heads).Heads
			q, k, v, o, lse, do, L, d := in[0].Data, in[1].Data, in[2].Data, in[3].Data, in[4].Data, in[5].Data, s[1]*s[2], s[3]/heads
			headsEach(s, heads, func(b int, at func(i, c int) int) {
				p := make([]float64, L)
				for i := range L {
					scores(p, q, k, i, d, at)
					D := 0.0
					for c := range d {
						D += do[at(i, c)] * o[at(i, c)]
					}
					for j := range L {
						p[j] = math.Exp(p[j] - lse[b*L+i])
						dp := 0.0
						for c := range d {
							dp += do[at(i, c)] * v[at(j, c)]
							out[2].Data[at(j, c)] += p[j] * do[at(i, c)]
						}
						ds := p[j] * (dp - D) / math.Sqrt(float64(d))
						for c := range d {
							out[0].Data[at(i, c)] += ds * k[at(j, c)]
							out[1].Data[at(j, c)] += ds * q[at(i, c)]
						}
					}
				}
			})
		},
		FLOPs: flops(10),
		Cases: attentionCases(func(s Shape, heads int) []Input {
			L := s[1] * s[2]
			lse := Input{F32(s[0], heads, L), normal(0.5, math.Log(float64(L))+0.5)} // about what q and k would give
			return []Input{x(s...), x(s...), x(s...), x(s...), lse, x(s...)}
		}, nil, nil),
	})
}

// scores are a row of q k^T / sqrt(d), of position i.
func scores(row, q, k []float64, i, d int, at func(i, c int) int) {
	for j := range row {
		dot := 0.0
		for c := range d {
			dot += q[at(i, c)] * k[at(j, c)]
		}
		row[j] = dot / math.Sqrt(float64(d))
	}
}

func attentionCases(in func(s Shape, heads int) []Input, grad, noGrad []int) []Case {
	list := []struct {
		name  string
		heads int
		s     Shape
	}{
		{"odd", 2, Shape{2, 3, 5, 14}},
		{"one head", 1, Shape{2, 4, 4, 48}},
		{"heads of 32", 4, Shape{2, 8, 8, 128}},
		{"heads of 8", 8, Shape{1, 4, 4, 64}},
		{"one position", 2, Shape{3, 1, 1, 8}},
		{"several tiles", 2, Shape{1, 17, 24, 8}},
		{"wide head", 1, Shape{1, 3, 3, 160}},
	}
	var cases []Case
	for _, c := range list {
		cases = append(cases, Case{Name: c.name, Attrs: backend.Heads{Heads: c.heads}, In: in(c.s, c.heads), Grad: grad, NoGrad: noGrad})
	}
	return cases
}

// Attention is scaled dot-product attention of q, k, v: [N,H,W,C] over the positions of each image.
func (g *Graph) Attention(q, k, v *Value, heads int) *Value {
	return g.one(attention, backend.Heads{Heads: heads}, q, k, v)
}
