//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import "github.com/ddpm-tui/ddpm-tui/backend"

// Convolutions are matrix products whose operands are gathered while they are fetched (gemm.glsl). Where the result has few tiles
// the sum is split, and a second pass adds the parts in order.

// A tiling is how a product is cut: BM x BN of the result to a workgroup, BK of the sum at a time, TM x TN to an invocation, or, with
// cooperative matrices, to a subgroup of so many invocations.
type tiling struct{ BM, BN, BK, TM, TN, subgroup int }

func (t tiling) local() int { return t.BM / t.TM * (t.BN / t.TN) * max(1, t.subgroup) }

func (t tiling) blocks(m, n int) int { return ceil(m, t.BM) * ceil(n, t.BN) }

// tilings, the largest first.
var tilings = []tiling{{128, 128, 8, 8, 8, 0}, {128, 64, 16, 8, 4, 0}, {64, 64, 16, 4, 4, 0}, {32, 32, 16, 4, 4, 0}}

// A product is a matrix product with the tiling and the number of parts of its sum.
type product struct {
	m, n, k int
	tiling
	parts, split int
}

// enough is how many workgroups keep a device busy.
const enough = 128

// product chooses the largest tiling that gives enough workgroups and wastes little, and splits the sum where even the smallest does not.
func (b *Backend) product(m, n, k int, matrix *matrixShape) product {
	p := product{m: m, n: n, k: k, parts: 1}
	list, most := tilings, b.local()
	if matrix != nil {
		list, most = b.matrixTilings(matrix), min(b.Limits.Invocations, b.sizes[0])
	}
	p.tiling = list[len(list)-1]
	for _, t := range list {
		fits := t.local() <= most && t.BM <= 2*m && t.BN <= 2*n
		if fits && t.blocks(m, n) >= enough {
			p.tiling = t
			break
		}
	}
	p.split = ceil(k, p.BK) * p.BK
	if have := p.blocks(m, n); have < enough {
		parts := min(ceil(enough, have), ceil(k, 8*p.BK), 64)
		p.split = ceil(ceil(k, parts), p.BK) * p.BK
		p.parts = ceil(k, p.split)
	}
	return p
}

// scratch is the floats of the parts.
func (p product) scratch() int {
	if p.parts == 1 {
		return 0
	}
	return p.parts * p.m * p.n
}

// The products of a convolution and its gradients, from the shapes of its tensors.
func forwardProduct(x, w, y backend.Shape) (m, n, k int) {
	return y[0] * y[1] * y[2], w[0], w[1] * w[2] * w[3]
}

func dataProduct(dy, w, dx backend.Shape) (m, n, k int) {
	return dx[0] * dx[1] * dx[2], w[3], w[1] * w[2] * w[0]
}

func weightProduct(x, dy, dw backend.Shape) (m, n, k int) {
	return dw[0], dw[1] * dw[2] * dw[3], dy[0] * dy[1] * dy[2]
}

func init() {
	ops["conv2d"] = conv("conv2d", forwardProduct, func(s *backend.Step) (x, y backend.Shape, channels int) {
		return s.In[0].Shape, s.Out[0].Shape, s.In[0].Shape[3]
	})
	ops["conv2d_data"] = conv("conv2d_data", dataProduct, func(s *backend.Step) (x, y backend.Shape, channels int) {
		return s.Out[0].Shape, s.In[0].Shape, s.In[0].Shape[3]
	})
	ops["conv2d_weight"] = conv("conv2d_weight", weightProduct, func(s *backend.Step) (x, y backend.Shape, channels int) {
		return s.In[0].Shape, s.In[1].Shape, s.In[0].Shape[3]
	})
}

// conv is one of the three; shapes finds the image, the convolved one, and the channels that the shader gathers.
func conv(shader string, of func(in0, in1, out backend.Shape) (m, n, k int), shapes func(*backend.Step) (x, y backend.Shape, channels int)) op {
	choose := func(b *Backend, s *backend.Step) product {
		m, n, k := of(s.In[0].Shape, s.In[1].Shape, s.Out[0].Shape)
		return b.product(m, n, k, b.matrixFor(s))
	}
	return op{
		scratch: func(b *Backend, s *backend.Step) int { return choose(b, s).scratch() },
		emit: func(c *call) {
			p, a := choose(c.Backend, c.step), c.step.Attrs.(backend.Conv)
			x, y, channels := shapes(c.step)
			forward := shader == "conv2d"
			bias := forward && !c.step.In[2].Absent()
			spec := []int{p.BM, p.BN, p.BK, p.TM, p.TN, p.m, p.n, p.k, p.split, x[1], x[2], channels, y[1], y[2], a.KH, a.KW, a.Stride, a.Top, a.Left}
			bufs := append(c.in[:len(c.in):len(c.in)], c.out[0])
			if p.parts > 1 {
				bufs[len(bufs)-1] = c.scratch
			}
			spec, name := append(spec, flag(bias && p.parts == 1)), shader
			if m := c.matrixFor(c.step); m != nil {
				spec, name = append(spec, m.M, m.N, m.K), "matrix_"+shader
			}
			c.run(launch{shader: name, subgroup: p.subgroup, groups: [3]int{ceil(p.m, p.BM), ceil(p.n, p.BN), p.parts}, local: p.local(), spec: spec, bufs: bufs})
			if p.parts == 1 {
				return
			}
			c.barrier()
			n := p.m * p.n
			last := []tensor{c.scratch, {}, c.out[0]}
			if bias {
				last[1] = c.in[2]
			}
			c.run(launch{shader: "add_parts", groups: c.each(n), spec: []int{p.n, flag(bias)}, args: u32s(n, p.parts), bufs: last})
		},
	}
}
