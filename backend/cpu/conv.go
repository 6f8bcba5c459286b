package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// The convolutions read their input where it lies: a table holds the offset of each tap from a pixel, and zeros around the
// image (a halo that the producer wrote, or a padded copy) make every tap readable.

func init() {
	kernels["conv2d"] = kernel{
		halo: func(attrs any, i int) int {
			if i != 0 {
				return 0
			}
			return convHalo(attrs.(backend.Conv))
		},
		packed: convPacked,
		scratch: func(b *Backend, s *backend.Step) int {
			a, x, w := s.Attrs.(backend.Conv), s.In[0], s.In[1].Shape
			if b.dots(s) {
				return dotConvScratch(s)
			}
			if b.winograd(a, w[3], w[0]) != nil {
				p := b.winoStep(s, false)
				return p.floats() + paddedCopy(x, 1)
			}
			n := paddedCopy(x, convHalo(a))
			if s.Packed.Absent() {
				n += convPacked(b, s)
			}
			return n
		},
		prepare: prepareConv,
	}
	kernels["conv2d_data"] = kernel{
		halo: func(attrs any, i int) int {
			if i != 0 {
				return 0
			}
			return dataHalo(attrs.(backend.Conv))
		},
		scratch: func(b *Backend, s *backend.Step) int {
			a, w := s.Attrs.(backend.Conv), s.In[1].Shape
			if b.dots(s) {
				return dotConvDataScratch(s)
			}
			if b.winogradData(a, s.In[0].Shape[0], w[0], w[3]) != nil {
				p := b.winoStep(s, true)
				return p.floats() + paddedCopy(s.In[0], 1)
			}
			return b.packed(w[3], w[1]*w[2], w[0]) + paddedCopy(s.In[0], dataHalo(a))
		},
		prepare: prepareConvData,
	}
}

// convPacked is the packed kernel and bias, or the transformed kernel, of a forward convolution.
func convPacked(b *Backend, s *backend.Step) int {
	a, w := s.Attrs.(backend.Conv), s.In[1].Shape
	if b.dots(s) {
		return dotConvPacked(s)
	}
	if b.winograd(a, w[3], w[0]) != nil {
		p := b.winoStep(s, false)
		return p.keeps()
	}
	return b.packed(w[0], w[1]*w[2], w[3]) + b.panels(w[0])*b.tile.NR
}

// convOut is the extent of the output.
func convOut(a backend.Conv) (h, w int) {
	return (a.H+a.Top+a.Bottom-a.KH)/a.Stride + 1, (a.W+a.Left+a.Right-a.KW)/a.Stride + 1
}

// convHalo is how far the taps reach beyond the image.
func convHalo(a backend.Conv) int { return max(a.Top, a.Left, a.Bottom, a.Right) }

// dataHalo is the same for the data gradient, which reads the output's gradient.
func dataHalo(a backend.Conv) int {
	oh, ow := convOut(a)
	reach := 0
	for _, d := range [][4]int{{a.H, a.Top, a.KH, oh}, {a.W, a.Left, a.KW, ow}} {
		lo, hi := -((d[2] - 1 - d[1]) / a.Stride), (d[0]-1+d[1])/a.Stride
		reach = max(reach, -lo, hi-(d[3]-1))
	}
	return reach
}

// paddedCopy is the floats of a copy of v with a halo, 0 if v has one already.
func paddedCopy(v backend.View, halo int) int {
	if v.Halo >= halo {
		return 0
	}
	s := v.Shape
	return s[0] * (s[1] + 2*halo) * (s[2] + 2*halo) * s[3]
}

// padded returns x with a halo: x itself, or a copy in scratch that refresh (not nil then) makes anew.
func (c *call) padded(x image, halo int, scratch []float32) (y image, refresh func()) {
	if x.halo >= halo {
		return x, nil
	}
	st, first := backend.HaloStrides(backend.Shape{x.n, x.h, x.w, x.c}, halo)
	y = image{&scratch[first], x.n, x.h, x.w, x.c, st[0], st[1], st[2], halo}
	task := func(_, n int) {
		y.zeroHalo(n)
		for h := range x.h {
			c.vec.CopyRows(y.row(n, h), y.pixs, x.row(n, h), x.pixs, x.c, x.w)
		}
	}
	return y, func() { c.pool.run(x.n, task) }
}

