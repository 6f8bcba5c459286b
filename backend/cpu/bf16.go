package cpu

import (
	"unsafe"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// In bf16 mode the convolutions and the linear layers, which are convolutions of one pixel, and their gradients round their
// operands to bf16 and add up products in float32 (simd.Dot). All else, and all that they read and write, is float32.
//
// A convolution reads a rounded copy of its input with zeros around each image. The pixels of the copy are evenly spaced, so an
// image is one product of matrices for each tap: its rows are all pixels of the copy, from that of the first output to that of
// the last, and those that belong to no output are left out when the result is written.

// bf16 reports whether a step is to be computed so; the first one asks the system for the use of AMX.
func (b *Backend) bf16(s *backend.Step) bool {
	if s.Precision != backend.BF16 || !b.Info().Has(backend.BF16) {
		return false
	}
	b.dotOnce.Do(func() {
		d := simd.DotFor()
		for _, other := range simd.Dots() {
			if other.Name == b.dotName {
				d = other
			}
		}
		for i := range b.workers {
			b.workers[i].blocks = aligned(max(dotBlocks*dotBlock, dotTemp))
		}
		b.dot = &d
	})
	return true
}

const (
	dotRows     = simd.DotRows
	dotRow      = 2 * dotRows       // elements of a row of pairs of packed B
	dotBlock    = dotRows * dotRows // floats of a block of C
	dotBlocks   = 8                 // blocks of a call, at most
	dotUnitRows = dotBlocks * dotRows
	dotTaskRows = 512       // rows of a task, about: their input stays in the second-level cache
	dotShared   = 256 << 10 // elements of B that all panels may have to be of one task
	dotTasks    = 16        // wanted
	dotChannels = 16        // least channels to read: fewer would be mostly zeros
	dotLeast    = 32        // rows
	dotImages   = 2         // images that a forward pass is taken to have: maps from 4x4 on have enough rows
	dotPart     = 512       // channels that are packed at a time
)

// dots reports whether a step, conv2d or one of its gradients, takes bf16: a rule on shape and on what the processor has alone.
// Without AMX, Winograd's convolution in float32 is faster, and more exact.
func (b *Backend) dots(s *backend.Step) bool {
	if !b.bf16(s) {
		return false
	}
	a, n := s.Attrs.(backend.Conv), s.In[0].Shape[0]
	var in, out int // channels that a product adds up and those that it makes
	form := b.winogradData
	switch w := s.In[1].Shape; s.Op {
	case "conv2d": // whatever the number of images, so that an image is the same alone as among others
		in, out, n = w[3], w[0], dotImages
		form = func(a backend.Conv, _, in, out int) *simd.Wino { return b.winograd(a, in, out) }
	case "conv2d_data":
		if in, out = w[0], w[3]; min(a.KH, a.KW) < a.Stride { // some pixels were read by no tap
			return false
		}
	default:
		// On maps of 4x4 the zeros around them are more than half of the products.
		form = b.winogradWeight
		if in, out = s.In[0].Shape[3], w[3]; out < dotChannels || a.H*a.W <= 16 && form(a, n, in, out) != nil {
			return false
		}
	}
	h, w := convOut(a)
	linear := s.Op == "conv2d" && h*w == 1
	if in < dotChannels || n*h*w < dotLeast && !linear {
		return false
	}
	return b.dot.Tiles || form(a, n, in, out) == nil
}

// roundUp is n rounded up to a multiple of m.
func roundUp(n, m int) int { return ceil(n, m) * m }

// halves is memory in bf16.
func halves(s []float32) []uint16 {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*uint16)(unsafe.Pointer(&s[0])), 2*len(s))
}

// rounded is an image in bf16 with zeros around: pixel (n, y, x) of x lies at ((n*rows+y+top)*cols+x+left)*c.
type rounded struct {
	x          image
	rows, cols int
	top, left  int
	c          int // channels, a multiple of simd.DotK; zeros behind those of x
}

func newRounded(x backend.Shape, top, left, bottom, right int) rounded {
	return rounded{rows: x[1] + top + bottom, cols: x[2] + left + right, top: top, left: left, c: roundUp(x[3], simd.DotK)}
}

