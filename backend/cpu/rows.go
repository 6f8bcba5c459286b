package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// Kernels over the pixels of images: rows of channels added, summed, joined, resampled.

// sumRowsParts is how many partial sums sum_rows makes of the image rows: a fixed number, so that the result does not depend on the workers.
const sumRowsParts = 16

func init() {
	kernels["sum_rows"] = kernel{
		scratch: func(_ *Backend, s *backend.Step) int { return sumRowsParts * s.In[0].Shape[3] },
		prepare: func(c *call) func() {
			x, y := c.in[0].image(), c.out[0].f32()
			rows := x.n * x.h
			per := ceil(rows, sumRowsParts)
			parts := ceil(rows, per)
			task := func(_, i int) {
				sum := c.scratch[i*x.c:][:x.c]
				clear(sum)
				for r := i * per; r < min((i+1)*per, rows); r++ {
					c.vec.RowSums(sum, x.row(r/x.h, r%x.h), x.c, x.w)
				}
			}
			if c.tallied != nil {
				return func() {
					clear(y)
					for n := range x.n {
						c.tallySums(n, y)
					}
				}
			}
			return func() {
				c.pool.run(parts, task)
				copy(y, c.scratch[:x.c])
				for i := 1; i < parts; i++ {
					c.vec.Add(y, y, c.scratch[i*x.c:][:x.c])
				}
			}
		},
	}
	kernels["sum_space"] = kernel{prepare: func(c *call) func() {
		x, y := c.in[0].image(), c.out[0].f32()
		return c.blocks(x.n, 1, func(n, _ int) {
			sum := y[n*x.c:][:x.c]
			clear(sum)
			if c.tallied != nil {
				c.tallySums(n, sum)
				return
			}
			for h := range x.h {
				c.vec.RowSums(sum, x.row(n, h), x.c, x.w)
			}
		})
	}}
	kernels["add_row"] = kernel{prepare: func(c *call) func() {
		x, r, y := c.in[0].image(), c.in[1].f32(), c.out[0].image()
		return c.eachRow(x, func(n, h int) { c.vec.AddRow(y.row(n, h), y.c, x.row(n, h), x.c, r[n*x.c:][:x.c], x.w) })
	}}
	kernels["modulate"] = kernel{
		again:   true,
		scratch: func(_ *Backend, s *backend.Step) int { return s.In[1].Shape.Elems() / 2 },
		prepare: func(c *call) func() {
			x, st, y := c.in[0].image(), c.in[1].f32(), c.out[0].image()
			run := c.eachRow(x, func(n, h int) {
				c.vec.AffineSiLU(y.row(n, h), y.c, x.row(n, h), x.c, c.scratch[n*x.c:][:x.c], st[(2*n+1)*x.c:][:x.c], x.w, false)
			})
			return func() {
				for n := range x.n {
					c.vec.ScaleAdd(c.scratch[n*x.c:][:x.c], st[2*n*x.c:][:x.c], 1, 1)
				}
				run()
			}
		},
	}
	kernels["modulate_grad"] = kernel{
		scratch: func(_ *Backend, s *backend.Step) int { return 2 * s.In[1].Shape.Elems() },
		prepare: func(c *call) func() {
			x, st, dy, dx, dst := c.in[0].image(), c.in[1].f32(), c.in[2].image(), c.out[0].image(), c.out[1].f32()
			C := x.c
			return c.blocks(x.n, 1, func(n, _ int) {
				one, zero, row := c.scratch[4*n*C:][:C], c.scratch[(4*n+1)*C:][:C], c.scratch[(4*n+2)*C:][:C]
				clear(zero)
				for i := range one {
					one[i] = 1
				}
				c.vec.ScaleAdd(row, st[2*n*C:][:C], 1, 1)
				dscale, dshift := dst[2*n*C:][:C], dst[(2*n+1)*C:][:C]
				clear(dscale)
				clear(dshift)
				for h := range x.h {
					c.vec.AffineSiLUGradSums(dshift, dscale, nil, 0, x.row(n, h), C, dy.row(n, h), C, one, zero, x.w, false)
					c.vec.AffineSiLU(dx.row(n, h), C, dy.row(n, h), C, row, zero, x.w, false)
				}
			})
		},
	}
	kernels["concat"] = kernel{again: true, prepare: func(c *call) func() {
		a, b, y := c.in[0].image(), c.in[1].image(), c.out[0].image()
		return c.eachRow(y, func(n, h int) {
			ra, rb, ry := a.row(n, h), b.row(n, h), y.row(n, h)
			for w := range y.w {
				copy(ry[w*y.c:], ra[w*a.c:][:a.c])
				copy(ry[w*y.c+a.c:], rb[w*b.c:][:b.c])
			}
		})
	}}
	kernels["channels"] = kernel{prepare: func(c *call) func() {
		x, y, from := c.in[0].image(), c.out[0].image(), c.step.Attrs.(backend.Channels).From
		return c.eachRow(y, func(n, h int) {
			rx, ry := x.row(n, h), y.row(n, h)
			for w := range y.w {
				copy(ry[w*y.c:][:y.c], rx[w*x.c+from:])
			}
		})
	}}
	kernels["upsample"] = kernel{again: true, prepare: func(c *call) func() {
		x, y, f := c.in[0].image(), c.out[0].image(), c.step.Attrs.(backend.Factor).Factor
		return c.eachRow(x, func(n, h int) {
			rx, ry := x.row(n, h), y.row(n, 2*h)
			for w := range x.w {
				pixel := ry[2*w*y.c:][:y.c]
				if f == 1 {
					copy(pixel, rx[w*x.c:])
				} else {
					c.vec.ScaleAdd(pixel, rx[w*x.c:][:x.c], f, 0)
				}
				copy(ry[(2*w+1)*y.c:][:y.c], pixel)
			}
			copy(y.row(n, 2*h+1), ry)
		})
	}}
	kernels["downsample"] = kernel{prepare: func(c *call) func() {
		x, y, f := c.in[0].image(), c.out[0].image(), c.step.Attrs.(backend.Factor).Factor
		return c.eachRow(y, func(n, h int) {
			a, b, ry := x.row(n, 2*h), x.row(n, 2*h+1), y.row(n, h)
			for w := range y.w {
				sum := ry[w*y.c:][:y.c]
				at := 2 * w * x.c
				c.vec.Add(sum, a[at:][:x.c], a[at+x.c:][:x.c])
				c.vec.Add(sum, sum, b[at:][:x.c])
				c.vec.Add(sum, sum, b[at+x.c:][:x.c])
				if f != 1 {
					c.vec.ScaleAdd(sum, sum, f, 0)
				}
			}
		})
	}}
}
