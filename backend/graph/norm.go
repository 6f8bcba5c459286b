package graph

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// group_norm: y = f(gamma xhat + beta), xhat = (x - mean) rstd over each image's group of channels; f is SiLU or nothing.
// x: [N,H,W,C], gamma, beta: [C]; y like x, stats: [N,G,2] holds mean and rstd = 1/sqrt(var + eps).
// (Wu & He 2018; the variance is the biased one.)
//
// group_norm_again: y once more, from x, gamma, beta and stats, without going over x for them.
var groupNorm, groupNormAgain, groupNormGrad *Op

func sigmoid(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

func siluPrime(v float64) float64 { s := sigmoid(v); return s * (1 + v*(1-s)) }

func norm(v []float64) float64 {
	s := 0.0
	for _, f := range v {
		s += f * f
	}
	return math.Sqrt(s)
}

func groupNormTypes(attrs any, x Type) error {
	a := attrs.(backend.Norm)
	if a.Groups < 1 || x.Shape[3]%a.Groups != 0 {
		return fmt.Errorf("%d channels in %d groups", x.Shape[3], a.Groups)
	}
	return nil
}

// groupNormEach calls f with image, group and the indices of its elements.
func groupNormEach(s Shape, groups int, f func(n, g int, at []int)) {
	per := s[3] / groups
	for n := range s[0] {
		for g := range groups {
			var at []int
			for p := range s[1] * s[2] {
				for c := range per {
					at = append(at, (n*s[1]*s[2]+p)*s[3]+g*per+c)
				}
			}
			f(n, g, at)
		}
	}
}

// normalise computes the elements at of y from in: x, gamma, beta.
func normalise(a backend.Norm, y *Tensor, in []*Tensor, at []int, mean, rstd float64) {
	C := y.Shape[3]
	for _, i := range at {
		z := (in[0].Data[i]-mean)*rstd*in[1].Data[i%C] + in[2].Data[i%C]
		if a.SiLU {
			z *= sigmoid(z)
		}
		y.Data[i] = z
	}
}

func init() {
	groupNorm = register(&Op{
		Name: "group_norm",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 1, 1); err != nil {
				return nil, err
			}
			if err := groupNormTypes(attrs, in[0]); err != nil {
				return nil, err
			}
			s := in[0].Shape
			if in[1].Shape[0] != s[3] || in[2].Shape[0] != s[3] {
				return nil, fmt.Errorf("gamma and beta want [%d]", s[3])
			}
			return []Type{in[0], F32(s[0], attrs.(backend.Norm).Groups, 2)}, nil
		},
		VJP: func(c *Cotangent) []*Value {
			return c.Apply(groupNormGrad, c.Node.Attrs, c.In(0), c.In(1), c.In(2), c.Node.Out[1], c.Out[0])
		},
		Again: func(n *Node) (*Op, []*Value) { return groupNormAgain, []*Value{n.In[0], n.In[1], n.In[2], n.Out[1]} },
		Ref: func(attrs any, in, out []*Tensor) {
			a, x := attrs.(backend.Norm), in[0]
			groupNormEach(x.Shape, a.Groups, func(n, g int, at []int) {
				mean, vari := 0.0, 0.0
				for _, i := range at {
					mean += x.Data[i] / float64(len(at))
				}
				for _, i := range at {
					vari += (x.Data[i] - mean) * (x.Data[i] - mean) / float64(len(at))
				}
				rstd := 1 / math.Sqrt(vari+float64(a.Eps))
				out[1].Data[(n*a.Groups+g)*2], out[1].Data[(n*a.Groups+g)*2+1] = mean, rstd
				normalise(a, out[0], in, at, mean, rstd)
			})
		},
		FLOPs: elementwise(8),
		Cases: normCases(func(a backend.Norm, s Shape) []Input {
			return []Input{{F32(s...), normal(2, 0.5)}, {F32(s[3]), normal(0.3, 1)}, {F32(s[3]), normal(0.5, 0)}}
		}, []int{0, 1, 2}, []int{1}),
	})
	groupNormAgain = register(&Op{
		Name: "group_norm_again",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 1, 1, 3); err != nil {
				return nil, err
			}
			if err := groupNormTypes(attrs, in[0]); err != nil {
				return nil, err
			}
			s := in[0].Shape
			for i, t := range []Shape{{s[3]}, {s[3]}, {s[0], attrs.(backend.Norm).Groups, 2}} {
				if err := sameShape(in[i+1].Shape, t); err != nil {
					return nil, err
				}
			}
			return in[:1], nil
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a := attrs.(backend.Norm)
			groupNormEach(in[0].Shape, a.Groups, func(n, g int, at []int) {
				normalise(a, out[0], in, at, in[3].Data[(n*a.Groups+g)*2], in[3].Data[(n*a.Groups+g)*2+1])
			})
		},
		FLOPs: elementwise(6),
		Cases: normCases(func(a backend.Norm, s Shape) []Input {
			return []Input{x(s...), {F32(s[3]), normal(0.3, 1)}, {F32(s[3]), normal(0.5, 0)}, {F32(s[0], a.Groups, 2), someStats}}
		}, nil, nil),
	})
	// group_norm_grad: dx, dgamma, dbeta from x, gamma, beta, stats, dy.
	groupNormGrad = register(&Op{
		Name: "group_norm_grad",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 1, 1, 3, 4); err != nil {
				return nil, err
			}
			if err := groupNormTypes(attrs, in[0]); err != nil {
				return nil, err
			}
			s := in[0].Shape
			for i, t := range []Shape{{s[3]}, {s[3]}, {s[0], attrs.(backend.Norm).Groups, 2}, s} {
				if err := sameShape(in[i+1].Shape, t); err != nil {
					return nil, err
				}
			}
			return []Type{in[0], in[1], in[2]}, nil
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a, x, C := attrs.(backend.Norm), in[0], in[0].Shape[3]
			gamma, beta, stats, dy := in[1].Data, in[2].Data, in[3].Data, in[4].Data
			groupNormEach(x.Shape, a.Groups, func(n, g int, at []int) {
				mean, rstd := stats[(n*a.Groups+g)*2], stats[(n*a.Groups+g)*2+1]
				d := make([]float64, len(at)) // gradient of xhat
				s1, s2, m := 0.0, 0.0, float64(len(at))
				for k, i := range at {
					xhat := (x.Data[i] - mean) * rstd
					dz := dy[i]
					if a.SiLU {
						dz *= siluPrime(gamma[i%C]*xhat + beta[i%C])
					}
					out[1].Data[i%C] += dz * xhat
					out[2].Data[i%C] += dz
					d[k] = dz * gamma[i%C]
					s1 += d[k]
					s2 += d[k] * xhat
				}
				for k, i := range at {
					out[0].Data[i] = rstd * (d[k] - s1/m - (x.Data[i]-mean)*rstd*s2/m)
				}
			})
		},
		FLOPs: elementwise(16),
		Cases: normCases(func(a backend.Norm, s Shape) []Input {
			return []Input{x(s...), {F32(s[3]), normal(0.3, 1)}, {F32(s[3]), normal(0.5, 0)}, {F32(s[0], a.Groups, 2), someStats}, x(s...)}
		}, nil, nil),
	})
}

