package main

import op "github.com/mmcloughlin/avo/operand"

// sigmoid returns 1/(1 + e^-x), given e^-|x|: it neither cancels nor overflows.
func (e *emitter) sigmoid(x, exp vec) vec {
	s := e.div(e.r("one"), e.add(exp, e.c("one")))
	return e.bySign(x, e.mul(exp, s), s)
}

// sigmoidNeg returns 1/(1 + e^x), given e^-|x|.
func (e *emitter) sigmoidNeg(x, exp vec) vec {
	s := e.div(e.r("one"), e.add(exp, e.c("one")))
	return e.bySign(x, s, e.mul(exp, s))
}

// bySign returns neg where x has a minus sign, else pos.
func (e *emitter) bySign(x, neg, pos vec) vec {
	d := e.vec()
	if e.wide() {
		k := e.K()
		e.VPMOVD2M(x, k)
		e.VBLENDMPS(neg, pos, k, d)
	} else {
		e.VBLENDVPS(x, neg, pos, d)
	}
	return d
}

// oneMinusExp returns 1 - e^-x and e^-x for x >= 0. With e^-x = 2^n (1 + f), the first is -(2^n f + 2^n - 1), which loses nothing where x is
// small and n is 0.
func (e *emitter) oneMinusExp(x vec) (mass, exp vec) {
	x = e.min(x, e.c("negmin"))
	n, scale := e.mul(x, e.c("neglog2e")), e.vec()
	if e.wide() {
		e.VRNDSCALEPS(op.U8(8), n, n)
		e.VSCALEFPS(n, e.r("one"), scale)
	} else {
		e.VCVTPS2DQ(n, n)
		e.VPSLLD(op.U8(23), n, scale)
		e.VPADDD(e.c("one"), scale, scale)
		e.VCVTDQ2PS(n, n)
	}
	r := e.sub(e.zero(), x)
	e.VFNMADD231PS(e.c("ln2hi"), n, r)
	e.VFNMADD231PS(e.c("ln2lo"), n, r)
	f := e.copy(e.c("exp6"))
	for _, c := range []string{"exp5", "exp4", "exp3", "exp2", "one"} {
		e.madd(f, r, e.c(c))
	}
	f = e.mul(f, r)
	mass = e.sub(e.r("one"), scale)
	e.VFNMADD231PS(f, scale, mass)
	exp = e.copy(scale)
	e.accumulate(exp, f, scale)
	return mass, exp
}

