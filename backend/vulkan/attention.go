//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

func init() {
	ops["attention"] = op{emit: func(c *call) {
		c.run(c.attention("attention", 64, append(c.in[:3:3], c.out...)))
	}}
	ops["attention_grad"] = op{
		scratch: func(_ *Backend, s *backend.Step) int { return s.In[4].Shape.Elems() },
		emit: func(c *call) {
			q, k, v, o, lse, do, dots := c.in[0], c.in[1], c.in[2], c.in[3], c.in[4], c.in[5], c.scratch
			x, rows := q.Shape, lse.elems()
			c.run(launch{
				shader: "attention_dots", groups: c.each(rows), spec: []int{x[1] * x[2], x[3], x[3] / c.heads()}, args: u32s(rows), bufs: []tensor{do, o, dots},
			})
			c.barrier()
			in := []tensor{q, k, v, do, lse, dots}
			c.run(c.attention("attention_grad_q", 64, append(in[:6:6], c.out[0])))
			c.run(c.attention("attention_grad_kv", 32, append(in[:6:6], c.out[1], c.out[2])))
		},
	}
}

func (c *call) heads() int { return c.step.Attrs.(backend.Heads).Heads }

// attentionShared is the shared memory that tiles of 64 rows want.
const attentionShared = 28 << 10

// attention launches one of the shaders that work in tiles. Of a result's columns an invocation keeps at most so many floats of each
// row in registers; where a head has more channels, other workgroups compute them, and the weights again.
func (c *call) attention(shader string, registers int, bufs []tensor) launch {
	x := c.in[0].Shape
	L, d := x[1]*x[2], x[3]/c.heads()
	tile := 64
	if L <= 32 || c.Limits.Shared < attentionShared || c.local() < 256 {
		tile = 32
	}
	side, columns := tile/4, 4
	for columns > 1 && side*columns/2 >= d {
		columns /= 2
	}
	wide := side * columns
	chunks := min(ceil(d, wide), registers/4/columns)
	return launch{
		shader: shader, groups: [3]int{ceil(L, tile), x[0] * c.heads(), ceil(d, wide*chunks)}, local: side * side,
		spec: []int{L, x[3], d, tile, columns, chunks}, args: []uint32{f32(float32(1 / math.Sqrt(float64(d))))}, bufs: bufs,
	}
}
