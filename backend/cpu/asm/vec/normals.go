package main

import (
	"fmt"

	op "github.com/mmcloughlin/avo/operand"
)

// This file is package rng's Philox 4x32-10 and Box-Muller on vectors. Every
// operation of the float32 arithmetic there is one instruction here, in the
// same order and without fused multiply-adds, so the results are the same bits.

// normalFloats are the literals of rng's elementary.go: log and the other names
// with a number are polynomials, from the highest power.
var normalFloats = []struct {
	name  string
	value float32
}{
	{"log0", 7.0376836292e-2},
	{"log1", -1.1514610310e-1},
	{"log2", 1.1676998740e-1},
	{"log3", -1.2420140846e-1},
	{"log4", 1.4249322787e-1},
	{"log5", -1.6668057665e-1},
	{"log6", 2.0000714765e-1},
	{"log7", -2.4999993993e-1},
	{"log8", 3.3333331174e-1},
	{"half", 0.5},
	{"onehalf", 1.5},
	{"minustwo", -2},
	{"2^-24", 0x1p-24},
	{"2^-22", 0x1p-22},
	{"sin0", -0.004602149128913879},
	{"sin1", 0.07968021929264069},
	{"sin2", -0.6459634900093079},
	{"sin3", -4.8553051357203e-08},
	{"pi/2", 1.5707963705062866},
	{"cos0", 0.0009067399078048766},
	{"cos1", -0.02086152881383896},
	{"cos2", 0.253669410943985},
	{"cos3", -1.2337005138397217},
}

var normalInts = []struct {
	name  string
	value uint32
}{
	{"M0", 0xD2511F53},
	{"M1", 0xCD9E8D57},
	{"W0", 0x9E3779B9},
	{"W1", 0xBB67AE85},
	{"int1", 1},
	{"mantissa", 0x007fffff},
	{"sqrthalf", 0x3f3504f3},
	{"rsqrt", 0x5f3759df},
	{"eighth", 1 << 21},
	{"sign", 1 << 31},
	{"magnitude", 1<<31 - 1},
}

// A vector computes w blocks of 4 normals at once. Lane 4j+i has block i w/4 + j,
// so that transposing 4x4 within the 128-bit quarters puts blocks i w/4 to
// (i+1) w/4 - 1 into vector i. Philox multiplies 32 by 32 to 64 bits, so it runs
// on the even and on the odd lanes separately, each in the low half of 64 bits;
// what is in the high half does not matter.

// lanes returns the block of each even (odd 0) or odd (1) lane, in 64 bits.
func lanes(w, odd int) (t []uint32) {
	for l := odd; l < w; l += 2 {
		t = append(t, uint32(l%4*(w/4)+l/4), 0)
	}
	return t
}

func laneTable(w, odd int) string { return fmt.Sprintf("lanes%d.%d", w, odd) }

// The integer operations: b may be memory.

func (e *emitter) iadd(a vec, b op.Op) vec { v := e.vec(); e.VPADDD(b, a, v); return v }
func (e *emitter) isub(a vec, b op.Op) vec { v := e.vec(); e.VPSUBD(b, a, v); return v }
func (e *emitter) xor(a vec, b op.Op) vec  { v := e.vec(); e.VXORPS(b, a, v); return v }
func (e *emitter) and(a vec, b op.Op) vec  { v := e.vec(); e.VANDPS(b, a, v); return v }
func (e *emitter) or(a vec, b op.Op) vec   { v := e.vec(); e.VORPS(b, a, v); return v }

// shift applies an immediate shift instruction.
func (e *emitter) shift(f func(...op.Op), n uint8, a vec) vec {
	v := e.vec()
	f(op.U8(n), a, v)
	return v
}

func (e *emitter) float(a vec) vec { v := e.vec(); e.VCVTDQ2PS(a, v); return v }

// horner evaluates the polynomial name0 x^n + ... + name<n>, unfused.
func (e *emitter) horner(x vec, name string, n int) vec {
	p := e.copy(e.c(name + "0"))
	for k := 1; k <= n; k++ {
		p = e.add(e.mul(p, x), e.c(fmt.Sprint(name, k)))
	}
	return p
}

// philox returns the four words of w blocks, of which base is the first.
func (e *emitter) philox(base gp) (words [4]vec) {
	var halves [2][4]vec
	for odd := range halves {
		c := &halves[odd]
		first := e.XMM()
		e.VMOVD(base.As32(), first)
		b := e.vec()
		e.VPBROADCASTD(first, b)
		c[0] = e.iadd(b, e.data(laneTable(e.w, odd)))
		c[1], c[2], c[3] = e.scalar("c1"), e.scalar("c2"), e.scalar("c3")
	}
	k0, k1 := e.scalar("k0"), e.scalar("k1")
	for round := range 10 {
		if round > 0 {
			k0, k1 = e.iadd(k0, e.c("W0")), e.iadd(k1, e.c("W1"))
		}
		for odd := range halves {
			c := &halves[odd]
			p0, p1 := e.vec(), e.vec()
			e.VPMULUDQ(e.c("M0"), c[0], p0)
			e.VPMULUDQ(e.c("M1"), c[2], p1)
			c[0] = e.xor(e.xor(e.shift(e.VPSRLQ, 32, p1), c[1]), k0)
			c[2] = e.xor(e.xor(e.shift(e.VPSRLQ, 32, p0), c[3]), k1)
			c[1], c[3] = p1, p0
		}
	}
	for k := range words {
		even := e.shift(e.VPSRLQ, 32, e.shift(e.VPSLLQ, 32, halves[0][k]))
		words[k] = e.or(even, e.shift(e.VPSLLQ, 32, halves[1][k]))
	}
	return words
}

