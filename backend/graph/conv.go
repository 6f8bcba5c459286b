package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// conv2d: y[n,oh,ow,o] = b[o] + sum over kh,kw,i of x[n, oh*s+kh-top, ow*s+kw-left, i] w[o,kh,kw,i]
// x: [N,H,W,I], w: [O,KH,KW,I], b: [O] or left out; y: [N,OH,OW,O]. A linear layer is the 1x1 case.
var conv2d, convData, convWeight *Op

func convOut(a backend.Conv) (oh, ow int) {
	return (a.H+a.Top+a.Bottom-a.KH)/a.Stride + 1, (a.W+a.Left+a.Right-a.KW)/a.Stride + 1
}

// convFits reports an error unless the kernel fits into the padded image at least once.
func convFits(a backend.Conv) error {
	if a.Stride < 1 || min(a.KH, a.KW, a.H, a.W) < 1 || min(a.Top, a.Left, a.Bottom, a.Right) < 0 {
		return fmt.Errorf("stride, kernel, image or padding out of range: %+v", a)
	}
	if a.H+a.Top+a.Bottom < a.KH || a.W+a.Left+a.Right < a.KW {
		return fmt.Errorf("the image with its padding is smaller than the kernel: %+v", a)
	}
	return nil
}

// convTaps calls f for every product of a convolution: output pixel, tap, input pixel.
func convTaps(a backend.Conv, n int, f func(b, oh, ow, kh, kw, h, w int)) {
	OH, OW := convOut(a)
	for b := range n {
		for oh := range OH {
			for ow := range OW {
				for kh := range a.KH {
					for kw := range a.KW {
						h, w := oh*a.Stride+kh-a.Top, ow*a.Stride+kw-a.Left
						if h >= 0 && h < a.H && w >= 0 && w < a.W {
							f(b, oh, ow, kh, kw, h, w)
						}
					}
				}
			}
		}
	}
}

func convFLOPs(a backend.Conv, n, i, o int) int64 {
	oh, ow := convOut(a)
	return 2 * int64(n*oh*ow) * int64(a.KH*a.KW*i) * int64(o)
}

func init() {
	conv2d = register(&Op{
		Name: "conv2d",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4, -1); err != nil {
				return nil, err
			}
			a, x, w := attrs.(backend.Conv), in[0].Shape, in[1].Shape
			if x[3] != w[3] || w[1] != a.KH || w[2] != a.KW || x[1] != a.H || x[2] != a.W {
				return nil, fmt.Errorf("x %v and w %v do not fit %+v", x, w, a)
			}
			if in[2].Shape != nil && in[2].Shape[0] != w[0] {
				return nil, fmt.Errorf("bias %v, wants [%d]", in[2], w[0])
			}
			if err := convFits(a); err != nil {
				return nil, err
			}
			oh, ow := convOut(a)
			return []Type{F32(x[0], oh, ow, w[0])}, nil
		},
		VJP: func(c *Cotangent) []*Value {
			d := make([]*Value, 3)
			if c.Need[0] {
				d[0] = c.one(convData, c.Node.Attrs, c.Out[0], c.In(1))
			}
			if c.Need[1] {
				d[1] = c.one(convWeight, c.Node.Attrs, c.In(0), c.Out[0])
			}
			if c.Need[2] {
				d[2] = c.SumRows(c.Out[0])
			}
			return d
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a, x, w, y := attrs.(backend.Conv), in[0], in[1], out[0]
			O, I := w.Shape[0], w.Shape[3]
			if in[2] != nil {
				for i := range y.Data {
					y.Data[i] = in[2].Data[i%O]
				}
			}
			convTaps(a, x.Shape[0], func(b, oh, ow, kh, kw, h, ww int) {
				xs, ys := x.Data[x.at4(b, h, ww, 0):][:I], y.Data[y.at4(b, oh, ow, 0):][:O]
				for o := range ys {
					acc, ws := 0.0, w.Data[w.at4(o, kh, kw, 0):][:I]
					for i, v := range xs {
						acc += v * ws[i]
					}
					ys[o] += acc
				}
			})
		},
		FLOPs: func(attrs any, in, _ []Type) int64 {
			return convFLOPs(attrs.(backend.Conv), in[0].Shape[0], in[0].Shape[3], in[1].Shape[0])
		},
		Cases: append(convCases(func(a backend.Conv, n, i, o int) []Input {
			return []Input{x(n, a.H, a.W, i), x(o, a.KH, a.KW, i), x(o)}
		}, 0, 1, 2), Case{
			Name: "no bias", Attrs: backend.Conv{KH: 1, KW: 1, Stride: 1, H: 3, W: 2}, In: []Input{x(2, 3, 2, 5), x(6, 1, 1, 5), none}, Grad: []int{0, 1},
		}),
	})
	// conv2d_data: dx from dy: [N,OH,OW,O] and w: [O,KH,KW,I].
	convData = register(&Op{
		Name: "conv2d_data",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4); err != nil {
				return nil, err
			}
			a, dy, w := attrs.(backend.Conv), in[0].Shape, in[1].Shape
			if err := convFits(a); err != nil {
				return nil, err
			}
			if oh, ow := convOut(a); dy[1] != oh || dy[2] != ow || dy[3] != w[0] || w[1] != a.KH || w[2] != a.KW {
				return nil, fmt.Errorf("dy %v and w %v do not fit %+v", dy, w, a)
			}
			return []Type{F32(dy[0], a.H, a.W, w[3])}, nil
		},
		Ref: func(attrs any, in, out []*Tensor) {
			dy, w, dx := in[0], in[1], out[0]
			O, I := w.Shape[0], w.Shape[3]
			convTaps(attrs.(backend.Conv), dy.Shape[0], func(b, oh, ow, kh, kw, h, ww int) {
				xs := dx.Data[dx.at4(b, h, ww, 0):][:I]
				for o, v := range dy.Data[dy.at4(b, oh, ow, 0):][:O] {
					ws := w.Data[w.at4(o, kh, kw, 0):][:I]
					for i := range xs {
						xs[i] += v * ws[i]
					}
				}
			})
		},
		FLOPs: func(attrs any, in, _ []Type) int64 {
			return convFLOPs(attrs.(backend.Conv), in[0].Shape[0], in[1].Shape[3], in[1].Shape[0])
		},
		Cases: convCases(func(a backend.Conv, n, i, o int) []Input {
			oh, ow := convOut(a)
			return []Input{x(n, oh, ow, o), x(o, a.KH, a.KW, i)}
		}),
	})
	// conv2d_weight: dw: [O,KH,KW,I] from x: [N,H,W,I] and dy: [N,OH,OW,O].
	convWeight = register(&Op{
		Name: "conv2d_weight",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4); err != nil {
				return nil, err
			}
			a, x, dy := attrs.(backend.Conv), in[0].Shape, in[1].Shape
			if err := convFits(a); err != nil {
				return nil, err
			}
			if oh, ow := convOut(a); x[0] != dy[0] || dy[1] != oh || dy[2] != ow || x[1] != a.H || x[2] != a.W {
				return nil, fmt.Errorf("x %v and dy %v do not fit %+v", x, dy, a)
			}
			return []Type{F32(dy[3], a.KH, a.KW, x[3])}, nil
		},
		Ref: func(attrs any, in, out []*Tensor) {
			x, dy, dw := in[0], in[1], out[0]
			O, I := dy.Shape[3], x.Shape[3]
			convTaps(attrs.(backend.Conv), x.Shape[0], func(b, oh, ow, kh, kw, h, w int) {
				xs := x.Data[x.at4(b, h, w, 0):][:I]
				for o, v := range dy.Data[dy.at4(b, oh, ow, 0):][:O] {
					ws := dw.Data[dw.at4(o, kh, kw, 0):][:I]
					for i := range xs {
						ws[i] += v * xs[i]
					}
				}
			})
		},
		FLOPs: func(attrs any, in, _ []Type) int64 {
			return convFLOPs(attrs.(backend.Conv), in[0].Shape[0], in[0].Shape[3], in[1].Shape[3])
		},
		Cases: convCases(func(a backend.Conv, n, i, o int) []Input {
			oh, ow := convOut(a)
			return []Input{x(n, a.H, a.W, i), x(n, oh, ow, o)}
		}),
	})
}