// floats is the memory of n images. A product reads whole blocks of rows, step pixels apart: what lies behind the last image is
// read, and not used.
func (r *rounded) floats(n, step int) int { return (n*r.rows*r.cols + dotRows*step) * r.c / 2 }

// row writes row y, counted with the rows of zeros, of image n.
func (r *rounded) row(d *simd.Dot, dst []uint16, n, y int) {
	dst = dst[(n*r.rows+y)*r.cols*r.c:][: r.cols*r.c : r.cols*r.c]
	if y -= r.top; y < 0 || y >= r.x.h {
		clear(dst)
		return
	}
	src := r.x.row(n, y)
	clear(dst[:r.left*r.c])
	clear(dst[(r.left+r.x.w)*r.c:])
	dst = dst[r.left*r.c:]
	if r.c == r.x.pixs {
		d.Round(dst, src)
		return
	}
	for x := range r.x.w {
		pixel := dst[x*r.c:][:r.c]
		d.Round(pixel[:r.x.c], src[x*r.x.pixs:][:r.x.c])
		clear(pixel[r.x.c:])
	}
}

// task rounds some rows; there are so many tasks.
func (r *rounded) tasks(d *simd.Dot, dst []uint16) (int, func(worker, task int)) {
	rows := r.x.n * r.rows
	per := max(1, grain/(r.cols*r.c))
	return ceil(rows, per), func(_, i int) {
		for k := i * per; k < min((i+1)*per, rows); k++ {
			r.row(d, dst, k/r.rows, k%r.rows)
		}
	}
}

// dotProduct is a convolution, or a part of a data gradient, as products of rounded matrices: output (n, y, x) of the grid is row
// y*cols+x of image n, and goes to pixel (y*step+top, x*step+left) of y.
type dotProduct struct {
	a               *uint16
	image, row      int // elements from one image of A to the next, and from one row to the next
	n, h, w         int // the grid
	across          int // rows of the product from one of the grid to the next
	starts          []int
	taps            []int
	kc, cols        int
	b               []uint16 // [panels][taps][kc/2][32][2]
	bias            []float32
	y               image
	step, top, left int
	units           []dotUnit
	perTask, group  int // units and panels of a task
}

// dotUnit is some blocks of rows of one image.
type dotUnit struct{ n, from, blocks int }

func dotPanels(cols int) int { return ceil(cols, dotRows) }

// dotPacked is the elements of dotProduct.b.
func dotPacked(cols, taps, kc int) int {
	return dotPanels(cols) * taps * roundUp(kc, simd.DotK) * dotRows
}

// split makes the tasks.
func (p *dotProduct) split() {
	blocks := ceil((p.h-1)*p.across+p.w, dotRows)
	for n := range p.n {
		for from := 0; from < blocks; from += dotBlocks {
			p.units = append(p.units, dotUnit{n, from, min(dotBlocks, blocks-from)})
		}
	}
	for i := range dotBlocks {
		p.starts = append(p.starts, i*dotRows*p.row)
	}
	panels := dotPanels(p.cols)
	p.perTask = max(1, min(ceil(dotTaskRows, dotRows*min(blocks, dotBlocks)), ceil(len(p.units)*panels, dotTasks)))
	p.group = panels
	if tasks := ceil(len(p.units), p.perTask); dotPacked(p.cols, len(p.taps), p.kc) > dotShared || tasks < dotTasks {
		p.group = max(1, min(panels, 2, panels*tasks/dotTasks))
	}
}

func (p *dotProduct) groups() int { return ceil(dotPanels(p.cols), p.group) }
func (p *dotProduct) tasks() int  { return ceil(len(p.units), p.perTask) * p.groups() }

// task computes some units for a group of panels.
func (p *dotProduct) task(c *call, worker, i int) {
	units, group := i/p.groups(), i%p.groups()
	w := &c.workers[worker]
	for panel := group * p.group; panel < min((group+1)*p.group, dotPanels(p.cols)); panel++ {
		for k := units * p.perTask; k < min((units+1)*p.perTask, len(p.units)); k++ {
			u := &p.units[k]
			first := u.from * dotRows
			w.dot = simd.DotArgs{
				A: half(p.a, u.n*p.image+first*p.row), Row: p.row, Starts: &p.starts[0], Taps: &p.taps[0], NTaps: len(p.taps), KC: p.kc,
				B: &p.b[panel*len(p.taps)*p.kc*dotRows], BRow: dotRow, C: &w.blocks[0], Blocks: u.blocks,
			}
			c.dot.Run(&w.dot)
			p.write(c, w.blocks, u.n, first, first+u.blocks*dotRows, panel*dotRows)
			if c.tally != nil {
				p.tell(c, worker, u.n, first, first+u.blocks*dotRows, panel*dotRows)
			}
		}
	}
}

