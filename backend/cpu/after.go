package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// Fuses implements backend.Fuser: convolutions and the gradient of a group norm, whose second pass over memory this saves, add an
// image to their output, and a forward convolution a row of channels to all pixels of an image.
func (b *Backend) Fuses(op string, _ any, in []backend.Shape, next string, operand int) bool {
	if len(in[0]) != 4 {
		return false
	}
	switch op {
	case "conv2d":
		return next == "add" || next == "add_row" && operand == 0
	case "conv2d_data", "group_norm_grad":
		return next == "add"
	}
	return false
}

// A follower is what a step does to its first output at the end.
type follower struct {
	image image     // to add, or
	row   []float32 // [N,C], to add to the pixels of each image
}

// followers are those of the step, and its tallies; c.in and c.out are cut to what is the op's own.
func (c *call) followers() {
	after := c.step.After
	own := len(c.in) - len(after) - c.step.Tallied
	for _, t := range c.in[own+len(after):] {
		c.tallied = append(c.tallied, tallyOf(t, (t.v.Shape[2]-tallyHead)/2))
	}
	if last := len(c.out) - 1; c.step.Tally {
		c.tally, c.out = tallyOf(c.out[last], c.out[0].v.Shape[3]), c.out[:last]
	}
	for i, t := range c.in[own:][:len(after)] {
		if after[i].Op == "add_row" {
			c.after = append(c.after, follower{row: t.f32()})
		} else {
			c.after = append(c.after, follower{image: t.image()})
		}
	}
	c.in = c.in[:own]
}

// finish does what follows on count pixels of y, step apart from (n, h, w), and the channels [from, to). They were just
// written, so they are in the cache.
func (c *call) finish(y image, n, h, w, step, count, from, to int) {
	for i := range c.after {
		f, m := &c.after[i], &y
		dst := floats(ptr(m.p, n*m.imgs+h*m.rows+w*m.pixs+from), (count-1)*step*m.pixs+to-from)
		if f.row != nil {
			c.vec.AddRow(dst, step*y.pixs, dst, step*y.pixs, f.row[n*y.c:][from:to], count)
			continue
		}
		m = &f.image
		src := floats(ptr(m.p, n*m.imgs+h*m.rows+w*m.pixs+from), (count-1)*step*m.pixs+to-from)
		c.vec.AddRows(dst, step*y.pixs, src, step*m.pixs, to-from, count)
	}
}
