package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// grain is about how many elements one task of a memory-bound kernel takes.
const grain = 32 << 10

func init() {
	kernels["add"] = each2(func(c *call, dst, a, b []float32) { c.vec.Add(dst, a, b) })
	kernels["mul"] = each2(func(c *call, dst, a, b []float32) { c.vec.Mul(dst, a, b) })
	kernels["silu_grad"] = each2(func(c *call, dst, a, b []float32) { c.vec.SiLUGrad(dst, a, b) })
	kernels["silu"] = again(each1(func(c *call, dst, x []float32) { c.vec.SiLU(dst, x) }))
	kernels["scale"] = again(each1(func(c *call, dst, x []float32) {
		a := c.step.Attrs.(backend.Linear)
		c.vec.ScaleAdd(dst, x, a.A, a.B)
	}))
}

func again(k kernel) kernel {
	k.again = true
	return k
}

func each1(f func(c *call, dst, x []float32)) kernel {
	return kernel{prepare: func(c *call) func() {
		return c.runs(func(s [][]float32) { f(c, s[0], s[1]) }, c.out[0], c.in[0])
	}}
}

func each2(f func(c *call, dst, a, b []float32)) kernel {
	return kernel{prepare: func(c *call) func() {
		return c.runs(func(s [][]float32) { f(c, s[0], s[1], s[2]) }, c.out[0], c.in[0], c.in[1])
	}}
}

// runs returns what calls f for stretches of tensors of one shape that lie together in all of them: blocks of dense tensors, rows of images.
func (c *call) runs(f func(stretches [][]float32), ts ...tensor) func() {
	dense := true
	for _, t := range ts {
		dense = dense && t.v.Dense()
	}
	stretches := make([][][]float32, c.pool.n)
	for w := range stretches {
		stretches[w] = make([][]float32, len(ts))
	}
	if dense {
		n := ts[0].elems()
		task := func(w, i int) {
			for k, t := range ts {
				stretches[w][k] = t.f32()[i*grain : min((i+1)*grain, n)]
			}
			f(stretches[w])
		}
		return func() { c.pool.run(ceil(n, grain), task) }
	}
	images := make([]image, len(ts))
	for i, t := range ts {
		images[i] = t.image()
	}
	m := images[0]
	rows := m.n * m.h
	per := max(1, grain/(m.w*m.c))
	task := func(w, i int) {
		for r := i * per; r < min((i+1)*per, rows); r++ {
			for k, t := range images {
				stretches[w][k] = t.row(r/m.h, r%m.h)
			}
			f(stretches[w])
		}
	}
	return func() { c.pool.run(ceil(rows, per), task) }
}

// blocks calls f(from, to) for blocks of 0..n-1, in parallel.
func (c *call) blocks(n, per int, f func(from, to int)) func() {
	task := func(_, i int) { f(i*per, min((i+1)*per, n)) }
	return func() { c.pool.run(ceil(n, per), task) }
}

// eachRow calls f for every image row (n, h), in parallel.
func (c *call) eachRow(m image, f func(n, h int)) func() {
	return c.blocks(m.n*m.h, max(1, grain/(m.w*m.c)), func(from, to int) {
		for r := from; r < to; r++ {
			f(r/m.h, r%m.h)
		}
	})
}
