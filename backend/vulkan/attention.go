//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

func init() {
	ops["attention"] = op{emit: func(c *call) {
		x, spec, args := c.attention()
		c.run(launch{shader: "attention", groups: [3]int{x[1] * x[2], x[0] * c.heads(), 1}, spec: spec, args: args, bufs: append(c.in[:3:3], c.out...)})
	}}
	ops["attention_grad"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			x := s.In[0].Shape
			return x[0] * s.Attrs.(backend.Heads).Heads * x[1] * x[2]
		},
		emit: func(c *call) {
			x, spec, args := c.attention()
			q, k, v, p, do := c.in[0], c.in[1], c.in[2], c.in[3], c.in[4]
			groups := [3]int{x[1] * x[2], x[0] * c.heads(), 1}
			c.run(launch{shader: "attention_grad_q", groups: groups, spec: spec, args: args, bufs: []tensor{k, v, p, do, c.out[0], c.scratch}})
			c.barrier()
			c.run(launch{shader: "attention_grad_kv", groups: groups, spec: spec, args: args, bufs: []tensor{q, v, p, do, c.scratch, c.out[1], c.out[2]}})
		},
	}
}

func (c *call) heads() int { return c.step.Attrs.(backend.Heads).Heads }

// attention is the image's shape, and the constants and arguments that all its shaders share.
func (c *call) attention() (x backend.Shape, spec []int, args []uint32) {
	x = c.in[0].Shape
	d := x[3] / c.heads()
	return x, []int{x[1] * x[2], x[3], d}, []uint32{f32(float32(1 / math.Sqrt(float64(d))))}
}
