package cpu

import "github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"

// maxPanel is how many floats of packed weights a tile loop runs over at a time, so that they stay in the second-level cache.
const maxPanel = 96 << 10

// A product is the inner loop of everything that multiplies: C[m, :] = bias + sum over taps and k of A[pix(m)+tap, k] B[tap, k, :].
// The rows m are the pixels (img, y, x) of a grid laid over A and C; a matrix is the grid with one row of pixels.
type product struct {
	a, c             *float32
	n, h, w          int // the grid
	an, ay, ax       int // steps of the grid in A, floats
	cn, cy, cx       int // and in C
	taps             []int
	kc               int       // contiguous floats at each tap
	cols             int       // columns of C
	b                []float32 // [cols/NR][taps][kc][NR], zeros behind the last column
	bias             []float32 // [cols/NR][NR], or nil
	perBlock, blocks int       // rows of C a task works on, and how many such blocks
	group            int       // panels of columns a task works on

	// done, if it is not nil, is told of count rows that are complete, pixels side by side in the grid, and their columns.
	done func(n, y, x, count, from, to int)

	// told, if it is not nil, is told of every part of so many pixels of an image that is complete, and its columns.
	told   func(worker, n, part, from, to int)
	pixels int
}

// ceil is a/b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// panels is the number of column panels.
func (b *Backend) panels(cols int) int { return ceil(cols, b.tile.NR) }

// packed is the size of product.b in floats.
func (b *Backend) packed(cols, taps, kc int) int { return b.panels(cols) * b.tile.NR * taps * kc }

// A task's share of A should stay in the first-level cache and be read by all panels, if all of B stays in the second.
const (
	blockFloats = 8 << 10
	sharedPanel = 128 << 10

	productTasks = 16 // wanted
)

// split cuts the product into tasks.
func (p *product) split(b *Backend) {
	mr, rows, depth := b.tile.MR, p.n*p.h*p.w, max(1, len(p.taps)*p.kc)
	if p.group = 1; depth*p.cols <= sharedPanel {
		p.perBlock = max(blockFloats/depth/mr, 4) * mr
		p.group = ceil(b.panels(p.cols), ceil(productTasks, ceil(rows, p.perBlock))) // with few rows, some of the panels
	} else {
		p.perBlock = 64 * mr
	}
	// Few rows are one block: a block reads all of its panels of B.
	blocks := ceil(productTasks, p.groups(b))
	p.perBlock = min(p.perBlock, max(ceil(rows, blocks*mr)*mr, mr))
	if p.told != nil {
		p.perBlock = ceil(p.perBlock, p.pixels) * p.pixels
	}
	p.blocks = ceil(rows, p.perBlock)
}

// groups is how many tasks share the columns.
func (p *product) groups(b *Backend) int { return ceil(b.panels(p.cols), p.group) }

// tasks is how many tasks cover the product: one a block of rows and group of panels.
func (p *product) tasks(b *Backend) int { return p.blocks * p.groups(b) }

// task computes one block of rows for one group of panels.
func (p *product) task(b *Backend, worker, task int) {
	block, group := task/p.groups(b), task%p.groups(b)
	for panel := group * p.group; panel < min((group+1)*p.group, b.panels(p.cols)); panel++ {
		p.rows(b, worker, block*p.perBlock, min((block+1)*p.perBlock, p.n*p.h*p.w), panel)
	}
}

