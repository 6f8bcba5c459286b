package main

import (
	"fmt"

	op "github.com/mmcloughlin/avo/operand"
)

const (
	productTiles  = 4 // of WinoProductArgs, so that a row of planes has 24 sums, which stay in registers
	productUnroll = 2 // channels an iteration of the inner loop
	productFetch  = 4 // planes for each cache line that is fetched: a channel has 36 planes and 9 lines of kernel
)

// product emits winoProduct<level>, which transforms kernels and multiplies: for each row of the transformed kernel, all channels. The
// kernel's planes are never written. Each element comes about as by winoWeights<level> and Tile.GEMM, to the last bit.
func (e *emitter) product() {
	s := e.function("Product", "WinoProductArgs", "")
	v, plane, m, ahead := e.load(s.Field("V"), false), e.load(s.Field("VPlane"), true), e.load(s.Field("M"), false), e.load(s.Field("Ahead"), false)
	plane3, plane5 := e.GP64(), e.GP64()
	e.LEAQ(op.Mem{Base: plane, Index: plane, Scale: 2}, plane3)
	e.LEAQ(op.Mem{Base: plane, Index: plane, Scale: 4}, plane5)
	for i := range 6 {
		// The sums, and where they are.
		var sum [6][productTiles]vec
		each := func(f func(at op.Mem, sum vec)) {
			p, mTile, mPlane := e.GP64(), e.load(s.Field("MTile"), true), e.load(s.Field("MPlane"), true)
			e.MOVQ(m, p)
			for j := range sum {
				for t, at := range e.line(p, mTile, productTiles) {
					f(at, sum[j][t])
				}
				if j < len(sum)-1 {
					e.ADDQ(mPlane, p)
				}
			}
		}
		for j := range sum {
			for t := range sum[j] {
				sum[j][t] = e.vec()
				e.VXORPS(sum[j][t], sum[j][t], sum[j][t])
			}
		}
		start, body := fmt.Sprint("start", i), fmt.Sprint("body", i)
		acc := e.GP8()
		e.Load(s.Field("Acc"), acc)
		e.TESTB(acc, acc)
		e.JZ(op.LabelRef(start))
		each(func(at op.Mem, sum vec) { e.VMOVUPS(at, sum) })
		e.Label(start)

		g, n := e.load(s.Field("G"), false), e.load(s.Field("KC"), false)
		var tiles [productTiles]gp
		vTile := e.load(s.Field("VTile"), true)
		for t := range tiles {
			tiles[t] = e.GP64()
			if t == 0 {
				e.MOVQ(v, tiles[t])
			} else {
				e.LEAQ(op.Mem{Base: tiles[t-1], Index: vTile, Scale: 1}, tiles[t])
			}
		}
		e.hoistOf(i)
		e.Label(body)
		for u := range productUnroll {
			e.weightsRow(i, func(row, col int) op.Mem {
				return op.Mem{Base: g, Disp: (u*9 + 3*row + col) * e.width}
			}, func(j int, x vec) {
				if k := u*6 + j; k%productFetch == 0 {
					e.PREFETCHT1(op.Mem{Base: ahead, Disp: 64 * (k / productFetch)})
				}
				for t, p := range tiles {
					at := []op.Mem{
						{Base: p}, {Base: p, Index: plane, Scale: 1}, {Base: p, Index: plane, Scale: 2},
						{Base: p, Index: plane3, Scale: 1}, {Base: p, Index: plane, Scale: 4}, {Base: p, Index: plane5, Scale: 1},
					}[j]
					e.VFMADD231PS_BCST(at.Offset(4*u), x, sum[j][t])
				}
			})
		}
		e.ADDQ(op.U32(uint32(64*productUnroll*6/productFetch)), ahead)
		e.ADDQ(op.U32(uint32(productUnroll*9*e.width)), g)
		for _, p := range tiles {
			e.ADDQ(op.U32(4*productUnroll), p)
		}
		e.SUBQ(op.U32(productUnroll), n)
		e.JNZ(op.LabelRef(body))

		each(func(at op.Mem, sum vec) { e.VMOVUPS(sum, at) })
		if i < 5 {
			e.LEAQ(op.Mem{Base: v, Index: plane3, Scale: 2}, v)
			mPlane := e.load(s.Field("MPlane"), true)
			for range 6 {
				e.ADDQ(mPlane, m)
			}
		}
	}
	e.VZEROUPPER()
	e.RET()
}

// points are the constants of rows 1 to 4 of G, of rows 1 and 2 and of rows 3 and 4.
var points = [2][3]float64{{-2. / 3, -1. / 3, -2 * a / 3}, {1. / 6, 1. / 3, b / 6}}

// hoistOf puts the constants of row i of G into registers, and leaves the others in memory.
func (e *emitter) hoistOf(i int) {
	e.hoist = map[float32]vec{}
	for _, f := range points[max(i-1, 0)/2%2] {
		v := e.vec()
		e.VMOVUPS(e.data.Offset(e.at[float32(f)]), v)
		e.hoist[float32(f)] = v
	}
}

// weightsRow hands out row i of G g Gt, in some order of its columns, by the operations of weights.
func (e *emitter) weightsRow(i int, g func(row, col int) op.Mem, use func(j int, x vec)) {
	constant := func(f float64) op.Op {
		if v, ok := e.hoist[float32(f)]; ok {
			return v
		}
		return e.data.Offset(e.at[float32(f)])
	}
	var t [3]vec // of G g
	for j := range t {
		t[j] = e.vec()
		switch i {
		case 0:
			e.VMOVUPS(g(0, j), t[j])
		case 5:
			e.VMOVUPS(g(2, j), t[j])
		default:
			c := points[(i-1)/2]
			e.VMULPS(g(0, j), e.hoist[float32(c[0])], t[j])
			e.VFMADD231PS(g(2, j), e.hoist[float32(c[1])], t[j])
			if i%2 == 1 {
				e.VFMADD231PS(g(1, j), e.hoist[float32(c[2])], t[j])
			} else {
				e.VFNMADD231PS(g(1, j), e.hoist[float32(c[2])], t[j])
			}
		}
	}
	use(0, t[0])
	use(5, t[2])
	for k, c := range points {
		minus := e.vec()
		e.VMULPS(constant(c[0]), t[0], minus)
		e.VFMADD231PS(constant(c[1]), t[2], minus)
		plus := e.dup(minus)
		e.VFMADD231PS(constant(c[2]), t[1], plus)
		use(2*k+1, plus)
		e.VFNMADD231PS(constant(c[2]), t[1], minus)
		use(2*k+2, minus)
	}
}
