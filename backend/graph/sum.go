package graph

// sum_rows: y[c] = sum over all but the last axis of x[...,c]: the gradient of a bias.
var sumRows = register(&Op{
	Name: "sum_rows",
	Infer: func(_ any, in []Type) ([]Type, error) {
		if err := want(in, 4); err != nil {
			return nil, err
		}
		return []Type{F32(in[0].Shape[3])}, nil
	},
	Ref: func(_ any, in, out []*Tensor) {
		C := in[0].Shape[3]
		for i, v := range in[0].Data {
			out[0].Data[i%C] += v
		}
	},
	FLOPs: func(_ any, in, _ []Type) int64 { return int64(in[0].Shape.Elems()) },
	Cases: []Case{
		{Name: "odd", In: []Input{x(2, 3, 5, 7)}},
		{Name: "wide", In: []Input{x(3, 8, 8, 130)}},
		{Name: "many", In: []Input{x(5, 16, 16, 3)}},
	},
})

// sum_space: y[n,0,0,c] = sum over h,w of x[n,h,w,c]: the gradient of a row that was added to every pixel.
var sumSpace = register(&Op{
	Name: "sum_space",
	Infer: func(_ any, in []Type) ([]Type, error) {
		if err := want(in, 4); err != nil {
			return nil, err
		}
		return []Type{F32(in[0].Shape[0], 1, 1, in[0].Shape[3])}, nil
	},
	Ref: func(_ any, in, out []*Tensor) {
		s := in[0].Shape
		for i, v := range in[0].Data {
			out[0].Data[i/(s[1]*s[2]*s[3])*s[3]+i%s[3]] += v
		}
	},
	FLOPs: func(_ any, in, _ []Type) int64 { return int64(in[0].Shape.Elems()) },
	Cases: []Case{{Name: "odd", In: []Input{x(2, 3, 5, 7)}}, {Name: "wide", In: []Input{x(3, 8, 8, 130)}}},
})

// add_row: y[n,h,w,c] = x[n,h,w,c] + r[n,0,0,c]: the time embedding.
var addRow = register(&Op{
	Name: "add_row",
	Infer: func(_ any, in []Type) ([]Type, error) {
		if err := want(in, 4, 4); err != nil {
			return nil, err
		}
		s := in[0].Shape
		return []Type{in[0]}, sameShape(in[1].Shape, Shape{s[0], 1, 1, s[3]})
	},
	VJP: func(c *Cotangent) []*Value {
		d := []*Value{c.Out[0], nil}
		if c.Need[1] {
			d[1] = c.one(sumSpace, nil, c.Out[0])
		}
		return d
	},
	Ref: func(_ any, in, out []*Tensor) {
		s := in[0].Shape
		for i, v := range in[0].Data {
			out[0].Data[i] = v + in[1].Data[i/(s[1]*s[2]*s[3])*s[3]+i%s[3]]
		}
	},
	FLOPs: elementwise(1),
	Cases: []Case{
		{Name: "odd", In: []Input{x(2, 3, 5, 7), x(2, 1, 1, 7)}, Grad: []int{0, 1}},
		{Name: "wide", In: []Input{x(3, 8, 8, 96), x(3, 1, 1, 96)}, Grad: []int{0, 1}},
	},
})

// SumRows adds up all but the last axis of x: [N,H,W,C], giving [C].
func (g *Graph) SumRows(x *Value) *Value { return g.one(sumRows, nil, x) }

// AddRow adds r: [N,1,1,C] to every pixel of x: [N,H,W,C].
func (g *Graph) AddRow(x, r *Value) *Value { return g.one(addRow, nil, x, r) }

// modulate: y = x (1 + scale) + shift with st[n,0,0,:] = scale then shift, C values each.
var modulate, modulateGrad *Op

func init() {
	modulate = register(&Op{
		Name: "modulate",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4); err != nil {
				return nil, err
			}
			s := in[0].Shape
			return []Type{in[0]}, sameShape(in[1].Shape, Shape{s[0], 1, 1, 2 * s[3]})
		},
		VJP: func(c *Cotangent) []*Value { return c.Apply(modulateGrad, nil, c.In(0), c.In(1), c.Out[0]) },
		Ref: func(_ any, in, out []*Tensor) {
			s, C := in[0].Shape, in[0].Shape[3]
			for i, v := range in[0].Data {
				row := in[1].Data[i/(s[1]*s[2]*C)*2*C:]
				out[0].Data[i] = v*(1+row[i%C]) + row[C+i%C]
			}
		},
		FLOPs: elementwise(2),
		Cases: []Case{{Name: "odd", In: []Input{x(2, 3, 5, 7), x(2, 1, 1, 14)}, Grad: []int{0, 1}}, {Name: "wide", In: []Input{x(3, 4, 4, 48), x(3, 1, 1, 96)}, Grad: []int{0, 1}}},
	})
	// modulate_grad: dx, dst from x, st, dy.
	modulateGrad = register(&Op{
		Name: "modulate_grad",
		Infer: func(_ any, in []Type) ([]Type, error) {
			if err := want(in, 4, 4, 4); err != nil {
				return nil, err
			}
			s := in[0].Shape
			if err := sameShape(in[1].Shape, Shape{s[0], 1, 1, 2 * s[3]}); err != nil {
				return nil, err
			}
			return []Type{in[0], in[1]}, sameShape(in[2].Shape, s)
		},
		Ref: func(_ any, in, out []*Tensor) {
			s, C := in[0].Shape, in[0].Shape[3]
			for i, v := range in[0].Data {
				at := i / (s[1] * s[2] * C) * 2 * C
				dy := in[2].Data[i]
				out[0].Data[i] = dy * (1 + in[1].Data[at+i%C])
				out[1].Data[at+i%C] += dy * v
				out[1].Data[at+C+i%C] += dy
			}
		},
		FLOPs: elementwise(5),
		Cases: []Case{{Name: "odd", In: []Input{x(2, 3, 5, 7), x(2, 1, 1, 14), x(2, 3, 5, 7)}}, {Name: "wide", In: []Input{x(3, 4, 4, 48), x(3, 1, 1, 96), x(3, 4, 4, 48)}}},
	})
}

// Modulate is x (1 + scale) + shift; st: [N,1,1,2C] holds scale, then shift.
func (g *Graph) Modulate(x, st *Value) *Value { return g.one(modulate, nil, x, st) }

// global_norm: y = sqrt(sum of x^2) of a flat buffer.
var globalNorm = register(&Op{
	Name: "global_norm",
	Infer: func(_ any, in []Type) ([]Type, error) {
		return []Type{F32(1)}, want(in, 1)
	},
	Ref: func(_ any, in, out []*Tensor) {
		out[0].Data[0] = norm(in[0].Data)
	},
	FLOPs: func(_ any, in, _ []Type) int64 { return 2 * int64(in[0].Shape.Elems()) },
	Cases: []Case{{Name: "odd", In: []Input{x(1037)}}, {Name: "large", In: []Input{x(300001)}}},
})

// GlobalNorm is the Euclidean norm of a flat buffer x: [n].
func (g *Graph) GlobalNorm(x *Value) *Value { return g.one(globalNorm, nil, x) }
