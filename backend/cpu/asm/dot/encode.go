package main

import (
	"github.com/mmcloughlin/avo/ir"
	op "github.com/mmcloughlin/avo/operand"
)

// Instructions that the Go assembler does not know, as bytes: Intel's Software Developer's Manual, volume 2. Their operands are
// fixed registers, by number, since avo does not see them.

// General-purpose registers as instructions number them.
const (
	cx, bx, si, di                 = 1, 3, 6, 7
	r9, r10, r11, r14              = 9, 10, 11, 14
	prefixNone, prefixF3, prefixF2 = 0, 2, 3
)

// raw emits bytes.
func (g generator) raw(bytes ...byte) {
	for _, b := range bytes {
		g.Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []op.Op{op.U8(b)}})
	}
}

// bit is bit i of n, inverted, at place to.
func inverted(n, i, to int) byte { return byte((n>>i&1)^1) << to }

// vex starts an instruction of the map 0F38 with 128-bit vectors.
func (g generator) vex(reg, index, base, vvvv, prefix int, opcode byte) {
	g.raw(0xc4, inverted(reg, 3, 7)|inverted(index, 3, 6)|inverted(base, 3, 5)|2, byte(^vvvv&15)<<3|byte(prefix), opcode)
}

// tileMemory emits a load or store of a tile at base + disp, whose rows are index bytes apart.
func (g generator) tileMemory(tile, base, index, disp, prefix int) {
	g.vex(tile, index, base, 0, prefix, 0x4b)
	g.raw(0x84|byte(tile&7)<<3, byte(index&7)<<3|byte(base&7), byte(disp), byte(disp>>8), byte(disp>>16), byte(disp>>24))
}

func (g generator) tileLoad(tile, base, index, disp int) {
	g.tileMemory(tile, base, index, disp, prefixF2)
}
func (g generator) tileStore(tile, base, index, disp int) {
	g.tileMemory(tile, base, index, disp, prefixF3)
}

// tileDot is TDPBF16PS: c += a b.
func (g generator) tileDot(c, a, b int) {
	g.vex(c, 0, a, b, prefixF3, 0x5c)
	g.raw(0xc0 | byte(c)<<3 | byte(a))
}

// tileZero is TILEZERO.
func (g generator) tileZero(t int) {
	g.vex(t, 0, 0, 0, prefixF2, 0x49)
	g.raw(0xc0 | byte(t)<<3)
}

// tileConfig is LDTILECFG of the memory at a register.
func (g generator) tileConfig(base int) {
	g.vex(0, 0, base, 0, prefixNone, 0x49)
	g.raw(byte(base & 7))
}

// tileRelease is TILERELEASE.
func (g generator) tileRelease() {
	g.vex(0, 0, 0, 0, prefixNone, 0x49)
	g.raw(0xc0)
}

// evex emits an instruction of the map 0F38 on 512-bit registers: dst, a, b as Intel writes them.
func (g generator) evex(dst, a, b, prefix int, opcode byte) {
	g.raw(0x62,
		inverted(dst, 3, 7)|inverted(b, 4, 6)|inverted(b, 3, 5)|inverted(dst, 4, 4)|2,
		byte(^a&15)<<3|4|byte(prefix),
		0x40|inverted(a, 4, 3),
		opcode, 0xc0|byte(dst&7)<<3|byte(b&7))
}

// dot is VDPBF16PS: dst += the products of the pairs of a and b.
func (g generator) dot(dst, a, b int) { g.evex(dst, a, b, prefixF3, 0x52) }

// round is VCVTNE2PS2BF16: the halves of dst, the upper from a.
func (g generator) round(dst, upper, lower int) { g.evex(dst, upper, lower, prefixF2, 0x72) }
