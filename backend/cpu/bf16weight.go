package cpu

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// dotWeight is a weight gradient in bf16: for each tap, dy transposed, [out, pixels], times x, [pixels, in]. Both lie on the grid of
// pixels of x with zeros around, an even number in a row: output (y, x) of dy at the pixel that its first tap reads, and zeros at all others. So a tap is
// a shift of dy by so many pixels.
//
// A task has a block of output and a block of input channels, all taps, and a share of the pixels; sums over shares are added in
// order.
type dotWeight struct {
	a                    backend.Conv
	n, rows, cols        int // the grid
	in, out              int // channels
	c                    int // of x's copy
	pixels               int // of the grid, a multiple of simd.DotK; those behind the last are zeros
	margin, pitch        int // zeros before a row of dy; elements from one row to the next
	taps                 int
	outBlock, inBlock    int // panels of 32 channels of a task
	outBlocks, inBlocks  int
	shares, chunk, tiles int // tiles: blocks of 32x32 sums, of all taps
}

const (
	dotSums  = 144 // tiles of a task, about: half a MiB
	dotChunk = 512 // pixels added at a time: a panel's share of both operands stays in the first-level cache, or near it
	dotShare = 4 * dotChunk

	dotGridRows = 8        // rows of the grid that are copied at a time
	dotTemp     = 16 << 10 // floats of a worker's memory
)

func newDotWeight(s *backend.Step) *dotWeight {
	a, x, O := s.Attrs.(backend.Conv), s.In[0].Shape, s.In[1].Shape[3]
	w := &dotWeight{
		a: a, n: x[0], rows: a.H + a.Top + a.Bottom, cols: roundUp(a.W+a.Left+a.Right, 2), in: x[3], out: O, c: roundUp(x[3], dotRows), taps: a.KH * a.KW,
	}
	w.pixels = roundUp(w.n*w.rows*w.cols, simd.DotK)
	w.margin = roundUp((a.KH-1)*w.cols+a.KW-1, simd.DotK)
	// Rows of dy are an odd number of cache lines apart: a power of two would share a few sets of the cache.
	if w.pitch = w.margin + w.pixels; w.pitch/simd.DotK%2 == 0 {
		w.pitch += simd.DotK
	}
	outs, ins := ceil(w.out, dotRows), ceil(w.in, dotRows)
	w.tiles = w.taps * outs * ins
	w.inBlock, w.outBlock = ins, outs
	for w.taps*w.inBlock*w.outBlock > dotSums && w.inBlock*w.outBlock > 1 {
		if w.inBlock > w.outBlock {
			w.inBlock = ceil(w.inBlock, 2)
		} else {
			w.outBlock = ceil(w.outBlock, 2)
		}
	}
	w.outBlocks, w.inBlocks = ceil(outs, w.outBlock), ceil(ins, w.inBlock)
	w.shares = max(1, min(ceil(dotTasks, w.outBlocks*w.inBlocks), w.pixels/dotShare))
	w.chunk = min(dotChunk, w.pixels)
	return w
}

func (w *dotWeight) outRows() int { return roundUp(w.out, dotRows) }

// floats is the scratch memory: the sums, dy, and x.
func (w *dotWeight) floats() int {
	return w.shares*w.tiles*dotBlock + w.outRows()*w.pitch/2 + w.pixels*w.c/2
}

// prepareDotWeight: dw[o,tap,i] = sum over pixels of dy[pixel, o] x[pixel + tap, i].
func prepareDotWeight(c *call) func() {
	w := newDotWeight(c.step)
	x, dy, dw := c.in[0].image(), c.in[1].image(), c.out[0].f32()
	sums, rest := cut(c.scratch, w.shares*w.tiles*dotBlock)
	dys, rest := cut(rest, w.outRows()*w.pitch/2)
	gradient, copied := halves(dys), halves(rest)

	r := dotWeightRows{w: w, c: c, x: x, dy: dy, gradient: gradient, dys: dys, copied: copied, none: make([]float32, max(w.in, w.out))}
	rows, per := w.n*w.rows, max(1, min(dotGridRows, dotTemp/8/w.cols))
	groups := ceil(rows, per)
	copies := func(worker, i int) {
		if i < groups {
			r.rows(worker, i*per, min((i+1)*per, rows))
			return
		}
		r.zeros((i - groups) * dotRows)
	}

	// A call adds a chunk of pixels to all taps of a panel of input channels and of outBlock panels of output channels.
	var starts []int
	for o := range w.outBlock {
		for tap := range w.taps {
			starts = append(starts, o*dotRows*w.pitch-tap/w.a.KW*w.cols-tap%w.a.KW)
		}
	}
	blocks := w.outBlocks * w.inBlocks
	outs, ins := ceil(w.out, dotRows), ceil(w.in, dotRows)
	task := func(worker, i int) {
		share, block := i/blocks, i%blocks
		out, in := block/w.inBlocks*w.outBlock, block%w.inBlocks*w.inBlock
		units := w.pixels / simd.DotK
		first, last := share*units/w.shares*simd.DotK, (share+1)*units/w.shares*simd.DotK
		d := &c.workers[worker].dot
		for p := first; p < last; p += w.chunk {
			for j := in; j < min(in+w.inBlock, ins); j++ {
				*d = simd.DotArgs{
					A: &gradient[out*dotRows*w.pitch+w.margin+p], Row: w.pitch, Starts: &starts[0], Taps: &zeroTap[0], NTaps: 1, KC: min(w.chunk, last-p),
					B: &copied[p*w.c+j*dotRow], BRow: 2 * w.c, C: &sums[((share*ins+j)*outs+out)*w.taps*dotBlock],
					Blocks: min(w.outBlock, outs-out) * w.taps, Acc: p > first,
				}
				c.dot.Run(d)
			}
		}
	}
	finish := func(_, k int) { // tile k is that of a panel of inputs, a panel of outputs, and a tap
		in, out, tap := k/w.taps/outs*dotRows, k/w.taps%outs*dotRows, k%w.taps
		tile := sums[k*dotBlock:][:dotBlock]
		for share := 1; share < w.shares; share++ {
			c.vec.Add(tile, tile, sums[(share*w.tiles+k)*dotBlock:][:dotBlock])
		}
		n := min(dotRows, w.in-in)
		for o := range min(dotRows, w.out-out) {
			copy(dw[((out+o)*w.taps+tap)*w.in+in:][:n], tile[o*dotRows:])
		}
	}
	return func() {
		c.pool.run(groups+outs, copies)
		c.pool.run(blocks*w.shares, task)
		c.pool.run(w.tiles, finish)
	}
}

