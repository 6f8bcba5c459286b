package cpu

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// dotWeight is a weight gradient in bf16: for each tap, dy transposed, [out, pixels], times x, [pixels, in]. Both lie on the grid of
// pixels of x with zeros around: output (y, x) of dy at the pixel that its first tap reads, and zeros at all others. So a tap is
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
	dotSums    = 144 // tiles of a task, about: half a MiB
	dotChunk   = 512 // pixels added at a time: a panel's share of both operands stays in the first-level cache, or near it
	dotShare   = 4 * dotChunk
	dotStretch = 32 // pixels of dy transposed at a time
)

func newDotWeight(s *backend.Step) *dotWeight {
	a, x, O := s.Attrs.(backend.Conv), s.In[0].Shape, s.In[1].Shape[3]
	w := &dotWeight{
		a: a, n: x[0], rows: a.H + a.Top + a.Bottom, cols: a.W + a.Left + a.Right, in: x[3], out: O, c: roundUp(x[3], dotRows), taps: a.KH * a.KW,
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

	// What lies at a pixel of the grid: zeros behind the last, and where there is no pixel of x, or no output.
	at := func(p int) (n, y, x int) { return p / w.cols / w.rows, p / w.cols % w.rows, p % w.cols }
	input := func(p int) []float32 {
		n, r, k := at(p)
		if r, k = r-w.a.Top, k-w.a.Left; n >= w.n || r < 0 || r >= x.h || k < 0 || k >= x.w {
			return nil
		}
		return floats(ptr(x.p, n*x.imgs+r*x.rows+k*x.pixs), x.c)
	}
	output := func(p int) []float32 {
		n, r, k := at(p)
		if s := w.a.Stride; n >= w.n || r%s != 0 || k%s != 0 || r/s >= dy.h || k/s >= dy.w {
			return nil
		}
		return floats(ptr(dy.p, n*dy.imgs+r/w.a.Stride*dy.rows+k/w.a.Stride*dy.pixs), dy.c)
	}
	none := make([]float32, max(w.in, w.out))
	pair := func(dst []uint16, a, b []float32, n int) {
		switch {
		case a == nil && b == nil:
			clear(dst)
			return
		case a == nil:
			a = none[:n]
		case b == nil:
			b = none[:n]
		}
		c.dot.Pair(dst[:2*n], a, b)
		clear(dst[2*n:])
	}
	// transposed makes a stretch of dy's rows: pairs of pixels are transposed as if they were floats.
	transposed := func(worker, p int) {
		count := min(dotStretch, w.pixels-p) / 2
		for from := 0; from < w.out; from += dotPart {
			n := min(dotPart, w.out-from)
			temp := c.workers[worker].blocks[:count*n]
			pairs := halves(temp)
			for k := range count {
				a, b := output(p+2*k), output(p+2*k+1)
				if a != nil {
					a = a[from:][:n]
				}
				if b != nil {
					b = b[from:][:n]
				}
				pair(pairs[2*k*n:][:2*n], a, b, n)
			}
			c.vec.Transpose(dys[(from*w.pitch+w.margin+p)/2:], w.pitch/2, temp, n, count, n)
		}
	}
	stretches := ceil(w.pixels, dotStretch)
	copies := func(worker, i int) {
		if i >= stretches { // the margins
			for o := i - stretches; o < w.out; o += dotRows {
				clear(gradient[o*w.pitch:][:w.margin])
			}
			return
		}
		p := i * dotStretch
		transposed(worker, p)
		for q := p; q < min(p+dotStretch, w.pixels); q += 2 {
			pair(copied[q*w.c:][:2*w.c], input(q), input(q+1), w.in)
		}
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
		c.pool.run(stretches+dotRows, copies)
		c.pool.run(blocks*w.shares, task)
		c.pool.run(w.tiles, finish)
	}
}
