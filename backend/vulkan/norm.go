//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import "github.com/ddpm-tui/ddpm-tui/backend"

// A group norm has three passes: each channel's mean and deviation over a part of an image, then each group's from those, then the
// elements. The gradient is built the same way from sums of channels.

func init() {
	ops["group_norm"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			x := s.In[0].Shape
			parts, _ := chunks(x[1] * x[2])
			return x[0] * parts * x[3] * 2
		},
		emit: func(c *call) {
			a, x := c.step.Attrs.(backend.Norm), c.in[0].Shape
			P, C := x[1]*x[2], x[3]
			parts, per := chunks(P)
			c.run(launch{shader: "norm_stats", groups: [3]int{ceil(C, lanes), parts, x[0]}, spec: []int{P, C, per}, bufs: []tensor{c.in[0], c.scratch}})
			c.barrier()
			c.run(launch{
				shader: "norm_finish", groups: [3]int{a.Groups, x[0], 1}, local: min(64, c.local()), spec: []int{P, C, per, a.Groups},
				args: []uint32{uint32(parts), f32(a.Eps)}, bufs: []tensor{c.scratch, c.out[1]},
			})
			c.barrier()
			normApply(c, c.out[1])
		},
	}
	ops["group_norm_again"] = op{emit: func(c *call) { normApply(c, c.in[3]) }}
	ops["group_norm_grad"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			x := s.In[0].Shape
			parts, _ := chunks(x[1] * x[2])
			return normSums(x, parts) + x[0]*s.Attrs.(backend.Norm).Groups*2
		},
		emit: func(c *call) {
			a, x := c.step.Attrs.(backend.Norm), c.in[0].Shape
			P, C, N := x[1]*x[2], x[3], x[0]
			parts, per := chunks(P)
			sums := c.scratch
			sums.first += normSums(x, parts)
			in := c.in[:5:5]
			c.run(launch{
				shader: "norm_grad_sums", groups: [3]int{ceil(C, lanes), parts, N}, spec: []int{P, C, per, a.Groups, flag(a.SiLU)}, bufs: append(in, c.scratch),
			})
			c.barrier()
			c.run(launch{shader: "norm_grad_params", groups: c.each(C), spec: []int{C}, args: u32s(C, N*parts), bufs: []tensor{c.scratch, c.out[1], c.out[2]}})
			c.run(launch{
				shader: "norm_grad_groups", groups: c.each(N * a.Groups), spec: []int{P, C, a.Groups}, args: u32s(N*a.Groups, parts),
				bufs: []tensor{c.scratch, c.in[1], sums},
			})
			c.barrier()
			n := c.in[0].elems()
			c.run(launch{
				shader: "norm_grad_apply", groups: c.each(n), spec: []int{P * C, C, a.Groups, flag(a.SiLU)}, args: u32s(n), bufs: append(in, sums, c.out[0]),
			})
		},
	}
}

// normApply is the last pass of a group norm.
func normApply(c *call, stats tensor) {
	a, x, n := c.step.Attrs.(backend.Norm), c.in[0].Shape, c.in[0].elems()
	c.run(launch{
		shader: "norm_apply", groups: c.each(n), spec: []int{x[1] * x[2] * x[3], x[3], a.Groups, flag(a.SiLU)}, args: u32s(n),
		bufs: []tensor{c.in[0], c.in[1], c.in[2], stats, c.out[0]},
	})
}

// normSums is the floats of the sums of all channels.
func normSums(x backend.Shape, parts int) int { return x[0] * parts * x[3] * 2 }

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