// dotWeightRows copies x and dy to the grid.
type dotWeightRows struct {
	w                *dotWeight
	c                *call
	x, dy            image
	copied, gradient []uint16  // [pixels/2][c][2], [out][pitch]
	dys              []float32 // gradient, in pairs
	none             []float32 // a pixel of zeros
}

// rows copies the rows [from, to) of the grid, counted over all images.
func (r *dotWeightRows) rows(worker, from, to int) {
	w, s := r.w, r.w.a.Stride
	pairs := w.cols / 2
	for g := from; g < to; g++ {
		dst := r.copied[g*w.cols*w.c:][: w.cols*w.c : w.cols*w.c]
		n, y := g/w.rows, g%w.rows-w.a.Top
		if y < 0 || y >= r.x.h {
			clear(dst)
			continue
		}
		r.pairs(dst, 2*w.c, r.x.row(n, y), r.x.pixs, w.in, w.a.Left, 1)
		for k := 0; w.c > w.in && k < pairs; k++ {
			clear(dst[2*(k*w.c+w.in):][:2*(w.c-w.in)])
		}
	}
	// Pairs of pixels of dy are transposed as if they were floats.
	all := (to - from) * pairs
	part := min(w.out, dotTemp/all)
	if part > 16 {
		part = part / 16 * 16
	}
	temp := r.c.workers[worker].blocks
	for out := 0; out < w.out; out += part {
		n := min(part, w.out-out)
		for g := from; g < to; g++ {
			dst := halves(temp[(g-from)*pairs*n:][:pairs*n])
			img, y := g/w.rows, g%w.rows
			if y%s != 0 || y/s >= r.dy.h {
				clear(dst)
				continue
			}
			r.pairs(dst, 2*n, r.dy.row(img, y/s)[out:], r.dy.pixs, n, 0, s)
		}
		r.c.vec.Transpose(r.dys[(out*w.pitch+w.margin+from*w.cols)/2:], w.pitch/2, temp[:all*n], n, all, n)
	}
}

// pairs makes a row of the grid of a row of an image, whose pixels begin at left and are step apart; ds is from one pair to the next.
func (r *dotWeightRows) pairs(dst []uint16, ds int, src []float32, ss, n, left, step int) {
	count := (len(src) + ss - 1) / ss
	pixel := func(k int) []float32 {
		if k -= left; k < 0 || k%step != 0 || k/step >= count {
			return nil
		}
		return src[k/step*ss:][:n]
	}
	for k := 0; k < r.w.cols/2; k++ {
		if step == 1 && 2*k >= left && 2*k+1 < left+count { // most of them
			many := (left+count)/2 - k
			r.c.dot.PairRows(dst[k*ds:], ds, src[(2*k-left)*ss:], ss, n, many)
			k += many - 1
			continue
		}
		to, a, b := dst[k*ds:][:2*n], pixel(2*k), pixel(2*k+1)
		switch {
		case a == nil && b == nil:
			clear(to)
			continue
		case a == nil:
			a = r.none[:n]
		case b == nil:
			b = r.none[:n]
		}
		r.c.dot.Pair(to, a, b)
	}
}

// zeros clears what no row of the grid fills, of dotRows rows of dy from one on.
func (r *dotWeightRows) zeros(out int) {
	w := r.w
	last := w.n * w.rows * w.cols
	if out == 0 {
		clear(r.copied[last*w.c : w.pixels*w.c])
	}
	for o := out; o < min(out+dotRows, w.out); o++ {
		row := r.gradient[o*w.pitch:][:w.margin+w.pixels]
		clear(row[:w.margin])
		clear(row[w.margin+last:])
	}
}
