package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

func init() {
	kernels["augment"] = kernel{prepare: func(c *call) func() {
		p, x, y := c.step.Attrs.(backend.Augment).P, c.in[0].image(), c.out[0].image()
		S := y.h
		return c.blocks(y.n, 1, func(n, _ int) {
			seed, step, first := control(c.in[1])
			block := func(i uint32) [4]uint32 { return rng.Block(seed, rng.StreamAugment, i, first+uint32(n), step) }
			hit := func(w uint32) bool { return rng.Uniform(w) < p }
			lots, shift, colour := block(0), block(1), block(2)
			normals := rng.NormalBlock(seed, rng.StreamAugment, 3, first+uint32(n), step)
			turns, dx, dy, brightness, contrast := uint32(0), 0, 0, float32(0), float32(1)
			mirror := hit(lots[0]) && lots[1]>>31 == 1
			if hit(lots[2]) {
				turns = rng.Below(lots[3], 4)
			}
			if far := S / 8; hit(shift[0]) {
				dx, dy = int(rng.Below(shift[1], uint32(2*far+1)))-far, int(rng.Below(shift[2], uint32(2*far+1)))-far
			}
			if hit(colour[0]) {
				brightness = 0.2 * normals[0]
			}
			if hit(colour[1]) {
				contrast = float32(math.Exp2(0.5 * float64(normals[1])))
			}
			for h := range S {
				row := y.row(n, h)
				for w := range S {
					fh, fw := reflect(h+dy, S), reflect(w+dx, S)
					for range turns {
						fh, fw = fw, S-1-fh
					}
					if mirror {
						fw = S - 1 - fw
					}
					from := x.row(n, fh)[fw*x.c:][:x.c]
					for k, v := range from {
						row[w*x.c+k] = min(max(v*contrast+brightness, -1), 1)
					}
				}
			}
		})
	}}
}
