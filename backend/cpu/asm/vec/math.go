package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	op "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// floats are the kernels' literals. Those of exp are explained at exp32 of
// package simd, which is the same algorithm in Go.
var floats = []struct {
	name  string
	value float32
}{
	{"zero", 0},
	{"one", 1},
	{"lowest", float32(math.Inf(-1))},
	{"pixel", 127.5},
	{"expmax", expMax},
	{"expmin", expMin},
	{"negmax", -expMax},
	{"negmin", -expMin},
	{"log2e", math.Log2E},
	{"neglog2e", -math.Log2E},
	{"ln2hi", 0.693359375},
	{"ln2lo", -2.12194440e-4},
	{"exp2", 0.499999934321},
	{"exp3", 0.16666520399},
	{"exp4", 0.0416683907835},
	{"exp5", 0.00836874510894},
	{"exp6", 0.00138145401768},
	{"halflevel", 1.0 / 255},
	{"level", 2.0 / 255},
	{"minlogscale", -7},
}

// exp clamps its argument so that its result is a normal number.
const expMin, expMax = -87, 88

// The constants worth keeping in registers where exp(x) or exp(-x) is used.
var (
	polynomial   = []string{"one", "ln2hi", "ln2lo", "exp2", "exp3", "exp4", "exp5", "exp6"}
	expConstants = append([]string{"expmin", "expmax", "log2e"}, polynomial...)
	negConstants = append([]string{"negmin", "negmax", "neglog2e"}, polynomial...)
)

// tables is the read-only data, which both instruction sets share.
type tables struct {
	offset map[string]int
}