// mixture emits the likelihood of values under mixtures of discretised logistics, with slopes. Arrays have a row of n floats for each parameter:
// the arithmetic is that of mixtureOf in package simd.
func (e *emitter) mixture() {
	e.begin("Mixture", "(loss, dp, p, q, low, high []float32, components int)",
		"-log of what mixtures of logistics have on the levels of q, and its slopes, for a multiple of 16 values.")
	e.keep(append([]string{"negmin", "negmax", "neglog2e"}, polynomial...)...)
	n, i := e.length("q"), e.GP64()
	e.XORQ(i, i)
	// each walks over the components: pointers to their rows of the arrays' third parts.
	each := func(body func(rows [3]gp, slopes [3]gp)) {
		count, row := e.GP64(), e.GP64()
		e.Load(e.Param("components"), count)
		e.LEAQ(op.Mem{Base: n, Index: n, Scale: 1}, row)
		e.ADDQ(row, row) // n floats in bytes
		var at [2][3]gp
		for a, name := range []string{"p", "dp"} {
			at[a][0] = e.base(name)
			part := e.GP64()
			e.MOVQ(row, part)
			e.IMULQ(count, part)
			for k := 1; k < 3; k++ {
				at[a][k] = e.GP64()
				e.LEAQ(op.Mem{Base: at[a][k-1], Index: part, Scale: 1}, at[a][k])
			}
		}
		loop := e.label("component")
		e.Label(loop)
		body(at[0], at[1])
		for a := range at {
			for k := range at[a] {
				e.ADDQ(row, at[a][k])
			}
		}
		e.DECQ(count)
		e.JNZ(op.LabelRef(loop))
	}
	e.groups(i, n, 1, func(bs []block) {
		b := bs[0]
		of := func(name string) vec { return b.load(e.base(name)) }
		top, prior, best := e.konst("lowest"), e.zero(), e.konst("lowest")
		each(func(p, _ [3]gp) { e.VMAXPS(b.load(p[0]), top, top) })
		each(func(p, dp [3]gp) {
			e.VADDPS(e.expDown(e.sub(b.load(p[0]), top)), prior, prior)

			inv := e.exp(e.max(e.r("minlogscale"), b.load(p[2])), true)
			d := e.sub(of("q"), b.load(p[1]))
			upper, lower := e.mul(e.add(d, e.c("halflevel")), inv), e.mul(e.sub(d, e.c("halflevel")), inv)
			low, high := of("low"), of("high")
			ea, eb := e.exp(e.and(upper, e.c("magnitude")), true), e.exp(e.and(lower, e.c("magnitude")), true)
			sa, sb := e.mul(e.sigmoidNeg(upper, ea), high), e.mul(e.sigmoid(lower, eb), low)

			// The slopes in mean and log scale, but for what the mass adds.
			b.store(e.mul(e.sub(sb, sa), inv), dp[1])
			ds := e.mul(lower, sb)
			e.VFNMADD231PS(upper, sa, ds)
			b.store(ds, dp[2])

			// log = min(upper, 0) + min(-lower, 0) + log(mass/((1 + ea)(1 + eb)))
			log := e.mul(e.min(upper, e.zero()), high)
			e.accumulate(log, e.min(e.sub(e.zero(), lower), e.zero()), low)
			one, two := e.copy(e.c("one")), e.copy(e.c("one"))
			e.accumulate(one, ea, high)
			e.accumulate(two, eb, low)
			product := e.mul(one, two)

			inner, width := e.mul(low, high), e.mul(inv, e.c("level"))
			mass, rest := e.oneMinusExp(width)
			whole := e.sub(e.r("one"), inner)
			e.accumulate(whole, inner, mass) // 1 at the ends
			ds = b.load(dp[2])
			e.VFNMADD231PS(e.div(e.mul(inner, rest), whole), width, ds)
			b.store(e.bySign(e.sub(b.load(p[2]), e.c("minlogscale")), e.zero(), ds), dp[2])

			log = e.add(log, e.logf(e.div(whole, product)))
			joint := e.add(e.sub(b.load(p[0]), top), log)
			b.store(joint, dp[0])
			e.VMAXPS(best, joint, best)
		})
		sum := e.zero()
		each(func(_, dp [3]gp) {
			r := e.expDown(e.sub(b.load(dp[0]), best))
			b.store(r, dp[0])
			e.VADDPS(r, sum, sum)
		})
		loss := e.sub(e.sub(e.logf(prior), best), e.logf(sum))
		share, back := e.div(e.r("one"), sum), e.div(e.r("one"), prior)
		each(func(p, dp [3]gp) {
			for k := range p { // maxima and logarithms have lost what is not a number
				e.accumulate(loss, e.zero(), b.load(p[k]))
			}
			r := e.mul(b.load(dp[0]), share)
			w := e.mul(e.expDown(e.sub(b.load(p[0]), top)), back)
			b.store(e.sub(w, r), dp[0])
			minus := e.sub(e.zero(), r)
			for k := 1; k < 3; k++ {
				b.store(e.mul(b.load(dp[k]), minus), dp[k])
			}
		})
		b.store(loss, e.base("loss"))
	})
	e.end()
}

// expDown returns e^x of x <= 0, by way of the constants of e^-x, which are the ones that are kept.
func (e *emitter) expDown(x vec) vec { return e.exp(e.sub(e.zero(), x), true) }
