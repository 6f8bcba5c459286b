package main

// channelRows emits the kernels on pixels of channels. All go through memory in
// order, whatever the number of channels. Running down the pixels with the sums
// of a few channels in registers takes half as long on data in the second-level
// cache, but two to three times as long on data in memory, because it defeats
// the prefetchers. What belongs to channels, sums included, is in the
// first-level cache.
func (e *emitter) channelRows() {
	e.channelSums()
	for _, silu := range []bool{false, true} {
		e.affine(silu)
		e.affineGradSums(silu)
	}
	e.affineGrad()

	e.begin("AddRow", "(dst []float32, ds int, x []float32, xs int, row []float32, pixels int)", "dst = x + row.")
	row, n := e.base("row"), e.length("row")
	e.eachPixel([]rows{{"dst", "ds"}, {"x", "xs"}}, func(p []gp) {
		e.each(n, 4, func(b block) {
			b.store(e.add(b.load(p[1]), b.load(row)), p[0])
		})
	})
	e.end()
}

// copyRows emits CopyRows and AddRows.
func (e *emitter) copyRows() {
	e.begin("CopyRows", "(dst []float32, ds int, x []float32, xs, c, pixels int)", "dst = x, c channels of each pixel.")
	n := e.GP64()
	e.Load(e.Param("c"), n)
	e.eachPixel([]rows{{"dst", "ds"}, {"x", "xs"}}, func(p []gp) {
		e.each(n, 4, func(b block) { b.store(b.load(p[1]), p[0]) })
	})
	e.end()

	e.begin("AddRows", "(dst []float32, ds int, x []float32, xs, c, pixels int)", "dst += x, c channels of each pixel.")
	n = e.GP64()
	e.Load(e.Param("c"), n)
	e.eachPixel([]rows{{"dst", "ds"}, {"x", "xs"}}, func(p []gp) {
		e.each(n, 4, func(b block) { b.store(e.add(b.load(p[0]), b.load(p[1])), p[0]) })
	})
	e.end()
}

// addTo adds v to a block of an array of channels.
func (b block) addTo(v vec, sums gp) {
	b.store(b.add(v, b.load(sums)), sums)
}

// suffixed names a variant of an affine kernel and what its f is.
func suffixed(name string, silu bool) (string, string) {
	if silu {
		return name + "SiLU", ", f = silu."
	}
	return name, ", f the identity."
}

func (e *emitter) channelSums() {
	e.begin("ChannelSums", "(sum, sumsq, x []float32, xs, pixels int)", "sum += x and sumsq += x^2 over the pixels.")
	sum, sumsq, n := e.base("sum"), e.base("sumsq"), e.length("sum")
	e.eachPixel([]rows{{"x", "xs"}}, func(p []gp) {
		e.each(n, 4, func(b block) {
			v, q := b.load(p[0]), b.load(sumsq)
			b.addTo(v, sum)
			e.accumulate(q, v, v)
			b.store(q, sumsq)
		})
	})
	e.end()

	e.begin("RowSums", "(sum, x []float32, xs, pixels int)", "sum += x over the pixels.")
	sum, n = e.base("sum"), e.length("sum")
	e.eachPixel([]rows{{"x", "xs"}}, func(p []gp) {
		e.each(n, 4, func(b block) {
			b.addTo(b.load(p[0]), sum)
		})
	})
	e.end()
}

func (e *emitter) affine(silu bool) {
	name, f := suffixed("Affine", silu)
	e.begin(name, "(dst []float32, ds int, x []float32, xs int, a, b []float32, pixels int)", "dst = f(a x + b)"+f)
	if silu {
		e.keep(negConstants...)
	}
	a, b, n := e.base("a"), e.base("b"), e.length("a")
	e.eachPixel([]rows{{"dst", "ds"}, {"x", "xs"}}, func(p []gp) {
		e.each(n, 4, func(bl block) {
			z := e.madd(bl.load(p[1]), bl.load(a), bl.load(b))
			if silu {
				z = e.silu(z)
			}
			bl.store(z, p[0])
		})
	})
	e.end()
}

// dz returns dy silu'(a x + b); it overwrites b.
func (e *emitter) dz(dy, x, a, b vec) vec {
	e.accumulate(b, x, a)
	return e.mul(dy, e.siluGrad(b))
}

func (e *emitter) affineGradSums(silu bool) {
	name, f := suffixed("AffineGradSums", silu)
	arrays := []rows{{"x", "xs"}, {"dy", "ys"}}
	if silu { // dz is dy otherwise, and not written
		arrays = append(arrays, rows{"dz", "ds"})
	}
	e.begin(name, "(s1, s2, dz []float32, ds int, x []float32, xs int, dy []float32, ys int, a, b []float32, pixels int)",
		"s1 += dz and s2 += dz x over the pixels for dz = dy f'(a x + b)"+f)
	if silu {
		e.keep(negConstants...)
	}
	a, b, n := e.base("a"), e.base("b"), e.length("s1")
	s1, s2 := e.base("s1"), e.base("s2")
	e.eachPixel(arrays, func(p []gp) {
		e.each(n, 2, func(bl block) {
			x, d := bl.load(p[0]), bl.load(p[1])
			if silu {
				d = e.dz(d, x, bl.load(a), bl.load(b))
				bl.store(d, p[2])
			}
			bl.addTo(d, s1)
			q := bl.load(s2)
			e.accumulate(q, d, x)
			bl.store(q, s2)
		})
	})
	e.end()
}

func (e *emitter) affineGrad() {
	e.begin("AffineGrad", "(dx []float32, ds int, x []float32, xs int, dz []float32, zs int, ca, cb, cc []float32, pixels int)",
		"dx = ca dz + cb x + cc.")
	ca, cb, cc, n := e.base("ca"), e.base("cb"), e.base("cc"), e.length("ca")
	e.eachPixel([]rows{{"dx", "ds"}, {"x", "xs"}, {"dz", "zs"}}, func(p []gp) {
		e.each(n, 4, func(bl block) {
			d := e.madd(bl.load(p[2]), bl.load(ca), bl.load(cc))
			e.accumulate(d, bl.load(p[1]), bl.load(cb))
			bl.store(d, p[0])
		})
	})
	e.end()
}
