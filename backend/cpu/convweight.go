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
			if b.dots(s) {
				return newDotWeight(s).floats()
			}
			if b.winoWeightForm(s) != nil {
				w := b.winoWeightStep(s)
				return w.floats() + paddedCopy(s.In[0], 1)
			}
			return newWeightTiles(b, s).floats + b.pool.n*weightPixels*b.tile.NR + paddedCopy(s.In[0], convHalo(s.Attrs.(backend.Conv)))
		},
		prepare: prepareConvWeight,
	}
}

// weightPixels is how many pixels the tiles go over together. The wide side of so many is copied to lie together, which fits in
// half of the first-level cache and serves all tiles of the narrow side: pixels a power of two apart would share a few sets.
const weightPixels = 128

// weightTiles lays tiles over the weight gradient. A tile has MR channels on its narrow side (broadcast) and NR on its wide
// side (vectors); which of input and output channels is the narrow one is what wastes less.
//
// A task has some of the tiles and a share of the pixels; sums over shares are added in order.
type weightTiles struct {
	taps, narrow, wide int
	outNarrow          bool // the narrow side is the output channels
	perTask, shares    int
	floats             int // of all tiles of all shares, accumulated
}

// taskTiles is how many tiles a task has at most, about: their sums stay in the first-level cache, or near it.
const taskTiles = 32

func newWeightTiles(b *Backend, s *backend.Step) weightTiles {
	a, I, O := s.Attrs.(backend.Conv), s.In[0].Shape[3], s.In[1].Shape[3]
	mr, nr := b.tile.MR, b.tile.NR
	t := weightTiles{taps: a.KH * a.KW, narrow: ceil(O, mr), wide: ceil(I, nr), outNarrow: true}
	if n, w := ceil(I, mr), ceil(O, nr); n*w < t.narrow*t.wide {
		t.narrow, t.wide, t.outNarrow = n, w, false
	}
	tiles := t.count()
	t.perTask = ceil(tiles, ceil(tiles, taskTiles))
	if whole := t.perTask / t.narrow * t.narrow; whole > 0 { // rows of tiles share a packed side
		t.perTask = whole
	}
	pixels := s.In[1].Shape[0] * s.In[1].Shape[1] * s.In[1].Shape[2]
	t.shares = max(1, min(ceil(weightTasks, ceil(tiles, t.perTask)), pixels/(4*weightPixels)))
	t.floats = t.shares * tiles * mr * nr
	return t
}

func (t *weightTiles) count() int { return t.taps * t.narrow * t.wide }

// prepareConvWeight: dw[o,tap,i] = sum over pixels of dy[pixel, o] x[pixel + tap, i]. Each task sums its tiles over all
// pixels, a chunk of rows at a time, in an order that does not depend on the workers.
func prepareConvWeight(c *call) func() {
	if c.dots(c.step) {
		return prepareDotWeight(c)
	}
	if c.winoWeightForm(c.step) != nil {
		return prepareWinoWeight(c)
	}
	a := c.step.Attrs.(backend.Conv)
	t := newWeightTiles(c.Backend, c.step)
	acc, rest := cut(c.scratch, t.floats)
	packs, rest := cut(rest, c.pool.n*weightPixels*c.tile.NR)
	x, refresh := c.padded(c.in[0].image(), convHalo(a), rest)
	dy := c.in[1].image()
	dw := c.out[0].f32()
	O, I, mr, nr := dy.c, x.c, c.tile.MR, c.tile.NR

	// Each side's channels, the step between its pixels, and the runs that they lie in.
	type side struct {
		base        *float32
		c, step     int
		rows        []int
		tap, tapRow int // offsets of the next tap and of the next row of taps
	}
	xRows, yRows, pixels := pixelRows(x, dy, a.Stride)
	wide := side{ptr(x.p, -a.Top*x.rows-a.Left*x.pixs), I, a.Stride * x.pixs, xRows, x.pixs, x.rows}
	narrow := side{dy.p, O, dy.pixs, yRows, 0, 0}
	if !t.outNarrow {
		wide, narrow = narrow, wide
	}
	tapAt := func(s *side, tap int) *float32 { return ptr(s.base, tap/a.KW*s.tapRow+tap%a.KW*s.tap) }
	rows := max(1, weightPixels/pixels) // of a chunk, in pieces where one is too long
	pieces := ceil(pixels, weightPixels)
	chunks := ceil(len(xRows), rows) * pieces
	packed := make([]int, rows)
	for r := range packed {
		packed[r] = r * min(pixels, weightPixels) * nr
	}

	tiles := t.count()
	tasks := ceil(tiles, t.perTask)
	task := func(worker, i int) {
		share := i / tasks
		from, to := i%tasks*t.perTask, min((i%tasks+1)*t.perTask, tiles)
		acc := acc[share*tiles*mr*nr:][:tiles*mr*nr]
		o, pack := &c.workers[worker].outer, packs[worker*weightPixels*nr:][:weightPixels*nr]
		chunk := func(r, n, p, count int, first bool) {
			*o = simd.OuterArgs{
				Y: &pack[0], YRows: &packed[0], YStride: nr, XRows: &narrow.rows[r], XStride: narrow.step, Rows: n, P: count, Acc: !first,
			}
			for k := from; k < to; k++ {
				j, tap, i := k/(t.narrow*t.taps), k/t.narrow%t.taps, k%t.narrow
				o.YN = min(nr, wide.c-j*nr)
				if k == from || i == 0 {
					for m := range n {
						src := ptr(tapAt(&wide, tap), wide.rows[r+m]+p*wide.step+j*nr)
						c.vec.CopyRows(pack[packed[m]:], nr, floats(src, (count-1)*wide.step+o.YN), wide.step, o.YN, count)
					}
				}
				o.X, o.XN, o.C = ptr(tapAt(&narrow, tap), p*narrow.step+i*mr), min(mr, narrow.c-i*mr), &acc[k*mr*nr]
				c.tile.Outer(o)
			}
		}
		first, last := share*chunks/t.shares, (share+1)*chunks/t.shares
		for k := first; k < last; k++ {
			r, p := k/pieces*rows, k%pieces*weightPixels
			chunk(r, min(rows, len(xRows)-r), p, min(weightPixels, pixels-p), k == first)
		}
	}
	finish := func(_, k int) {
		wide, tap, narrow := k/(t.narrow*t.taps), k/t.narrow%t.taps, k%t.narrow
		tile := acc[k*mr*nr:][:mr*nr]
		for share := 1; share < t.shares; share++ {
			c.vec.Add(tile, tile, acc[(share*tiles+k)*mr*nr:][:mr*nr])
		}
		if t.outNarrow {
			for i := range min(mr, O-narrow*mr) {
				copy(dw[((narrow*mr+i)*t.taps+tap)*I+wide*nr:][:min(nr, I-wide*nr)], tile[i*nr:])
			}
			return
		}
		for i := range min(mr, I-narrow*mr) {
			for j := range min(nr, O-wide*nr) {
				dw[((wide*nr+j)*t.taps+tap)*I+narrow*mr+i] = tile[i*nr+j]
			}
		}
	}
	return func() {
		if refresh != nil {
			refresh()
		}
		c.pool.run(tasks*t.shares, task)
		c.pool.run(tiles, finish)
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