// someStats are means and reciprocal deviations that are not those of the input.
var someStats = normal(0.1, 0.5)

func normCases(in func(backend.Norm, Shape) []Input, grad, noGrad []int) []Case {
	list := []struct {
		name string
		a    backend.Norm
		s    Shape
	}{
		{"silu", backend.Norm{Groups: 4, Eps: 1e-5, SiLU: true}, Shape{2, 3, 5, 12}},
		{"plain", backend.Norm{Groups: 8, Eps: 1e-6}, Shape{2, 4, 4, 32}},
		{"one channel a group", backend.Norm{Groups: 32, Eps: 1e-5, SiLU: true}, Shape{1, 8, 8, 32}},
		{"one group", backend.Norm{Groups: 1, Eps: 1e-5, SiLU: true}, Shape{3, 2, 2, 10}},
		{"wide", backend.Norm{Groups: 8, Eps: 1e-5, SiLU: true}, Shape{2, 8, 8, 136}},
	}
	var cases []Case
	for _, c := range list {
		cases = append(cases, Case{Name: c.name, Attrs: c.a, In: in(c.a, c.s), Grad: grad, NoGrad: noGrad})
	}
	return cases
}

// GroupNorm normalises x: [N,H,W,C] in groups of channels and scales it by gamma: [C], beta: [C]; SiLU follows if asked for.
func (g *Graph) GroupNorm(x, gamma, beta *Value, groups int, eps float32, silu bool) *Value {
	return g.one(groupNorm, backend.Norm{Groups: groups, Eps: eps, SiLU: silu}, x, gamma, beta)
}
