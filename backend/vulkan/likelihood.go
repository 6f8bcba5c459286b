//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import "github.com/ddpm-tui/ddpm-tui/backend"

// valueChunk is how many values' likelihoods one workgroup adds up at least: each costs many exponentials.
const valueChunk = 1024

func valueChunks(n int) (parts, per int) {
	per = max(valueChunk, ceil(n, 64))
	return ceil(n, per), per
}

func init() {
	ops["nll"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			q := s.In[1].Shape
			parts, _ := valueChunks(q[1] * q[2] * q[3])
			return q[0] * parts * 2
		},
		emit: func(c *call) {
			a, q := c.step.Attrs.(backend.Likelihood), c.in[1].Shape
			size := q[1] * q[2] * q[3]
			parts, per := valueChunks(size)
			c.run(launch{
				shader: "nll", groups: [3]int{parts, q[0], 1}, spec: []int{size, per, int(a.Kind), a.Components}, bufs: append(c.in[:3:3], c.scratch),
			})
			c.barrier()
			c.run(launch{shader: "nll_finish", groups: [3]int{1, 1, 1}, args: u32s(q[0], parts), bufs: []tensor{c.scratch, c.out[0], c.out[1]}})
		},
	}
	ops["nll_grad"] = op{
		scratch: func(_ *Backend, s *backend.Step) int { return s.In[1].Shape[0] },
		emit: func(c *call) {
			a, q := c.step.Attrs.(backend.Likelihood), c.in[1].Shape
			size := q[1] * q[2] * q[3]
			c.run(launch{shader: "weight_sums", groups: [3]int{q[0], 1, 1}, spec: []int{size}, bufs: []tensor{c.in[2], c.scratch}})
			c.barrier()
			n := c.in[1].elems()
			c.run(launch{
				shader: "nll_grad", groups: c.each(n), spec: []int{size, int(a.Kind), a.Components}, args: u32s(n, q[0]),
				bufs: append(c.in[:4:4], c.scratch, c.out[0]),
			})
		},
	}
}
