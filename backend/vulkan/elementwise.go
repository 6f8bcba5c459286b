//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import "github.com/ddpm-tui/ddpm-tui/backend"

func init() {
	ops["add"] = flat("add")
	ops["mul"] = flat("mul")
	ops["silu"] = flat("silu")
	ops["silu_grad"] = flat("silu_grad")
	ops["scale"] = op{emit: func(c *call) {
		a := c.step.Attrs.(backend.Linear)
		n := c.out[0].elems()
		c.run(launch{shader: "scale", groups: c.each(n), args: []uint32{uint32(n), f32(a.A), f32(a.B)}, bufs: []tensor{c.in[0], c.out[0]}})
	}}
	ops["add_row"] = op{emit: func(c *call) { c.perImage("add_row", c.in[0], c.in[0], c.in[1], c.out[0]) }}
	ops["modulate"] = op{emit: func(c *call) { c.perImage("modulate", c.in[0], c.in[0], c.in[1], c.out[0]) }}
	ops["modulate_grad"] = op{emit: func(c *call) {
		x, st, dy := c.in[0], c.in[1], c.in[2]
		c.perImage("modulate_grad", x, st, dy, c.out[0])
		s := x.Shape
		c.run(launch{shader: "modulate_sums", groups: [3]int{ceil(s[3], lanes), 1, s[0]}, spec: []int{s[1] * s[2], s[3]}, bufs: []tensor{x, dy, c.out[1]}})
	}}
	ops["concat"] = op{emit: func(c *call) {
		n := c.out[0].elems()
		c.run(launch{
			shader: "concat", groups: c.each(n), spec: []int{c.in[0].Shape[3], c.in[1].Shape[3]}, args: u32s(n), bufs: []tensor{c.in[0], c.in[1], c.out[0]},
		})
	}}
	ops["channels"] = op{emit: func(c *call) {
		a, n := c.step.Attrs.(backend.Channels), c.out[0].elems()
		c.run(launch{
			shader: "channels", groups: c.each(n), spec: []int{a.To - a.From, c.in[0].Shape[3], a.From}, args: u32s(n), bufs: []tensor{c.in[0], c.out[0]},
		})
	}}
	ops["relu"] = flat("relu")
	ops["pool"] = op{emit: func(c *call) {
		a, x, y, n := c.step.Attrs.(backend.Pool), c.in[0].Shape, c.out[0].Shape, c.out[0].elems()
		c.run(launch{
			shader: "pool", groups: c.each(n), spec: []int{x[1], x[2], x[3], y[1], y[2], a.K, a.Stride, a.Pad, flag(a.Max)}, args: u32s(n),
			bufs: []tensor{c.in[0], c.out[0]},
		})
	}}
	ops["upsample"] = resample("upsample")
	ops["downsample"] = resample("downsample")
}

// flat is an op whose inputs and output are of one shape, element by element.
func flat(shader string) op {
	return op{emit: func(c *call) {
		n := c.out[0].elems()
		c.run(launch{shader: shader, groups: c.each(n), args: u32s(n), bufs: append(c.in[:len(c.in):len(c.in)], c.out[0])})
	}}
}

// perImage runs a shader over the elements of images shaped like x, which it wants to tell apart.
func (c *call) perImage(shader string, x tensor, bufs ...tensor) {
	s, n := x.Shape, x.elems()
	c.run(launch{shader: shader, groups: c.each(n), spec: []int{s[1] * s[2] * s[3], s[3]}, args: u32s(n), bufs: bufs})
}

func resample(shader string) op {
	return op{emit: func(c *call) {
		y, n := c.out[0].Shape, c.out[0].elems()
		f := c.step.Attrs.(backend.Factor).Factor
		c.run(launch{shader: shader, groups: c.each(n), spec: []int{y[2], y[3]}, args: []uint32{uint32(n), f32(f)}, bufs: []tensor{c.in[0], c.out[0]}})
	}}
}