// newTables writes each constant 8 times, so that AVX2 can use it as a memory
// operand, then the vectors that are not constant.
func newTables(ctx *build.Context) *tables {
	t := &tables{map[string]int{}}
	ctx.StaticGlobal("vecdata")
	ctx.DataAttributes(attr.RODATA | attr.NOPTR)
	size := 0
	add := func(name string, words ...uint32) {
		t.offset[name] = size
		for _, w := range words {
			ctx.AppendDatum(op.U32(w))
			size += 4
		}
	}
	broadcast := func(name string, w uint32) { add(name, w, w, w, w, w, w, w, w) }
	for _, c := range append(floats, normalFloats...) {
		broadcast(c.name, math.Float32bits(c.value))
	}
	for _, c := range normalInts {
		broadcast(c.name, c.value)
	}
	const ones = math.MaxUint32
	add("ramp", ones, ones, ones, ones, ones, ones, ones, ones, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, w := range []int{8, 16} {
		add(laneTable(w, 0), lanes(w, 0)...)
		add(laneTable(w, 1), lanes(w, 1)...)
	}
	return t
}

func (t *tables) data(name string) op.Mem {
	off, ok := t.offset[name]
	if !ok {
		panic("no constant " + name)
	}
	return op.Mem{Symbol: op.Symbol{Name: "vecdata", Static: true}, Base: reg.StaticBase, Disp: off}
}

func (t *tables) ramp() op.Mem { return t.data("ramp") }

// konst returns a new register that holds a constant.
func (e *emitter) konst(name string) vec {
	v := e.vec()
	e.VBROADCASTSS(e.data(name), v)
	return v
}

// keep holds constants in registers for the rest of the function. Only AVX-512
// has enough of them; with AVX2 they stay memory operands.
func (e *emitter) keep(names ...string) {
	if !e.wide() {
		return
	}
	for _, n := range names {
		e.hoist[n] = e.konst(n)
	}
}

// c returns a constant as an operand that may be memory.
func (e *emitter) c(name string) op.Op {
	if v, ok := e.hoist[name]; ok {
		return v
	}
	if e.wide() {
		return e.konst(name)
	}
	return e.data(name)
}

// r returns a constant as a register that must not be written.
func (e *emitter) r(name string) vec {
	if v, ok := e.hoist[name]; ok {
		return v
	}
	return e.konst(name)
}

func (e *emitter) zero() vec {
	v := e.vec()
	e.VXORPS(v, v, v)
	return v
}

// copy returns a new register with the value of a constant or a register.
func (e *emitter) copy(a op.Op) vec {
	v := e.vec()
	e.VMOVUPS(a, v)
	return v
}

// The binary operations: b may be memory.

func (e *emitter) add(a vec, b op.Op) vec { v := e.vec(); e.VADDPS(b, a, v); return v }
func (e *emitter) sub(a vec, b op.Op) vec { v := e.vec(); e.VSUBPS(b, a, v); return v }
func (e *emitter) mul(a vec, b op.Op) vec { v := e.vec(); e.VMULPS(b, a, v); return v }
func (e *emitter) div(a vec, b op.Op) vec { v := e.vec(); e.VDIVPS(b, a, v); return v }

// min and max return b if either is NaN.
func (e *emitter) min(a vec, b op.Op) vec { v := e.vec(); e.VMINPS(b, a, v); return v }
func (e *emitter) max(a vec, b op.Op) vec { v := e.vec(); e.VMAXPS(b, a, v); return v }

func (e *emitter) sqrt(a vec) vec { v := e.vec(); e.VSQRTPS(a, v); return v }

// madd sets a = a*b + c, where c may be memory, and returns a.
func (e *emitter) madd(a, b vec, c op.Op) vec { e.VFMADD213PS(c, b, a); return a }

// accumulate sets acc += a*b, where a may be memory.
func (e *emitter) accumulate(acc vec, a op.Op, b vec) { e.VFMADD231PS(a, b, acc) }

// exp returns e^x, or e^-x if neg. NaN stays NaN.
func (e *emitter) exp(x vec, neg bool) vec {
	lo, hi := "expmin", "expmax"
	if neg {
		lo, hi = "negmax", "negmin"
	}
	x = e.max(e.r(lo), e.min(e.r(hi), x))

	// n = round(x log2 e); r = x - n ln 2, with ln 2 in two parts.
	log2e := "log2e"
	if neg {
		log2e = "neglog2e"
	}
	n, scale := e.mul(x, e.c(log2e)), e.vec()
	if e.wide() {
		e.VRNDSCALEPS(op.U8(8), n, n)
	} else {
		e.VCVTPS2DQ(n, n)
		e.VPSLLD(op.U8(23), n, scale)
		e.VCVTDQ2PS(n, n)
	}
	if neg {
		e.VFNMSUB231PS(e.c("ln2hi"), n, x)
	} else {
		e.VFNMADD231PS(e.c("ln2hi"), n, x)
	}
	e.VFNMADD231PS(e.c("ln2lo"), n, x)

	p := e.copy(e.c("exp6"))
	for _, c := range []string{"exp5", "exp4", "exp3", "exp2", "one", "one"} {
		e.madd(p, x, e.c(c))
	}
	// Times 2^n. The clamp keeps n in the range of normal exponents.
	if e.wide() {
		e.VSCALEFPS(n, p, p)
	} else {
		e.VPADDD(scale, p, p)
	}
	return p
}

// reciprocal returns 1/d. AVX-512 has an approximation to 14 bits, which a step of Newton's doubles: a division of 16 floats
// takes as long as the rest of silu.
func (e *emitter) reciprocal(d vec) vec {
	if !e.wide() {
		return e.div(e.r("one"), d)
	}
	r, t := e.vec(), e.vec()
	e.VRCP14PS(d, r)
	e.VMOVUPS(e.c("one"), t)
	e.VFNMADD231PS(d, r, t) // 1 - d r
	return e.madd(t, r, r)
}

// silu returns x / (1 + e^-x).
func (e *emitter) silu(x vec) vec {
	d := e.add(e.exp(x, true), e.c("one"))
	if !e.wide() {
		return e.div(x, d)
	}
	return e.mul(x, e.reciprocal(d))
}

// siluGrad returns the derivative s(x) (1 + x (1 - s(x))). 1 - s is computed as
// e^-x s(x), which does not cancel.
func (e *emitter) siluGrad(x vec) vec {
	p := e.exp(x, true)
	s := e.reciprocal(e.add(p, e.c("one")))
	t := e.madd(e.mul(p, s), x, e.c("one"))
	return e.mul(t, s)
}

// high returns the upper half of a vector of the given width in bytes.
func (e *emitter) high(v reg.Vec, width int) reg.Vec {
	if width == 64 {
		h := e.YMM()
		e.VEXTRACTF64X4(op.U8(1), v.AsZ(), h)
		return h
	}
	h := e.XMM()
	e.VEXTRACTF128(op.U8(1), v.AsY(), h)
	return h
}

// across folds the lanes of v with a commutative operation (VADDPS, VMAXPS) and
// returns the result in every lane.
func (e *emitter) across(v vec, fold func(...op.Op)) vec {
	if e.wide() {
		h := e.high(v, 64)
		fold(v.AsY(), h.AsY(), h.AsY())
		v = h.(vec)
	}
	h := e.high(v, 32)
	fold(v.AsX(), h.AsX(), h.AsX())
	t := e.XMM()
	e.VPERMILPS(op.U8(0b01_00_11_10), h.AsX(), t)
	fold(t, h.AsX(), t)
	u := e.XMM()
	e.VPERMILPS(op.U8(0b10_11_00_01), t, u)
	fold(t, u, u)
	d := e.vec()
	e.VBROADCASTSS(u, d)
	return d
}

// sum64 stores the sum of the accumulators' lanes, added in float64, as the
// function's result.
func (e *emitter) sum64(accs []vec) {
	total := e.zero()
	for _, a := range accs {
		lo, hi := e.vec(), e.vec()
		if e.wide() {
			e.VCVTPS2PD(a.AsY(), lo)
			e.VCVTPS2PD(e.high(a, 64).AsY(), hi)
		} else {
			e.VCVTPS2PD(a.AsX(), lo)
			e.VCVTPS2PD(e.high(a, 32).AsX(), hi)
		}
		e.VADDPD(lo, total, total)
		e.VADDPD(hi, total, total)
	}
	var v reg.Vec = total
	if e.wide() {
		h := e.high(v, 64)
		e.VADDPD(v.AsY(), h.AsY(), h.AsY())
		v = h
	}
	h := e.high(v, 32)
	e.VADDPD(v.AsX(), h.AsX(), h.AsX())
	r := e.XMM()
	e.VHADDPD(h.AsX(), h.AsX(), r)
	result, err := e.ReturnIndex(0).Resolve()
	if err != nil {
		panic(err)
	}
	e.VMOVSD(r, result.Addr) // Store would pick MOVSD, which stalls on dirty upper halves
}
