package cpu

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

func init() {
	kernels["conv2d_weight"] = kernel{
		halo: func(attrs any, i int) int {
			if i != 0 {
				return 0
			}
			return convHalo(attrs.(backend.Conv))
		},
		scratch: func(b *Backend, s *backend.Step) int {
			if b.winogradWeight(s) {
				w := b.winoWeightStep(s)
				return w.floats() + paddedCopy(s.In[0], 1)
			}
			return newWeightTiles(b, s).floats + paddedCopy(s.In[0], convHalo(s.Attrs.(backend.Conv)))
		},
		prepare: prepareConvWeight,
	}
}

// chunkFloats is how much of x and dy the tiles go over together, so that it stays in the second-level cache.
const chunkFloats = 64 << 10

// weightTiles lays tiles over the weight gradient. A tile has MR channels on its narrow side (broadcast) and NR on its wide
// side (vectors); which of input and output channels is the narrow one is what wastes less.
type weightTiles struct {
	taps, narrow, wide int
	outNarrow          bool // the narrow side is the output channels
	floats             int  // of all tiles, accumulated
}

func newWeightTiles(b *Backend, s *backend.Step) weightTiles {
	a, I, O := s.Attrs.(backend.Conv), s.In[0].Shape[3], s.In[1].Shape[3]
	mr, nr := b.tile.MR, b.tile.NR
	t := weightTiles{taps: a.KH * a.KW, narrow: ceil(O, mr), wide: ceil(I, nr), outNarrow: true}
	if n, w := ceil(I, mr), ceil(O, nr); n*w < t.narrow*t.wide {
		t.narrow, t.wide, t.outNarrow = n, w, false
	}
	t.floats = t.taps * t.narrow * t.wide * mr * nr
	return t
}

// prepareConvWeight: dw[o,tap,i] = sum over pixels of dy[pixel, o] x[pixel + tap, i]. Each task sums its tiles over all
// pixels, a chunk of rows at a time, in an order that does not depend on the workers.
func prepareConvWeight(c *call) func() {
	if c.winogradWeight(c.step) {
		return prepareWinoWeight(c)
	}
	a := c.step.Attrs.(backend.Conv)
	t := newWeightTiles(c.Backend, c.step)
	acc, rest := cut(c.scratch, t.floats)
	x, refresh := c.padded(c.in[0].image(), convHalo(a), rest)
	dy := c.in[1].image()
	dw := c.out[0].f32()
	O, I, mr, nr := dy.c, x.c, c.tile.MR, c.tile.NR

	xRows, yRows, pixels := pixelRows(x, dy, a.Stride)
	rowFloats := pixels * (x.c*a.Stride + dy.c)
	chunk := max(1, chunkFloats/rowFloats)
	base := ptr(x.p, -a.Top*x.rows-a.Left*x.pixs)

	tiles := t.taps * t.narrow * t.wide
	perTask := max(1, ceil(tiles, 4*c.pool.n))
	task := func(worker, i int) {
		from, to := i*perTask, min((i+1)*perTask, tiles)
		o := &c.workers[worker].outer
		for r := 0; r < len(xRows); r += chunk {
			n := min(chunk, len(xRows)-r)
			for k := from; k < to; k++ {
				wide, tap, narrow := k/(t.narrow*t.taps), k/t.narrow%t.taps, k%t.narrow
				xp, yp := ptr(base, tap/a.KW*x.rows+tap%a.KW*x.pixs), dy.p
				tile := &acc[k*mr*nr]
				if t.outNarrow {
					*o = simd.OuterArgs{
						X: ptr(yp, narrow*mr), Y: ptr(xp, wide*nr), XRows: &yRows[r], YRows: &xRows[r],
						XStride: dy.pixs, YStride: a.Stride * x.pixs, XN: min(mr, O-narrow*mr), YN: min(nr, I-wide*nr),
					}
				} else {
					*o = simd.OuterArgs{
						X: ptr(xp, narrow*mr), Y: ptr(yp, wide*nr), XRows: &xRows[r], YRows: &yRows[r],
						XStride: a.Stride * x.pixs, YStride: dy.pixs, XN: min(mr, I-narrow*mr), YN: min(nr, O-wide*nr),
					}
				}
				o.Rows, o.P, o.C, o.Acc = n, pixels, tile, r > 0
				c.tile.Outer(o)
			}
		}
		for k := from; k < to; k++ {
			wide, tap, narrow := k/(t.narrow*t.taps), k/t.narrow%t.taps, k%t.narrow
			tile := acc[k*mr*nr:][:mr*nr]
			if t.outNarrow {
				for i := range min(mr, O-narrow*mr) {
					copy(dw[((narrow*mr+i)*t.taps+tap)*I+wide*nr:][:min(nr, I-wide*nr)], tile[i*nr:])
				}
				continue
			}
			for i := range min(mr, I-narrow*mr) {
				for j := range min(nr, O-wide*nr) {
					dw[((wide*nr+j)*t.taps+tap)*I+narrow*mr+i] = tile[i*nr+j]
				}
			}
		}
	}
	return func() {
		if refresh != nil {
			refresh()
		}
		c.pool.run(ceil(tiles, perTask), task)
	}
}

// pixelRows are the runs of evenly spaced pixels of dy and of the pixels of x they came from: image rows, joined where
// neither has gaps between them.
func pixelRows(x, dy image, stride int) (xRows, yRows []int, pixels int) {
	n, h, w := dy.n, dy.h, dy.w
	if stride == 1 && x.rows == w*x.pixs && dy.rows == w*dy.pixs {
		if x.imgs == h*w*x.pixs && dy.imgs == h*w*dy.pixs {
			w, h, n = w*h*n, 1, 1
		}
		w, h = w*h, 1
	}
	for i := range n {
		for y := range h {
			xRows = append(xRows, i*x.imgs+y*stride*x.rows)
			yRows = append(yRows, i*dy.imgs+y*dy.rows)
		}
	}
	return xRows, yRows, w
}
