package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// A tally is what a kernel tells of the image it writes to those that read it for its sums (backend.Tallier): of each part of it a row
// of floats, the number of pixels, and from tallyHead on the mean of each channel and the sum of squared differences from that.
// A part is some pixels in order. Which they are depends on the shape of one image alone, and all that a part's numbers are made of
// is written in one task: so they depend neither on the workers nor on how many images there are.
type tally struct {
	rows  []float32 // [N][parts][tallyHead+2c]
	parts int
	c     int // channels
}

const (
	tallyHead   = 16 // a cache line
	tallyPixels = 64 // of a part of whole rows, about
	tallyPanel  = 64 // channels that are added up together: their sums fit into registers
	tallyBlock  = 64 // tiles of a block of Winograd's form that is whole rows of tiles, at most
)

func tallyShape(n, parts, c int) backend.Shape { return backend.Shape{n, parts, tallyHead + 2*c} }

// tallyOf is the tally that lies in t, of an image of c channels.
func tallyOf(t tensor, c int) *tally { return &tally{t.f32(), t.v.Shape[1], c} }

// Tally implements backend.Tallier: convolutions and their data gradients can, and the gradient of a group norm.
func (b *Backend) Tally(s *backend.Step) backend.Shape {
	y := s.Out[0].Shape
	if len(y) != 4 || y[1]*y[2] < tallyPixels {
		return nil
	}
	parts := 0
	switch s.Op {
	case "conv2d", "conv2d_data":
		parts = b.convParts(s)
	case "group_norm_grad":
		parts = y[1] / tallyRows(y[1], y[2])
	}
	if parts == 0 {
		return nil
	}
	return tallyShape(y[0], parts, y[3])
}

// TakesTally implements backend.Tallier.
func (b *Backend) TakesTally(op string) bool {
	return op == "group_norm" || op == "sum_rows" || op == "sum_space"
}

// convParts is the number of parts of an image in the tally of a convolution or of a data gradient, 0 for none.
func (b *Backend) convParts(s *backend.Step) int {
	a, y, w, data := s.Attrs.(backend.Conv), s.Out[0].Shape, s.In[1].Shape, s.Op == "conv2d_data"
	if data && a.Stride > 1 {
		return 0
	}
	if b.dots(s) {
		return dotParts(s)
	}
	form := b.winograd(a, w[3], w[0])
	if data {
		form = b.winogradData(a, y[0], w[0], w[3])
	}
	if form == nil {
		return y[1] / tallyRows(y[1], y[2])
	}
	if p := b.winoStep(s, data); p.wholeRows() {
		return p.tiles.h
	}
	return 0
}

// tallyRows is how many rows of h rows of w pixels are a part.
func tallyRows(h, w int) int {
	k := max(1, min(h, tallyPixels/w))
	for h%k != 0 {
		k--
	}
	return k
}

// part is the row of a part of image n.
func (t *tally) part(n, part int) []float32 {
	k := tallyHead + 2*t.c
	return t.rows[(n*t.parts+part)*k:][:k]
}

// begin is the row of a part of so many pixels of image n; from is the first of the channels that a task tells of.
func (t *tally) begin(n, part, pixels, from int) []float32 {
	row := t.part(n, part)
	if from == 0 {
		clear(row[:tallyHead])
		row[0] = float32(pixels)
	}
	return row
}

// add tells of the pixels [first, last) of image n, in order, and of the channels [from, to), which have just been written and are in the
// cache. Rows that are not whole are told of by themselves.
func (t *tally) add(c *call, worker int, y *image, n, part, first, last, from, to int) {
	row, temp := t.begin(n, part, last-first, from), &c.workers[worker].tile
	if first == last {
		clear(row[tallyHead+from : tallyHead+to])
		clear(row[tallyHead+t.c+from : tallyHead+t.c+to])
		return
	}
	for p := first; p < last; {
		h, w := p/y.w, p%y.w
		pixels, rows := min(last-p, y.w-w), 1
		if pixels == y.w {
			rows = (last - p) / y.w
		}
		for k := from; k < to; k += tallyPanel {
			cols := min(tallyPanel, to-k)
			x := floats(ptr(y.p, n*y.imgs+h*y.rows+w*y.pixs+k), (rows-1)*y.rows+(pixels-1)*y.pixs+cols)
			mean, m2 := row[tallyHead+k:][:cols], row[tallyHead+t.c+k:][:cols]
			if p == first {
				c.vec.Moments(mean, m2, x, y.pixs, pixels, y.rows, rows)
				continue
			}
			means, m2s := temp[:cols], temp[tallyPanel:][:cols]
			c.vec.Moments(means, m2s, x, y.pixs, pixels, y.rows, rows)
			c.vec.MergeMoments(mean, m2, p-first, means, m2s, pixels*rows)
		}
		p += pixels * rows
	}
}

// read tells of the rows [h, to) of image n as add does, but goes over them in the order in which they lie in memory.
func (t *tally) read(c *call, y *image, n, part, h, to int) {
	row := t.begin(n, part, (to-h)*y.w, 0)
	mean, m2, shift := row[tallyHead:][:t.c], row[tallyHead+t.c:], y.row(n, h)[:t.c]
	clear(mean)
	clear(m2)
	for k := h; k < to; k++ {
		c.vec.ChannelSums(mean, m2, shift, y.row(n, k), y.w, y.pixs)
	}
	c.vec.FinishMoments(mean, m2, shift, (to-h)*y.w)
}

// moments makes means and sums of squared differences, [C], of image n of what the call is told of.
func (c *call) moments(n int, mean, m2 []float32) {
	clear(mean)
	clear(m2)
	at := 0
	for _, t := range c.tallied {
		mean, m2, pixels := mean[at:][:t.c], m2[at:][:t.c], 0
		for part := range t.parts {
			row := t.part(n, part)
			if count := int(row[0]); count > 0 {
				c.vec.MergeMoments(mean, m2, pixels, row[tallyHead:][:t.c], row[tallyHead+t.c:], count)
				pixels += count
			}
		}
		at += t.c
	}
}

// tallySums adds to sum, [C], the sums over image n of what the call is told of.
func (c *call) tallySums(n int, sum []float32) {
	at := 0
	for _, t := range c.tallied {
		for part := range t.parts {
			row, sum := t.part(n, part), sum[at:][:t.c]
			c.vec.Axpby(sum, sum, 1, row[tallyHead:][:t.c], row[0])
		}
		at += t.c
	}
}

// tell lets a product, whose grid is all of y, give the call's tally, if that is wanted.
func (p *product) tell(c *call, y *image) {
	if t := c.tally; t != nil {
		p.pixels = tallyRows(y.h, y.w) * y.w
		p.told = func(worker, n, part, from, to int) {
			t.add(c, worker, y, n, part, part*p.pixels, (part+1)*p.pixels, from, to)
		}
	}
}
