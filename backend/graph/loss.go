package graph

// mse: loss[0] = mean of (p - q)^2 over everything, each[n] the mean over one image. q gets no gradient.
// mse_grad: dp = 2 (p - q) / elements * dloss from p, q, dloss: [1].
var mse, mseGrad *Op

func init() {
	mse = register(&Op{
		Name: "mse",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4); err != nil {
				return nil, err
			}
			return []Type{F32(1), F32(in[0].Shape[0])}, sameShape(in[1].Shape, in[0].Shape)
		},
		VJP: func(c *Cotangent) []*Value {
			return []*Value{c.one(mseGrad, nil, c.In(0), c.In(1), c.Out[0]), nil}
		},
		Ref: func(_ any, in, out []*Tensor) {
			per, n := len(in[0].Data)/in[0].Shape[0], in[0].Shape[0]
			for i := range in[0].Data {
				d := in[0].Data[i] - in[1].Data[i]
				out[1].Data[i/per] += d * d / float64(per)
			}
			for _, v := range out[1].Data {
				out[0].Data[0] += v / float64(n)
			}
		},
		FLOPs: func(_ any, in, _ []Type) int64 { return 3 * int64(in[0].Shape.Elems()) },
		Cases: []Case{
			{Name: "odd", In: []Input{x(3, 3, 5, 3), x(3, 3, 5, 3)}, Grad: []int{0}, NoGrad: []int{1}},
			{Name: "large", In: []Input{x(2, 32, 32, 3), x(2, 32, 32, 3)}, Grad: []int{0}, NoGrad: []int{1}},
		},
	})
	mseGrad = register(&Op{
		Name: "mse_grad",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4, 1); err != nil {
				return nil, err
			}
			if err := sameShape(in[2].Shape, Shape{1}); err != nil {
				return nil, err
			}
			return []Type{in[0]}, sameShape(in[1].Shape, in[0].Shape)
		},
		Ref: func(_ any, in, out []*Tensor) {
			k := 2 * in[2].Data[0] / float64(len(in[0].Data))
			for i := range in[0].Data {
				out[0].Data[i] = k * (in[0].Data[i] - in[1].Data[i])
			}
		},
		FLOPs: elementwise(2),
		Cases: []Case{{Name: "odd", In: []Input{x(3, 3, 5, 3), x(3, 3, 5, 3), {F32(1), exactly(2.5)}}}},
	})
}

// MSE is the mean squared error of p against q: [N,H,W,C], and that of each image: [N].
func (g *Graph) MSE(p, q *Value) (loss, each *Value) {
	out := g.Apply(mse, nil, p, q)
	return out[0], out[1]
}
