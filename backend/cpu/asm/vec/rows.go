package main

import op "github.com/mmcloughlin/avo/operand"

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
	e.begin("ChannelSums", "(sum, sumsq, shift, x []float32, xs, pixels int)", "sum += x - shift and sumsq += (x - shift)^2 over the pixels.")
	sum, sumsq, shift, n := e.base("sum"), e.base("sumsq"), e.base("shift"), e.length("sum")
	e.eachPixel([]rows{{"x", "xs"}}, func(p []gp) {
		e.each(n, 4, func(b block) {
			v, q := e.sub(b.load(p[0]), b.load(shift)), b.load(sumsq)
			b.addTo(v, sum)
			e.accumulate(q, v, v)
			b.store(q, sumsq)
		})
	})
	e.end()

	// moments writes the mean and the sum of squared differences of 1/share pixels, whose sums are s and q.
	moments := func(b block, s, q, shift, share vec, mean, m2 gp) {
		m := e.mul(s, share)
		b.store(e.add(shift, m), mean)
		b.store(e.sub(q, e.mul(s, m)), m2)
	}
	e.begin("FinishMoments", "(sum, sumsq, shift []float32, share float32)", "what ChannelSums leaves, of 1/share pixels, turned into means and sums of squared differences from them.")
	sum, sumsq, shift = e.base("sum"), e.base("sumsq"), e.base("shift")
	share := e.scalar("share")
	e.each(e.length("sum"), 1, func(b block) { moments(b, b.load(sum), b.load(sumsq), b.load(shift), share, sum, sumsq) })
	e.end()

	// Unlike the others it runs down the pixels, with sums in registers: they are in the cache.
	e.begin("Moments", "(mean, m2, x []float32, xs, pixels, rs, rows int, share float32)",
		"each channel's mean and sum of squared differences over 1/share pixels in rows, by sums of differences from the first.")
	mean, m2, n := e.base("mean"), e.base("m2"), e.length("mean")
	x, xs := e.base("x"), e.GP64()
	e.Load(e.Param("xs"), xs)
	e.SHLQ(op.U8(2), xs)
	const unroll = 4 // pixels at a time, whatever the number of channels, on which a channel's sums must not depend
	together := 1    // vectors
	if e.wide() {
		together = 2 // as many as there are registers for
	}
	e.blocks(n, together, func(bs []block) {
		var shifts []vec
		var s, q [][]vec
		for _, b := range bs {
			shifts = append(shifts, b.load(x))
			var zeros [2][]vec
			for range unroll {
				zeros[0], zeros[1] = append(zeros[0], e.zero()), append(zeros[1], e.zero())
			}
			s, q = append(s, zeros[0]), append(q, zeros[1])
		}
		row, p, left, rows := e.GP64(), e.GP64(), e.GP64(), e.GP64()
		e.MOVQ(x, row)
		e.Load(e.Param("rows"), rows)
		line, many, one, rest, done := e.label("line"), e.label("many"), e.label("one"), e.label("rest"), e.label("done")
		pixel := func(u int) {
			for k, b := range bs {
				v := e.sub(b.load(p), shifts[k])
				e.VADDPS(v, s[k][u], s[k][u])
				e.accumulate(q[k][u], v, v)
			}
			e.ADDQ(xs, p)
		}
		e.Label(line)
		e.MOVQ(row, p)
		e.Load(e.Param("pixels"), left)
		e.Label(many)
		e.SUBQ(op.U8(unroll), left)
		e.JLT(op.LabelRef(one))
		for u := range unroll {
			pixel(u)
		}
		e.JMP(op.LabelRef(many))
		e.Label(one)
		e.ADDQ(op.U8(unroll), left)
		e.Label(rest)
		e.DECQ(left)
		e.JLT(op.LabelRef(done))
		pixel(0)
		e.JMP(op.LabelRef(rest))
		e.Label(done)
		e.Load(e.Param("rs"), left)
		e.LEAQ(op.Mem{Base: row, Index: left, Scale: 4}, row)
		e.DECQ(rows)
		e.JNZ(op.LabelRef(line))
		share := e.scalar("share")
		for k, b := range bs {
			for u := 1; u < unroll; u++ {
				e.VADDPS(s[k][u], s[k][0], s[k][0])
				e.VADDPS(q[k][u], q[k][0], q[k][0])
			}
			moments(b, s[k][0], q[k][0], shifts[k], share, mean, m2)
		}
	})
	e.end()

	e.begin("Merge", "(mean, m2, means, m2s []float32, share, weight float32)", "Chan's formula for each channel.")
	mean, m2 = e.base("mean"), e.base("m2")
	means, m2s := e.base("means"), e.base("m2s")
	share, weight := e.scalar("share"), e.scalar("weight")
	e.each(e.length("mean"), 2, func(b block) {
		m, q := b.load(mean), e.add(b.load(m2), b.load(m2s))
		d := e.sub(b.load(means), m)
		e.accumulate(q, e.mul(d, d), weight)
		e.accumulate(m, d, share)
		b.store(m, mean)
		b.store(q, m2)
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
