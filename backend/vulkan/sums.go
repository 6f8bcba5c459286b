//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import "github.com/ddpm-tui/ddpm-tui/backend"

// Sums have two passes where they are long: parts, then the parts in order. How many parts follows from the shape alone, so that
// a sum is the same on every device and every time.

// lanes is how many channels a workgroup sums side by side (reduce.glsl).
const lanes = 32

// rowChunk is how many rows one workgroup sums at least.
const rowChunk = 256

// chunks cuts n rows into at most 64 parts of the same length, but the last.
func chunks(n int) (parts, per int) {
	per = max(rowChunk, ceil(n, 64))
	return ceil(n, per), per
}

// flatChunk is how many elements of a flat buffer one workgroup sums at least.
const flatChunk = 8192

func flatChunks(n int) (parts, per int) {
	per = max(flatChunk, ceil(n, 1024))
	return ceil(n, per), per
}

func init() {
	ops["sum_rows"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			x := s.In[0].Shape
			parts, _ := chunks(x[0] * x[1] * x[2])
			return parts * x[3]
		},
		emit: func(c *call) {
			x := c.in[0].Shape
			c.sumRows(1, x[0]*x[1]*x[2], x[3])
		},
	}
	ops["sum_space"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			x := s.In[0].Shape
			parts, _ := chunks(x[1] * x[2])
			return x[0] * parts * x[3]
		},
		emit: func(c *call) {
			x := c.in[0].Shape
			c.sumRows(x[0], x[1]*x[2], x[3])
		},
	}
	ops["global_norm"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			parts, _ := flatChunks(s.In[0].Shape.Elems())
			return parts
		},
		emit: func(c *call) {
			n := c.in[0].elems()
			parts, per := flatChunks(n)
			c.pieces(per, c.step.In[:1], func(from, n int, x []tensor) {
				part := c.scratch
				part.first += from / per
				c.run(launch{shader: "square_sums", groups: [3]int{ceil(n, per), 1, 1}, args: u32s(n, per), bufs: []tensor{x[0], part}})
			})
			c.barrier()
			c.run(launch{shader: "root_sum", groups: [3]int{1, 1, 1}, args: u32s(parts), bufs: []tensor{c.scratch, c.out[0]}})
		},
	}
	ops["mse"] = op{
		scratch: func(_ *Backend, s *backend.Step) int {
			x := s.In[0].Shape
			parts, _ := flatChunks(x[1] * x[2] * x[3])
			return x[0] * parts
		},
		emit: func(c *call) {
			x := c.in[0].Shape
			size := x[1] * x[2] * x[3]
			parts, per := flatChunks(size)
			c.run(launch{shader: "mse", groups: [3]int{parts, x[0], 1}, spec: []int{size, per}, bufs: []tensor{c.in[0], c.in[1], c.scratch}})
			c.barrier()
			c.run(launch{
				shader: "mse_finish", groups: [3]int{1, 1, 1}, spec: []int{size}, args: u32s(x[0], parts), bufs: []tensor{c.scratch, c.out[0], c.out[1]},
			})
		},
	}
	ops["mse_grad"] = op{emit: func(c *call) {
		n := c.out[0].elems()
		c.run(launch{shader: "mse_grad", groups: c.each(n), args: []uint32{uint32(n), f32(float32(2 / float64(n)))}, bufs: append(c.in[:3:3], c.out[0])})
	}}
}

// sumRows adds up the rows of C of each of the blocks of the first input.
func (c *call) sumRows(blocks, rows, C int) {
	parts, per := chunks(rows)
	l := launch{shader: "sum_rows", groups: [3]int{ceil(C, lanes), parts, blocks}, spec: []int{rows, C, per}, bufs: []tensor{c.in[0], c.out[0]}}
	if parts == 1 {
		c.run(l)
		return
	}
	l.bufs[1] = c.scratch
	c.run(l)
	c.barrier()
	c.run(launch{shader: "sum_rows", groups: [3]int{ceil(C, lanes), 1, blocks}, spec: []int{parts, C, parts}, bufs: []tensor{c.scratch, c.out[0]}})
}
