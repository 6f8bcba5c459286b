package main

import op "github.com/mmcloughlin/avo/operand"

// elementwise emits the kernels whose every output element is a function of
// the inputs' elements at the same index.
func (e *emitter) elementwise() {
	for _, k := range []struct {
		name, doc string
		f         func(a vec, b op.Op) vec
	}{
		{"Add", "dst = a + b.", e.add},
		{"Sub", "dst = a - b.", e.sub},
		{"Mul", "dst = a b.", e.mul},
	} {
		e.begin(k.name, "(dst, a, b []float32)", k.doc)
		dst, a, b := e.base("dst"), e.base("a"), e.base("b")
		e.each(e.length("dst"), 4, func(bl block) {
			bl.store(k.f(bl.load(a), bl.load(b)), dst)
		})
		e.end()
	}

	e.begin("Axpby", "(dst, a, b []float32, sa, sb float32)", "dst = sa a + sb b.")
	dst, a, b := e.base("dst"), e.base("a"), e.base("b")
	sa, sb := e.scalar("sa"), e.scalar("sb")
	e.each(e.length("dst"), 4, func(bl block) {
		v := e.mul(bl.load(a), sa)
		e.accumulate(v, bl.load(b), sb)
		bl.store(v, dst)
	})
	e.end()

	e.begin("ScaleAdd", "(dst, a []float32, s, c float32)", "dst = s a + c.")
	dst, a = e.base("dst"), e.base("a")
	s, c := e.scalar("s"), e.scalar("c")
	e.each(e.length("dst"), 4, func(bl block) {
		bl.store(e.madd(bl.load(a), s, c), dst)
	})
	e.end()

	e.begin("SiLU", "(dst, x []float32)", "dst = silu(x).")
	e.keep(negConstants...)
	dst, x := e.base("dst"), e.base("x")
	e.each(e.length("dst"), 4, func(bl block) {
		bl.store(e.silu(bl.load(x)), dst)
	})
	e.end()

	e.begin("SiLUGrad", "(dx, x, dy []float32)", "dx = silu'(x) dy.")
	e.keep(negConstants...)
	dx, x, dy := e.base("dx"), e.base("x"), e.base("dy")
	e.each(e.length("dx"), 4, func(bl block) {
		bl.store(e.mul(e.siluGrad(bl.load(x)), bl.load(dy)), dx)
	})
	e.end()

	e.begin("ImageToFloat", "(dst []float32, src []uint8)",
		"dst = src/127.5 - 1, for a multiple of 16 elements.")
	e.keep("pixel", "one")
	dst, src, i := e.base("dst"), e.base("src"), e.GP64()
	e.XORQ(i, i)
	e.whole(i, e.length("dst"), 2, func(bs []block) {
		for _, bl := range bs {
			v := e.vec()
			e.VPMOVZXBD(op.Mem{Base: src, Index: i, Scale: 1, Disp: bl.disp / 4}, v)
			e.VCVTDQ2PS(v, v)
			bl.store(e.sub(e.div(v, e.c("pixel")), e.c("one")), dst)
		}
	})
	e.end()
}

// optimizer emits AdamW with and without the moving average of the parameters.
func (e *emitter) optimizer() {
	const scalars = ", clip, b1, c1, b2, c2, root, eps, step, decay"
	for _, ema := range []bool{false, true} {
		if ema {
			e.begin("AdamWEMA", "(p, grad, m, v, ema []float32"+scalars+", rate float32)",
				"AdamW with a moving average.")
		} else {
			e.begin("AdamW", "(p, grad, m, v []float32"+scalars+" float32)",
				"AdamW without a moving average.")
		}
		p, grad, m, v := e.base("p"), e.base("grad"), e.base("m"), e.base("v")
		clip, b1, c1, b2, c2 := e.scalar("clip"), e.scalar("b1"), e.scalar("c1"), e.scalar("b2"), e.scalar("c2")
		root, eps, step, decay := e.scalar("root"), e.scalar("eps"), e.scalar("step"), e.scalar("decay")
		avg, rate := p, clip
		if ema {
			avg, rate = e.base("ema"), e.scalar("rate")
		}
		// One vector at a time: five loads and four stores leave nothing to
		// gain from unrolling.
		e.each(e.length("p"), 1, func(b block) {
			x := e.mul(b.load(grad), clip)
			first := e.madd(b.load(m), b1, e.mul(x, c1))
			b.store(first, m)
			second := e.madd(b.load(v), b2, e.mul(e.mul(x, x), c2))
			b.store(second, v)
			// p -= step m / (root sqrt(v) + eps) + decay p, rounded once.
			d := e.mul(e.div(first, e.madd(e.sqrt(second), root, eps)), step)
			w := b.load(p)
			e.accumulate(d, w, decay)
			w = e.sub(w, d)
			b.store(w, p)
			if ema {
				a := b.load(avg)
				e.accumulate(a, e.sub(w, a), rate)
				b.store(a, avg)
			}
		})
		e.end()
	}
}
