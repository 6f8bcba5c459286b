package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// attention: o = softmax(q k^T / sqrt(d)) v, over the H W positions of each image and each head's d = C/heads channels.
// q, k, v: [N,H,W,C]; o like q, p: [N,heads,HW,HW] are the weights, kept for the gradient (Vaswani et al. 2017, eq. 1).
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
			return []Type{in[0], F32(s[0], attrs.(backend.Heads).Heads, s[1]*s[2], s[1]*s[2])}, attentionTypes(attrs, in)
		},
		VJP: func(c *Cotangent) []*Value {
			return c.Apply(attentionGrad, c.Node.Attrs, c.In(0), c.In(1), c.In(2), c.Node.Out[1], c.Out[0])
		},
		Ref: func(attrs any, in, out []*Tensor) {
			s, heads := in[0].Shape, attrs.(backend.Heads).Heads
			q, k, v, L, d := in[0].Data, in[1].Data, in[2].Data, s[1]*s[2], s[3]/heads
			headsEach(s, heads, func(b int, at func(i, c int) int) {
				for i := range L {
					p := out[1].Data[(b*L+i)*L:][:L]
					for j := range L {
						dot := 0.0
						for c := range d {
							dot += q[at(i, c)] * k[at(j, c)]
						}
						p[j] = dot / math.Sqrt(float64(d))
					}
					top, sum := slices.Max(p), 0.0
					for j := range L {
						p[j] = math.Exp(p[j] - top)
						sum += p[j]
					}
					for j := range L {
						p[j] /= sum
						for c := range d {
							out[0].Data[at(i, c)] += p[j] * v[at(j, c)]
						}
					}
				}
			})
		},
		FLOPs: flops(4),
		Cases: attentionCases(func(s Shape, _ int) []Input { return []Input{x(s...), x(s...), x(s...)} }, []int{0, 1, 2}, []int{1}),
	})
	// attention_grad: dq, dk, dv from q, k, v, p, do.
	attentionGrad = register(&Op{
		Name: "attention_grad",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4, 4, 4, 4); err != nil {
				return nil, err
			}
			if err := attentionTypes(attrs, []Type{in[0], in[1], in[2], in[4]}); err != nil {
				return nil, err
			}
			s, L := in[0].Shape, in[0].Shape[1]*in[0].Shape[2]
			return []Type{in[0], in[1], in[2]}, sameShape(in[3].Shape, Shape{s[0], attrs.(backend.Heads).Heads, L, L})
		},
		Ref: func(attrs any, in, out []*Tensor) {
			s, heads := in[0].Shape, attrs.(backend.Heads).Heads
			q, k, v, do, L, d := in[0].Data, in[1].Data, in[2].Data, in[4].Data, s[1]*s[2], s[3]/heads
			headsEach(s, heads, func(b int, at func(i, c int) int) {
				for i := range L {
					p, dp, dot := in[3].Data[(b*L+i)*L:][:L], make([]float64, L), 0.0
					for j := range L {
						for c := range d {
							dp[j] += do[at(i, c)] * v[at(j, c)]
							out[2].Data[at(j, c)] += p[j] * do[at(i, c)]
						}
						dot += p[j] * dp[j]
					}
					for j := range L {
						ds := p[j] * (dp[j] - dot) / math.Sqrt(float64(d))
						for c := range d {
							out[0].Data[at(i, c)] += ds * k[at(j, c)]
							out[1].Data[at(j, c)] += ds * q[at(i, c)]
						}
					}
				}
			})
		},
		FLOPs: flops(8),
		Cases: attentionCases(func(s Shape, heads int) []Input {
			L := s[1] * s[2]
			p := func(r Rand, dst []float64) { // rows that add up to one
				for i := 0; i < len(dst); i += L {
					sum := 0.0
					for j := range L {
						dst[i+j] = math.Exp(r.NormFloat64())
						sum += dst[i+j]
					}
					for j := range L {
						dst[i+j] = float64(float32(dst[i+j] / sum))
					}
				}
			}
			return []Input{x(s...), x(s...), x(s...), {F32(s[0], heads, L, L), p}, x(s...)}
		}, nil, nil),
	})
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