// write takes the outputs among the rows [first, last) of image n from c, the panel that begins at channel from.
func (p *dotProduct) write(c *call, rows []float32, n, first, last, from int) {
	y, to := &p.y, min(from+dotRows, p.cols)
	for gy := first / p.across; gy < p.h && gy*p.across < last; gy++ {
		x := max(0, first-gy*p.across)
		count := min(p.w, last-gy*p.across) - x
		if count <= 0 {
			continue
		}
		img, h, w := n, gy*p.step+p.top, x*p.step+p.left
		if p.h > y.h { // images one below the other
			img, h = h/y.h, h%y.h
		}
		src := rows[(gy*p.across+x-first)*dotRows:]
		dst := floats(ptr(y.p, img*y.imgs+h*y.rows+w*y.pixs+from), (count-1)*p.step*y.pixs+to-from)
		if p.bias != nil {
			c.vec.AddRow(dst, p.step*y.pixs, src, dotRows, p.bias[from:to], count)
		} else {
			c.vec.CopyRows(dst, p.step*y.pixs, src, dotRows, to-from, count)
		}
		if c.after != nil {
			c.finish(*y, img, h, w, p.step, count, from, to)
		}
	}
}

// tell tells of the outputs among the rows [first, last) of image n, which are a unit, and of the panel that begins at channel from.
func (p *dotProduct) tell(c *call, worker, n, first, last, from int) {
	y, t, to := &p.y, c.tally, min(from+dotRows, p.cols)
	if p.h > y.h { // images one below the other: a unit is a part of one, or some of them
		pixels := y.h * y.w
		for last = min(last, y.n*pixels); first < last; {
			at := first % pixels
			count := min(last-first, pixels-at)
			t.add(c, worker, y, first/pixels, at/dotUnitRows, at, at+count, from, to)
			first += count
		}
		return
	}
	before := func(row int) int { return min(row/p.across*y.w+min(row%p.across, y.w), y.h*y.w) } // pixels before a row
	t.add(c, worker, y, n, first/dotUnitRows, before(first), before(last), from, to)
}

// half is the k-th element after p.
func half(p *uint16, k int) *uint16 { return (*uint16)(unsafe.Add(unsafe.Pointer(p), 2*k)) }

// packRows packs B[k, j] = src[j*ld+k], k < kc, j < cols, for one tap of a panel. It uses the worker's blocks.
func (c *call) dotPackRows(worker int, dst []uint16, src *float32, kc, cols, ld int) {
	temp := c.workers[worker].blocks
	for from := 0; from < kc; from += dotPart {
		n := min(dotPart, kc-from)
		wide := roundUp(n, simd.DotK)
		rows := halves(temp[:dotRows*wide/2])
		if cols < dotRows || n < wide {
			clear(rows)
		}
		for j := range cols {
			c.dot.Round(rows[j*wide:][:n], at(src, j*ld+from, n))
		}
		// A pair is as long as a float.
		pairs := unsafe.Slice((*float32)(unsafe.Pointer(&dst[from*dotRows])), wide/2*dotRows)
		c.vec.Transpose(pairs, dotRows, temp[:dotRows*wide/2], wide/2, dotRows, wide/2)
	}
}

// dotPackColumns packs B[k, j] = src[k*ld+j] likewise.
func (c *call) dotPackColumns(dst []uint16, src *float32, kc, cols, ld int) {
	for k := 0; k < roundUp(kc, simd.DotK); k += 2 {
		row := dst[k*dotRows:][:dotRow]
		if k >= kc {
			clear(row)
			continue
		}
		a := at(src, k*ld, cols)
		b := zeros[:cols]
		if k+1 < kc {
			b = at(src, (k+1)*ld, cols)
		}
		c.dot.Pair(row[:2*cols], a, b)
		clear(row[2*cols:])
	}
}

var zeros [dotPart]float32
