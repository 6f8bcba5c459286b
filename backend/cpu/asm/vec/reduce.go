package main

// reductions emits the kernels that reduce arrays to a number. The four
// accumulators of a loop hide the latency of their additions; simd bounds the
// number of elements a call so that float32 lanes stay accurate.
func (e *emitter) reductions() {
	for _, k := range []struct {
		name, sig, doc string
		f              func(b block, p, q gp, acc vec)
	}{
		{"Sum", "(a []float32) float64", "the sum of a.",
			func(b block, p, _ gp, acc vec) {
				e.VADDPS(b.load(p), acc, acc)
			}},
		{"SumSq", "(a []float32) float64", "the sum of a^2.",
			func(b block, p, _ gp, acc vec) {
				x := b.load(p)
				e.accumulate(acc, x, x)
			}},
		{"SumSqDiff", "(a, b []float32) float64", "the sum of (a-b)^2.",
			func(b block, p, q gp, acc vec) {
				x := e.sub(b.load(p), b.load(q))
				e.accumulate(acc, x, x)
			}},
		{"Probe", "(a []float32) float64", "the sum of 0 a: NaN if any element is infinite or NaN, else 0.",
			func(b block, p, _ gp, acc vec) {
				e.accumulate(acc, e.c("zero"), b.load(p))
			}},
	} {
		e.begin(k.name, k.sig, k.doc)
		if k.name == "Probe" {
			e.keep("zero")
		}
		accs := []vec{e.zero(), e.zero(), e.zero(), e.zero()}
		p := e.base("a")
		q := p
		if k.name == "SumSqDiff" {
			q = e.base("b")
		}
		e.blocks(e.length("a"), len(accs), func(bs []block) {
			for _, b := range bs {
				k.f(b, p, q, accs[b.u])
			}
		})
		e.sum64(accs)
		e.end()
	}
}

// softmax emits the softmax of one row and its gradient, which computes the row again.
func (e *emitter) softmax() {
	const unroll = 2
	// total adds the accumulators and then their lanes.
	total := func(accs []vec) vec { return e.across(e.add(accs[0], accs[1]), e.VADDPS) }

	e.begin("Softmax", "(x []float32, scale float32) (top, sum float32)", "x = softmax(scale x), top the largest of scale x, sum that of exp(scale x - top).")
	e.keep(expConstants...)
	x, n, scale := e.base("x"), e.length("x"), e.scalar("scale")
	tops := []vec{e.konst("lowest"), e.konst("lowest")}
	e.blocks(n, unroll, func(bs []block) {
		for _, b := range bs {
			v := b.fill(e.mul(b.load(x), scale), tops[b.u])
			e.VMAXPS(v, tops[b.u], tops[b.u])
		}
	})
	top := e.across(e.max(tops[0], tops[1]), e.VMAXPS)
	sums, none := []vec{e.zero(), e.zero()}, e.zero()
	e.blocks(n, unroll, func(bs []block) {
		for _, b := range bs {
			v := e.exp(e.sub(e.mul(b.load(x), scale), top), false)
			b.store(v, x)
			e.VADDPS(b.fill(v, none), sums[b.u], sums[b.u])
		}
	})
	sum := total(sums)
	inverse := e.div(e.r("one"), sum)
	e.each(n, unroll, func(b block) {
		b.store(e.mul(b.load(x), inverse), x)
	})
	e.Store(top.AsX(), e.Return("top"))
	e.Store(sum.AsX(), e.Return("sum"))
	e.end()

	e.begin("SoftmaxBack", "(s, dp []float32, scale, lse, dot float32)", "s = exp(scale s - lse) and then dp = scale s (dp - dot).")
	e.keep(expConstants...)
	s, dp, n := e.base("s"), e.base("dp"), e.length("s")
	scale, lse, dot := e.scalar("scale"), e.scalar("lse"), e.scalar("dot")
	e.each(n, unroll, func(b block) {
		p := e.exp(e.sub(e.mul(b.load(s), scale), lse), false)
		b.store(p, s)
		b.store(e.mul(e.sub(b.load(dp), dot), e.mul(p, scale)), dp)
	})
	e.end()
}
