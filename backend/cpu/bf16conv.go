package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// matrix reports whether the convolution is a product of matrices: then all images are one, of all their rows.
func matrix(a backend.Conv) bool {
	return a.KH == 1 && a.KW == 1 && a.Stride == 1 && a.Top == 0 && a.Left == 0 && a.Bottom == 0 && a.Right == 0
}

// dotInput is the copy that a forward convolution reads.
func dotInput(s *backend.Step) rounded {
	a := s.Attrs.(backend.Conv)
	return newRounded(s.In[0].Shape, a.Top, a.Left, a.Bottom, a.Right)
}

// dotGradInput is the copy that a data gradient reads.
func dotGradInput(s *backend.Step) rounded {
	h := dataHalo(s.Attrs.(backend.Conv))
	return newRounded(s.In[0].Shape, h, h, h, h)
}

// dotConvPacked is the floats of the packed kernel of a forward convolution.
func dotConvPacked(s *backend.Step) int {
	a, w := s.Attrs.(backend.Conv), s.In[1].Shape
	return dotPacked(w[0], a.KH*a.KW, w[3]) / 2
}

// dotParts is the parts of an image in the tally of a convolution, or of a data gradient, of stride 1: the units of its product. There are none
// where units end anywhere in images.
func dotParts(s *backend.Step) int {
	in := dotInput
	if s.Op == "conv2d_data" {
		in = dotGradInput
	}
	y, across := s.Out[0].Shape, in(s).cols
	pixels := y[1] * y[2]
	switch {
	case !matrix(s.Attrs.(backend.Conv)):
		return ceil(ceil((y[1]-1)*across+y[2], dotRows), dotBlocks)
	case pixels%dotUnitRows == 0:
		return pixels / dotUnitRows
	case dotUnitRows%pixels == 0:
		return 1
	}
	return 0
}

func dotConvScratch(s *backend.Step) int {
	in := dotInput(s)
	n := in.floats(s.In[0].Shape[0], s.Attrs.(backend.Conv).Stride)
	if s.Packed.Absent() {
		n += dotConvPacked(s)
	}
	return n
}

func dotConvDataScratch(s *backend.Step) int {
	a, w, in := s.Attrs.(backend.Conv), s.In[1].Shape, dotGradInput(s)
	return in.floats(s.In[0].Shape[0], 1) + dotPacked(w[3], a.KH*a.KW, w[0])/2
}

func prepareDotConv(c *call) func() {
	a, w := c.step.Attrs.(backend.Conv), c.in[1]
	O, I, taps := w.v.Shape[0], w.v.Shape[3], a.KH*a.KW
	kept, rest := c.kept, c.scratch
	if kept == nil {
		kept, rest = cut(rest, dotConvPacked(c.step))
	}
	in := dotInput(c.step)
	in.x = c.in[0].image()
	copied, packed := halves(rest), halves(kept)
	p := dotProduct{
		a: &copied[0], image: in.rows * in.cols * in.c, row: a.Stride * in.c, across: in.cols, kc: in.c, cols: O, b: packed, y: c.out[0].image(), step: 1,
	}
	p.n, p.h, p.w = p.y.n, p.y.h, p.y.w
	if matrix(a) {
		p.n, p.h = 1, p.n*p.h
	}
	for kh := range a.KH {
		for kw := range a.KW {
			p.taps = append(p.taps, (kh*in.cols+kw)*in.c)
		}
	}
	if !c.in[2].absent() {
		p.bias = c.in[2].f32()
	}
	p.split()
	pack := func(worker, i int) { // B[tap, i, o] = w[o, tap, i]
		panel, t := i/taps, i%taps
		c.dotPackRows(worker, packed[i*in.c*dotRows:], ptr((*float32)(w.p), (panel*dotRows*taps+t)*I), I, min(dotRows, O-panel*dotRows), taps*I)
	}
	packs := dotPanels(O) * taps
	if c.step.Pack {
		return func() { c.pool.run(packs, pack) }
	}
	rounds, round := in.tasks(c.dot, copied)
	task := func(worker, i int) { p.task(c, worker, i) }
	return func() {
		c.pool.run(rounds, round)
		if c.kept == nil {
			c.pool.run(packs, pack)
		}
		c.pool.run(p.tasks(), task)
	}
}

// prepareDotConvData is prepareConvData in bf16.
func prepareDotConvData(c *call) func() {
	a, w := c.step.Attrs.(backend.Conv), c.in[1]
	O, I, s := w.v.Shape[0], w.v.Shape[3], a.Stride
	in := dotGradInput(c.step)
	in.x = c.in[0].image()
	dx := c.out[0].image()
	first, rest := cut(c.scratch, dotPacked(I, a.KH*a.KW, O)/2)
	packed, copied := halves(first), halves(rest)
	panels := dotPanels(I)
	var products []dotProduct
	var packs []func(panel int)
	for ry := range min(s, dx.h) {
		for rx := range min(s, dx.w) {
			p := dotProduct{
				a: &copied[(in.top*in.cols+in.left)*in.c], image: in.rows * in.cols * in.c, row: in.c, across: in.cols, kc: in.c, cols: I,
				n: dx.n, h: ceil(dx.h-ry, s), w: ceil(dx.w-rx, s), y: dx, step: s, top: ry, left: rx,
			}
			if matrix(a) {
				p.n, p.h = 1, p.n*p.h
			}
			var from []int // offset of each tap in w
			for kh := range a.KH {
				for kw := range a.KW {
					if y, x := ry+a.Top-kh, rx+a.Left-kw; mod(y, s) == 0 && mod(x, s) == 0 {
						p.taps = append(p.taps, (floorDiv(y, s)*in.cols+floorDiv(x, s))*in.c)
						from = append(from, (kh*a.KW+kw)*I)
					}
				}
			}
			n := dotPacked(I, len(p.taps), O)
			p.b, packed = packed[:n], packed[n:]
			p.split()
			b := p.b
			packs = append(packs, func(panel int) { // B[tap, o, i] = w[o, tap, i]
				for t, at := range from {
					c.dotPackColumns(b[(panel*len(from)+t)*in.c*dotRows:], ptr((*float32)(w.p), at+panel*dotRows), O, min(dotRows, I-panel*dotRows), a.KH*a.KW*I)
				}
			})
			products = append(products, p)
		}
	}
	tasks := 0
	for i := range products {
		tasks += products[i].tasks()
	}
	task := func(worker, i int) {
		for k := range products {
			n := products[k].tasks()
			if i < n {
				products[k].task(c, worker, i)
				return
			}
			i -= n
		}
	}
	rounds, round := in.tasks(c.dot, copied)
	pack := func(_, i int) { packs[i/panels](i % panels) }
	return func() {
		c.pool.run(rounds, round)
		c.pool.run(len(packs)*panels, pack)
		c.pool.run(tasks, task)
	}
}
