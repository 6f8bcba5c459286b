package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Kernels of networks that are evaluated, not trained: pooling and ReLU.

func init() {
	kernels["relu"] = each1(func(_ *call, dst, x []float32) {
		for i, v := range x {
			dst[i] = max(v, 0)
		}
	})
	kernels["pool"] = kernel{prepare: func(c *call) func() {
		a, x, y := c.step.Attrs.(backend.Pool), c.in[0].image(), c.out[0].image()
		return c.eachRow(y, func(n, h int) {
			top, row := h*a.Stride-a.Pad, y.row(n, h)
			for w := range y.w {
				to := row[w*y.c:][:y.c]
				start, left, count := float32(0), w*a.Stride-a.Pad, 0
				if a.Max {
					start = float32(math.Inf(-1))
				}
				for k := range to {
					to[k] = start
				}
				for i := max(top, 0); i < min(top+a.K, x.h); i++ {
					from := x.row(n, i)
					for j := max(left, 0); j < min(left+a.K, x.w); j++ {
						pixel := from[j*x.c:][:x.c]
						count++
						if a.Max {
							for k, v := range pixel {
								to[k] = max(to[k], v)
							}
						} else {
							c.vec.Add(to, to, pixel)
						}
					}
				}
				if !a.Max {
					c.vec.ScaleAdd(to, to, 1/float32(count), 0)
				}
			}
		})
	}}
}
