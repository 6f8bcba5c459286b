package main

import (
	op "github.com/mmcloughlin/avo/operand"
)

// transpose emits the transpose of bands of 8 rows, 8 columns at a time, in
// registers of 8 floats at either level: memory is the limit, not the shuffles.
func (e *emitter) transpose() {
	e.begin("Transpose", "(dst []float32, ld int, src []float32, ls, blocks int)",
		"dst[j*ld+i] = src[i*ls+j] for i < 8, j < 8 blocks.")
	dst, src := e.base("dst"), e.base("src")
	bytes := func(name string) gp {
		s := e.GP64()
		e.Load(e.Param(name), s)
		e.SHLQ(op.Imm(2), s)
		return s
	}
	ld, ls, blocks := bytes("ld"), bytes("ls"), e.GP64()
	e.Load(e.Param("blocks"), blocks)
	lanes := func(base, stride gp) [8]op.Mem {
		three, half := e.GP64(), e.GP64()
		e.LEAQ(op.Mem{Base: stride, Index: stride, Scale: 2}, three)
		e.LEAQ(op.Mem{Base: base, Index: stride, Scale: 4}, half)
		return [8]op.Mem{
			{Base: base}, {Base: base, Index: stride, Scale: 1}, {Base: base, Index: stride, Scale: 2}, {Base: base, Index: three, Scale: 1},
			{Base: half}, {Base: half, Index: stride, Scale: 1}, {Base: half, Index: stride, Scale: 2}, {Base: half, Index: three, Scale: 1},
		}
	}
	loop := e.label("loop")
	e.Label(loop)
	var a, b [8]vec
	for k, m := range lanes(src, ls) {
		a[k] = e.YMM()
		e.VMOVUPS(m, a[k])
	}
	// Pairs of rows, then fours, within each half of the registers; then the halves change places.
	for k := range 4 {
		b[2*k], b[2*k+1] = e.YMM(), e.YMM()
		e.VUNPCKLPS(a[2*k+1], a[2*k], b[2*k])
		e.VUNPCKHPS(a[2*k+1], a[2*k], b[2*k+1])
	}
	for k := range 8 {
		a[k] = e.YMM()
	}
	for h := range 2 { // rows 4h to 4h+3
		for k := range 2 {
			e.VSHUFPS(op.Imm(0x44), b[4*h+2+k], b[4*h+k], a[4*h+2*k])
			e.VSHUFPS(op.Imm(0xee), b[4*h+2+k], b[4*h+k], a[4*h+2*k+1])
		}
	}
	for k, m := range lanes(dst, ld) {
		v := e.YMM()
		half := op.Imm(0x20)
		if k >= 4 {
			half = op.Imm(0x31)
		}
		e.VPERM2F128(half, a[4+k%4], a[k%4], v)
		e.VMOVUPS(v, m)
	}
	e.ADDQ(op.Imm(32), src)
	e.LEAQ(op.Mem{Base: dst, Index: ld, Scale: 8}, dst)
	e.DECQ(blocks)
	e.JNZ(op.LabelRef(loop))
	e.end()
}