// convCases are the shapes that all three share: odd and even extents, strides, one-sided padding, channels around every tile width.
func convCases(in func(a backend.Conv, n, i, o int) []Input, grad ...int) []Case {
	pad1 := func(k, s, h, w int) backend.Conv {
		return backend.Conv{KH: k, KW: k, Stride: s, Top: k / 2, Left: k / 2, Bottom: k / 2, Right: k / 2, H: h, W: w}
	}
	oneSided := backend.Conv{KH: 3, KW: 3, Stride: 2, Bottom: 1, Right: 1, H: 6, W: 8}
	list := []struct {
		name    string
		a       backend.Conv
		n, i, o int
	}{
		{"3x3", pad1(3, 1, 5, 7), 2, 5, 6},
		{"3x3 rgb in", pad1(3, 1, 8, 8), 2, 3, 33},
		{"3x3 rgb out", pad1(3, 1, 8, 8), 2, 34, 3},
		{"3x3 wide", pad1(3, 1, 8, 8), 3, 64, 96},
		{"3x3 one pixel", pad1(3, 1, 1, 1), 2, 8, 40},
		{"3x3 stride 2", pad1(3, 2, 8, 6), 2, 17, 32},
		{"3x3 stride 2 odd", pad1(3, 2, 7, 5), 1, 4, 4},
		{"3x3 stride 2 one-sided", oneSided, 2, 32, 16},
		{"1x1", pad1(1, 1, 4, 5), 2, 7, 9},
		{"1x1 wide", pad1(1, 1, 4, 4), 2, 64, 130},
		{"linear", pad1(1, 1, 1, 1), 5, 32, 48},
		{"5x5", pad1(5, 1, 6, 6), 1, 3, 4},
	}
	var cases []Case
	for _, c := range list {
		cases = append(cases, Case{Name: c.name, Attrs: c.a, In: in(c.a, c.n, c.i, c.o), Tol: 2e-6, Grad: grad})
	}
	return cases
}

// Conv2D is a convolution of x: [N,H,W,I] with w: [O,KH,KW,I] and bias b: [O] (or nil); pad is top, left, bottom, right.
func (g *Graph) Conv2D(x, w, b *Value, stride int, pad [4]int) *Value {
	if len(x.Shape) != 4 || len(w.Shape) != 4 {
		Fail("graph: conv2d at %q: x %v and w %v, want 4 axes each", g.scope, x.Type, w.Type)
	}
	return g.one(conv2d, backend.Conv{
		KH: w.Shape[1], KW: w.Shape[2], Stride: stride, Top: pad[0], Left: pad[1], Bottom: pad[2], Right: pad[3], H: x.Shape[1], W: x.Shape[2],
	}, x, w, b)
}