// odd24 returns the 2k+1 of rng.Uniform.
func (e *emitter) odd24(w vec) vec {
	return e.or(e.shift(e.VPSLLD, 1, e.shift(e.VPSRLD, 9, w)), e.c("int1"))
}

func (e *emitter) logf(x vec) vec {
	ix := e.isub(x, e.c("sqrthalf"))
	exp := e.float(e.shift(e.VPSRAD, 23, ix))
	f := e.sub(e.iadd(e.and(ix, e.c("mantissa")), e.c("sqrthalf")), e.c("one"))
	z := e.mul(f, f)
	y := e.mul(e.mul(e.horner(f, "log", 8), f), z)
	y = e.add(y, e.mul(exp, e.c("ln2lo")))
	y = e.sub(y, e.mul(z, e.c("half")))
	return e.add(e.mul(exp, e.c("ln2hi")), e.add(f, y))
}

func (e *emitter) sqrtf(x vec) vec {
	r := e.isub(e.r("rsqrt"), e.shift(e.VPSRLD, 1, x))
	h := e.mul(x, e.c("half"))
	for range 2 {
		r = e.mul(r, e.sub(e.r("onehalf"), e.mul(e.mul(h, r), r)))
	}
	y := e.mul(x, r)
	return e.add(y, e.mul(e.mul(r, e.c("half")), e.sub(x, e.mul(y, y))))
}

func (e *emitter) sincosTurn(m vec) (sin, cos vec) {
	q := e.shift(e.VPSRLD, 22, e.iadd(m, e.c("eighth")))
	x := e.mul(e.float(e.isub(m, e.shift(e.VPSLLD, 22, q))), e.c("2^-22"))
	s := e.mul(x, x)
	sin = e.add(e.mul(x, e.c("pi/2")), e.mul(x, e.horner(s, "sin", 3)))
	cos = e.add(e.mul(s, e.horner(s, "cos", 3)), e.c("one"))

	// If q&1, sin and cos change places and cos its sign.
	sign := e.shift(e.VPSLLD, 31, q)
	swap := e.and(e.xor(sin, cos), e.shift(e.VPSRAD, 31, sign))
	sin, cos = e.xor(sin, swap), e.xor(e.xor(cos, swap), sign)
	// If q&2, both change signs.
	sign = e.and(e.shift(e.VPSLLD, 30, q), e.c("sign"))
	return e.xor(sin, sign), e.xor(cos, sign)
}

func (e *emitter) boxMuller(w0, w1 vec) (vec, vec) {
	u := e.mul(e.float(e.odd24(w0)), e.c("2^-24"))
	r := e.sqrtf(e.mul(e.logf(u), e.c("minustwo")))
	sin, cos := e.sincosTurn(e.odd24(w1))
	return e.mul(r, cos), e.mul(r, sin)
}

func (e *emitter) normals() {
	e.begin("Normals", "(dst []float32, k0, k1, c1, c2, c3 uint32)",
		"rng.Normals for a multiple of 64 elements, a Philox key and the upper counters.")
	e.keep("M0", "M1", "W0", "W1")
	dst, i, first := e.base("dst"), e.GP64(), e.GP64()
	e.XORQ(i, i)
	// Four vectors an iteration: i counts the floats.
	e.groups(i, e.length("dst"), 4, func(bs []block) {
		e.MOVQ(i, first)
		e.SHRQ(op.U8(2), first)
		w := e.philox(first)
		n0, n1 := e.boxMuller(w[0], w[1])
		n2, n3 := e.boxMuller(w[2], w[3])
		for k, v := range e.inOrder([4]vec{n0, n1, n2, n3}) {
			bs[k].store(v, dst)
		}
	})
	e.end()
}

// inOrder turns four vectors, the first to fourth elements of w blocks, into the blocks one after the other.
func (e *emitter) inOrder(n [4]vec) [4]vec {
	pair := func(f func(...op.Op), a, b vec) vec { v := e.vec(); f(b, a, v); return v }
	lo, hi := pair(e.VUNPCKLPS, n[0], n[1]), pair(e.VUNPCKHPS, n[0], n[1])
	lo2, hi2 := pair(e.VUNPCKLPS, n[2], n[3]), pair(e.VUNPCKHPS, n[2], n[3])
	return [4]vec{pair(e.VUNPCKLPD, lo, lo2), pair(e.VUNPCKHPD, lo, lo2), pair(e.VUNPCKLPD, hi, hi2), pair(e.VUNPCKHPD, hi, hi2)}
}

// dropout compares integers: what rng.Uniform makes of a word is less than p where rng's odd number of 24 bits is less than p 2^24, which
// last is rounded up.
func (e *emitter) dropout() {
	e.begin("Dropout", "(dst, x []float32, scale float32, last, k0, k1, c0, c1, c2, c3 uint32)",
		"dst = scale x, or 0 where the number that rng draws is at most last, for a multiple of 64 elements, a Philox key and a counter.")
	e.keep("M0", "M1", "W0", "W1")
	dst, x, i, from, first := e.base("dst"), e.base("x"), e.GP64(), e.GP64(), e.GP64()
	e.Load(e.Param("c0"), from.As32())
	e.XORQ(i, i)
	e.groups(i, e.length("dst"), 4, func(bs []block) {
		e.MOVQ(i, first)
		e.SHRQ(op.U8(2), first)
		e.ADDQ(from, first)
		for k, w := range e.inOrder(e.philox(first)) {
			kept := e.shift(e.VPSRAD, 31, e.isub(e.scalar("last"), e.odd24(w)))
			bs[k].store(e.and(e.mul(bs[k].load(x), e.scalar("scale")), kept), dst)
		}
	})
	e.end()
}
