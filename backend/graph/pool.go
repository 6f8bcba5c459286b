package graph

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// pool: the maximum, or the mean, of K x K pixels every Stride pixels, Pad pixels around the image being nothing: they count neither
// for the maximum nor in the mean. relu: y = max(x, 0). Neither has a gradient: they serve networks that are not trained here.
var pool, relu *Op

func init() {
	pool = register(&Op{
		Name: "pool",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4); err != nil {
				return nil, err
			}
			a, s := attrs.(backend.Pool), in[0].Shape
			if a.K < 1 || a.Stride < 1 || a.Pad < 0 || a.Pad >= a.K || s[1]+2*a.Pad < a.K || s[2]+2*a.Pad < a.K {
				return nil, fmt.Errorf("a pool of %d pixels, stride %d, padding %d, of %dx%d", a.K, a.Stride, a.Pad, s[1], s[2])
			}
			return []Type{F32(s[0], (s[1]+2*a.Pad-a.K)/a.Stride+1, (s[2]+2*a.Pad-a.K)/a.Stride+1, s[3])}, nil
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a, x, y := attrs.(backend.Pool), in[0], out[0]
			s := y.Shape
			for n := range s[0] {
				for h := range s[1] {
					for w := range s[2] {
						for c := range s[3] {
							best, sum, count := math.Inf(-1), 0.0, 0.0
							for i := h*a.Stride - a.Pad; i < h*a.Stride-a.Pad+a.K; i++ {
								for j := w*a.Stride - a.Pad; j < w*a.Stride-a.Pad+a.K; j++ {
									if i < 0 || j < 0 || i >= x.Shape[1] || j >= x.Shape[2] {
										continue
									}
									v := x.Data[x.at4(n, i, j, c)]
									best, sum, count = max(best, v), sum+v, count+1
								}
							}
							if !a.Max {
								best = sum / count
							}
							y.Data[y.at4(n, h, w, c)] = best
						}
					}
				}
			}
		},
		FLOPs: func(attrs any, _, out []Type) int64 {
			k := int64(attrs.(backend.Pool).K)
			return k * k * int64(out[0].Shape.Elems())
		},
		Cases: []Case{
			{Name: "max, stride 2", Attrs: backend.Pool{K: 3, Stride: 2, Max: true}, In: []Input{x(2, 7, 9, 5)}},
			{Name: "max, padded", Attrs: backend.Pool{K: 3, Stride: 1, Pad: 1, Max: true}, In: []Input{x(2, 4, 5, 33)}},
			{Name: "mean, padded", Attrs: backend.Pool{K: 3, Stride: 1, Pad: 1}, In: []Input{x(2, 4, 5, 33)}},
			{Name: "mean, one pixel", Attrs: backend.Pool{K: 3, Stride: 1, Pad: 1}, In: []Input{x(2, 1, 1, 8)}},
		},
	})
	relu = register(&Op{
		Name:  "relu",
		Infer: sameTypes(1),
		Ref: func(_ any, in, out []*Tensor) {
			for i, v := range in[0].Data {
				out[0].Data[i] = max(v, 0)
			}
		},
		FLOPs: elementwise(1),
		Cases: []Case{{Name: "odd", In: []Input{x(2, 3, 5, 7)}}, {Name: "wide", In: []Input{x(2, 4, 4, 64)}}},
	})
}

// MaxPool is the maximum of k x k pixels of x: [N,H,W,C] every stride pixels, with padding that does not count. It has no gradient.
func (g *Graph) MaxPool(x *Value, k, stride, pad int) *Value {
	return g.one(pool, backend.Pool{K: k, Stride: stride, Pad: pad, Max: true}, x)
}

// MeanPool is the mean of k x k pixels of x: [N,H,W,C] every stride pixels, with padding that does not count. It has no gradient.
func (g *Graph) MeanPool(x *Value, k, stride, pad int) *Value {
	return g.one(pool, backend.Pool{K: k, Stride: stride, Pad: pad}, x)
}

// ReLU is max(x, 0). It has no gradient.
func (g *Graph) ReLU(x *Value) *Value { return g.one(relu, nil, x) }

// SumSpace adds up the pixels of x: [N,H,W,C], giving [N,1,1,C].
func (g *Graph) SumSpace(x *Value) *Value { return g.one(sumSpace, nil, x) }