func prepareConv(c *call) func() {
	a, w := c.step.Attrs.(backend.Conv), c.in[1]
	O, I, nr := w.v.Shape[0], w.v.Shape[3], c.tile.NR
	if c.dots(c.step) {
		return prepareDotConv(c)
	}
	if c.winograd(a, I, O) != nil {
		return prepareWinoConv(c, false)
	}
	taps := a.KH * a.KW
	kept, rest := c.kept, c.scratch
	if kept == nil {
		kept, rest = cut(rest, convPacked(c.Backend, c.step))
	}
	packed, bias := cut(kept, c.packed(O, taps, I))
	x, refresh := c.padded(c.in[0].image(), convHalo(a), rest)
	y := c.out[0].image()
	p := product{
		a: ptr(x.p, -a.Top*x.rows-a.Left*x.pixs), c: y.p, n: y.n, h: y.h, w: y.w,
		an: x.imgs, ay: a.Stride * x.rows, ax: a.Stride * x.pixs, cn: y.imgs, cy: y.rows, cx: y.pixs,
		kc: I, cols: O, b: packed,
	}
	for kh := range a.KH {
		for kw := range a.KW {
			p.taps = append(p.taps, kh*x.rows+kw*x.pixs)
		}
	}
	p.tell(c, &y)
	p.split(c.Backend)
	if !c.in[2].absent() {
		p.bias = bias
	}
	if c.after != nil {
		p.done = func(n, h, w, count, from, to int) { c.finish(y, n, h, w, 1, count, from, to) }
	}
	// B[tap, i, o] = w[o, tap, i]
	pack := func(_, panel int) {
		for t := range taps {
			c.packRows(packed[(panel*taps+t)*I*nr:], ptr((*float32)(w.p), panel*nr*taps*I+t*I), I, min(nr, O-panel*nr), taps*I, nr, 0)
		}
		if p.bias != nil {
			row := bias[panel*nr:][:nr]
			clear(row[copy(row, c.in[2].f32()[panel*nr:]):])
		}
	}
	if c.step.Pack {
		return func() { c.pool.run(c.panels(O), pack) }
	}
	task := func(worker, i int) { p.task(c.Backend, worker, i) }
	return func() {
		if refresh != nil {
			refresh()
		}
		if c.kept == nil {
			c.pool.run(c.panels(O), pack)
		}
		c.pool.run(p.tasks(c.Backend), task)
	}
}

// prepareConvData: with stride s, the pixels of dx whose coordinates leave the remainders (ry, rx) see only the taps with
// (ry + top - kh) and (rx + left - kw) divisible by s: s*s products, each over a grid that is a full convolution of dy.
func prepareConvData(c *call) func() {
	a, w := c.step.Attrs.(backend.Conv), c.in[1]
	O, I, nr, s := w.v.Shape[0], w.v.Shape[3], c.tile.NR, a.Stride
	if c.dots(c.step) {
		return prepareDotConvData(c)
	}
	if c.winogradData(a, c.in[0].v.Shape[0], O, I) != nil {
		return prepareWinoConv(c, true)
	}
	packed, rest := cut(c.scratch, c.packed(I, a.KH*a.KW, O))
	dy, refresh := c.padded(c.in[0].image(), dataHalo(a), rest)
	dx := c.out[0].image()
	var products []product
	var packs []func(panel int)
	for ry := range min(s, dx.h) {
		for rx := range min(s, dx.w) {
			p := product{
				a: dy.p, c: ptr(dx.p, ry*dx.rows+rx*dx.pixs), n: dx.n, h: ceil(dx.h-ry, s), w: ceil(dx.w-rx, s),
				an: dy.imgs, ay: dy.rows, ax: dy.pixs, cn: dx.imgs, cy: s * dx.rows, cx: s * dx.pixs, kc: O, cols: I,
			}
			var at []int // offset of each tap in w
			for kh := range a.KH {
				for kw := range a.KW {
					if y, x := ry+a.Top-kh, rx+a.Left-kw; mod(y, s) == 0 && mod(x, s) == 0 {
						p.taps = append(p.taps, floorDiv(y, s)*dy.rows+floorDiv(x, s)*dy.pixs)
						at = append(at, (kh*a.KW+kw)*I)
					}
				}
			}
			if c.after != nil {
				p.done = func(n, h, w, count, from, to int) { c.finish(dx, n, ry+s*h, rx+s*w, s, count, from, to) }
			}
			p.b, packed = cut(packed, c.packed(I, len(p.taps), O))
			p.tell(c, &dx)
			p.split(c.Backend)
			b := p.b
			packs = append(packs, func(panel int) { // B[tap, o, i] = w[o, tap, i]
				for t, from := range at {
					packColumns(b[(panel*len(at)+t)*O*nr:], ptr((*float32)(w.p), from+panel*nr), O, min(nr, I-panel*nr), a.KH*a.KW*I, nr, 0)
				}
			})
			products = append(products, p)
		}
	}
	panels := c.panels(I)
	pack := func(_, i int) { packs[i/panels](i % panels) }
	tasks := 0
	for i := range products {
		tasks += products[i].tasks(c.Backend)
	}
	task := func(worker, i int) {
		for k := range products {
			n := products[k].tasks(c.Backend)
			if i < n {
				products[k].task(c.Backend, worker, i)
				return
			}
			i -= n
		}
	}
	return func() {
		if refresh != nil {
			refresh()
		}
		c.pool.run(len(packs)*panels, pack)
		c.pool.run(tasks, task)
	}
}

func mod(a, b int) int { return ((a % b) + b) % b }

func floorDiv(a, b int) int { return (a - mod(a, b)) / b }

// cut takes the first n floats of s, rounded up to whole cache lines where there are as many.
func cut(s []float32, n int) (first, rest []float32) { return s[:n:n], s[n:] }