// rows computes the rows [from, to) of one panel.
func (p *product) rows(b *Backend, worker, from, to, panel int) {
	mr, nr := b.tile.MR, b.tile.NR
	w := &b.workers[worker]
	g := &w.gemm
	*g = simd.GEMMArgs{KC: p.kc}
	cols := min(nr, p.cols-panel*nr)
	step := max(1, maxPanel/(p.kc*nr)) // taps at a time
	for t := 0; t < len(p.taps) || t == 0; t += step {
		taps := p.taps[t:min(t+step, len(p.taps))]
		g.NTaps, g.Acc = len(taps), t > 0
		g.Bias = nil
		if p.bias != nil && t == 0 {
			g.Bias = &p.bias[panel*nr]
		}
		if len(taps) > 0 {
			g.Taps, g.B = &taps[0], &p.b[(panel*len(p.taps)+t)*p.kc*nr]
		}
		// What of B the worker needs after these taps: those that follow, of this panel or of the next, or, most likely, the first panel's.
		last := (panel*len(p.taps) + t + len(taps)) * p.kc * nr
		follow := min(step, len(p.taps)-t-len(taps))
		if follow == 0 {
			follow = min(step, len(p.taps))
		}
		if last == len(p.b) {
			last = 0
		}
		next := p.b[last:][:follow*p.kc*nr]
		pixel, along := p.cursor(from), false
		for m := from; m < to; m += mr {
			if g.Ahead = nil; len(next) > 0 {
				g.Ahead = &next[0]
				next = next[min(len(taps)*simd.Fetched(p.kc), len(next)):]
			}
			rows := min(mr, to-m)
			gemm, height, width := b.tile.For(rows, cols)
			if rows == mr && cols == width && pixel.x+mr <= p.w { // side by side: most of them
				for i := 0; i < mr && !along; i++ {
					g.Pix[i], g.Out[i] = i*p.ax, i*p.cx
				}
				along = true
				g.A, g.C = ptr(p.a, pixel.a), ptr(p.c, panel*nr+pixel.c)
				pixel.skip(p, mr)
				gemm(g)
				continue
			}
			along = false
			g.A, g.C = p.a, ptr(p.c, panel*nr)
			for i := range rows {
				g.Pix[i], g.Out[i] = pixel.a, pixel.c
				pixel.skip(p, 1)
			}
			if rows == height && cols == width {
				gemm(g)
				continue
			}
			var out [simd.MaxMR]int
			copy(out[:], g.Out[:rows])
			for i := range height {
				if i >= rows {
					g.Pix[i] = g.Pix[0]
				} else if g.Acc {
					copy(w.tile[i*nr:][:cols], at(g.C, out[i], cols))
				}
				g.Out[i] = i * nr
			}
			c := g.C
			g.C = &w.tile[0]
			gemm(g)
			for i := range rows {
				copy(at(c, out[i], cols), w.tile[i*nr:][:cols])
			}
		}
	}
	for m := from; m < to && p.done != nil; {
		x := m % p.w
		count := min(to-m, p.w-x)
		p.done(m/p.w/p.h, m/p.w%p.h, x, count, panel*nr, panel*nr+cols)
		m += count
	}
	for m := from; m < to && p.told != nil; m += p.pixels {
		p.told(worker, m/p.w/p.h, m%(p.w*p.h)/p.pixels, panel*nr, panel*nr+cols)
	}
}

// cursor walks over the grid's pixels.
type cursor struct{ x, y, n, a, c int }

func (p *product) cursor(m int) cursor {
	x, y, n := m%p.w, m/p.w%p.h, m/p.w/p.h
	return cursor{x, y, n, n*p.an + y*p.ay + x*p.ax, n*p.cn + y*p.cy + x*p.cx}
}

// skip goes on by count pixels of the same row, or to the next row behind the last of them.
func (c *cursor) skip(p *product, count int) {
	if c.x += count; c.x < p.w {
		c.a, c.c = c.a+count*p.ax, c.c+count*p.cx
		return
	}
	if c.x, c.y = 0, c.y+1; c.y == p.h {
		c.y, c.n = 0, c.n+1
	}
	c.a, c.c = c.n*p.an+c.y*p.ay, c.n*p.cn+c.y*p.cy
}

// packColumns packs B[k, j] = src[k*ld + j], k < kc, j < cols, into panels; each panel of dst is stride floats after the last.
func packColumns(dst []float32, src *float32, kc, cols, ld, nr, stride int) {
	for j := 0; j < cols; j += nr {
		n := min(nr, cols-j)
		panel := dst[j/nr*stride:]
		for k := range kc {
			row := panel[k*nr:][:nr]
			copy(row[:n], at(src, k*ld+j, n))
			clear(row[n:])
		}
	}
}

// packRows packs B[k, j] = src[j*ld + k], k < kc, j < cols (a transpose), likewise.
func (b *Backend) packRows(dst []float32, src *float32, kc, cols, ld, nr, stride int) {
	for j := 0; j < cols; j += nr {
		n := min(nr, cols-j)
		panel := dst[j/nr*stride:][: kc*nr : kc*nr]
		if n < nr {
			clear(panel)
		}
		b.vec.Transpose(panel, nr, at(src, j*ld, (n-1)*ld+kc), ld, n, kc)
	}
}
