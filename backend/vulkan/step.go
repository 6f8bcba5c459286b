//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
)

// A training step around the network: the batch, the noise, tables, the optimizer.

func init() {
	ops["random_normal"] = op{emit: func(c *call) {
		a := c.step.Attrs.(backend.Random)
		per := c.out[0].elems() / a.Shape[0]
		n := a.Shape[0] * ceil(per, 4)
		c.run(launch{shader: "random_normal", groups: c.each(n), spec: []int{per, int(a.Stream)}, args: u32s(n), bufs: []tensor{c.in[0], c.out[0]}})
	}}
	ops["random_timesteps"] = op{emit: func(c *call) {
		n := c.out[0].elems()
		c.run(launch{
			shader: "random_timesteps", groups: c.each(n), args: u32s(n, c.step.Attrs.(backend.Random).Limit), bufs: []tensor{c.in[0], c.out[0]},
		})
	}}
	ops["batch_indices"] = op{emit: func(c *call) {
		a, n := c.step.Attrs.(backend.Random), c.out[0].elems()
		c.run(launch{shader: "batch_indices", groups: c.each(n), args: u32s(n, a.Limit, a.Batch), bufs: []tensor{c.in[0], c.out[0]}})
	}}
	ops["batch_images"] = op{emit: emitImages}
	ops["mix"] = op{emit: func(c *call) {
		x, n := c.in[0].Shape, c.out[0].elems()
		c.run(launch{shader: "mix", groups: c.each(n), spec: []int{x[1] * x[2] * x[3]}, args: u32s(n), bufs: append(c.in[:5:5], c.out[0])})
	}}
	ops["gather"] = op{emit: func(c *call) {
		n := c.out[0].elems()
		c.run(launch{shader: "gather", groups: c.each(n), spec: []int{c.in[0].Shape[1]}, args: u32s(n), bufs: []tensor{c.in[0], c.in[1], c.out[0]}})
	}}
	ops["gather_grad"] = op{emit: func(c *call) {
		n, dy := c.out[0].elems(), c.in[1].Shape
		c.run(launch{shader: "gather_grad", groups: c.each(n), spec: []int{dy[3]}, args: u32s(n, dy[0]), bufs: []tensor{c.in[0], c.in[1], c.out[0]}})
	}}
	ops["schedule"] = op{emit: func(c *call) {
		c.run(launch{shader: "schedule", groups: [3]int{1, 1, 1}, local: 32, bufs: []tensor{c.in[0], c.in[1], c.out[0]}})
	}}
	ops["advance"] = op{emit: func(c *call) {
		c.run(launch{shader: "advance", groups: [3]int{1, 1, 1}, local: 32, bufs: []tensor{c.out[0]}})
	}}
	ops["dropout"] = op{emit: func(c *call) {
		a, x := c.step.Attrs.(backend.Dropout), c.in[0].Shape
		per := x[1] * x[2] * x[3]
		n := x[0] * ceil(per, 4)
		c.run(launch{
			shader: "dropout", groups: c.each(n), spec: []int{per},
			args: []uint32{uint32(n), f32(a.P), f32(float32(1 / (1 - float64(a.P)))), a.First}, bufs: []tensor{c.in[1], c.in[0], c.out[0]},
		})
	}}
	ops["augment"] = op{emit: func(c *call) {
		x, n := c.in[0].Shape, c.out[0].elems()
		c.run(launch{
			shader: "augment", groups: c.each(n), spec: []int{x[1], x[3]}, args: []uint32{uint32(n), f32(c.step.Attrs.(backend.Augment).P)},
			bufs: []tensor{c.in[1], c.in[0], c.out[0]},
		})
	}}
	ops["ema_power"] = op{emit: func(c *call) {
		c.pieces(1, []backend.View{c.step.Out[0], c.step.In[1]}, func(_, n int, x []tensor) {
			c.run(launch{
				shader: "ema_power", groups: c.each(n), args: []uint32{uint32(n), f32(c.step.Attrs.(backend.PowerEMA).Gamma)},
				bufs: []tensor{c.in[2], x[0], x[1], c.in[3]},
			})
		})
	}}
	ops["adamw"] = op{emit: func(c *call) {
		c.pieces(1, append(c.step.Out[:4:4], c.step.In[4]), func(_, n int, x []tensor) {
			c.run(launch{shader: "adamw", groups: c.each(n), spec: []int{flag(!c.step.In[8].Absent())}, args: u32s(n), bufs: append(x, c.in[5:9]...)})
		})
	}}
	ops["loss_scale"] = op{emit: func(c *call) {
		c.run(launch{
			shader: "loss_scale", groups: [3]int{1, 1, 1}, local: 32, args: []uint32{uint32(c.step.Attrs.(backend.LossScale).Growth), f32(backend.MaxLossScale)},
			bufs: []tensor{c.out[0], c.out[1], c.in[2], c.out[2]},
		})
	}}
}

// emitImages takes the batch from the set, which may be more than a shader sees at once: one dispatch for each part, which writes the pixels that
// come from there.
func emitImages(c *call) {
	a, set, n := c.step.Attrs.(backend.Random), c.step.In[0], c.out[0].elems()
	s := c.out[0].Shape
	c.pieces(1, []backend.View{set}, func(from, size int, part []tensor) {
		c.run(launch{
			shader: "batch_images", groups: c.each(n), spec: []int{s[1] * s[2] * s[3], s[2], s[3], flag(a.Flip), a.Crop},
			args: []uint32{uint32(n), uint32(from), uint32(from >> 32), uint32(size)}, bufs: []tensor{c.in[2], part[0], c.in[1], c.out[0]},
		})
	})
}
