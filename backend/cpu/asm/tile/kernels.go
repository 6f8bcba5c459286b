package main

import (
	"fmt"
	"go/types"
	"math/bits"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	op "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	gemmUnroll  = 4 // k steps an iteration of GEMM's inner loop, a power of 2
	gemmAhead   = 2 // cache lines fetched an iteration, as simd.Fetched counts them
	outerUnroll = 2 // pixels an iteration of Outer's inner loop; 2, as the tail is one step
)

// generator emits kernels into ctx; pkg holds their argument structs.
type generator struct {
	*build.Context
	pkg *types.Package
}

// function starts name+level(param typ), documented by doc.
func (g generator) function(s shape, name, param string, typ types.Type, doc string) {
	g.Function(name + s.level)
	g.Attributes(attr.NOSPLIT)
	g.Pragma("noescape")
	v := types.NewVar(0, g.pkg, param, typ)
	g.Signature(gotypes.NewSignature(g.pkg,
		types.NewSignatureType(nil, nil, nil, types.NewTuple(v), nil, false)))
	g.Doc(fmt.Sprintf(doc, name+s.level, s.mr, s.nv*s.width/4))
}

// args starts a kernel that takes a pointer to the named struct, and returns
// the struct.
func (g generator) args(s shape, name, strct, doc string) gotypes.Component {
	t := g.pkg.Scope().Lookup(strct).Type()
	g.function(s, name, "args", types.NewPointer(t), doc)
	return g.Dereference(g.Param("args"))
}

// load reads an 8-byte field into a new register.
func (g generator) load(c gotypes.Component) reg.GPVirtual {
	r := g.GP64()
	g.Load(c, r)
	return r
}

// addr returns the memory operand of a primitive field.
func addr(c gotypes.Component) op.Mem {
	b, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// row returns base + 4*offset, both fields.
func (g generator) row(base reg.Register, offset gotypes.Component) reg.GPVirtual {
	r := g.load(offset)
	g.LEAQ(op.Mem{Base: base, Index: r, Scale: 4}, r)
	return r
}

// skipNil jumps to label if the pointer field is nil, else loads it.
func (g generator) skipNil(c gotypes.Component, label string) reg.GPVirtual {
	r := g.load(c)
	g.TESTQ(r, r)
	g.JZ(op.LabelRef(label))
	return r
}

// vectors allocates n vector registers.
func (s shape) vectors(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = s.vec()
	}
	return v
}

// zero clears the accumulators.
func (g generator) zero(acc []reg.VecVirtual) {
	for _, v := range acc {
		g.VXORPS(v, v, v)
	}
}

// step adds one rank-1 update to acc [mr, nv]: the column at a(i), one element
// for each row, times the nv vectors at b. An explicit broadcast serves nv
// FMAs with one load; an embedded one would load for each of them.
func (g generator) step(s shape, acc []reg.VecVirtual, a func(i int) op.Mem, b op.Mem) {
	bv := s.vectors(s.nv)
	for j, v := range bv {
		g.VMOVUPS(b.Offset(j*s.width), v)
	}
	for i := range s.mr {
		av := s.vec()
		g.VBROADCASTSS(a(i), av)
		for j, v := range bv {
			g.VFMADD231PS(v, av, acc[i*s.nv+j])
		}
	}
}

// addRow adds the nv vectors at m to row i of acc.
func (g generator) addRow(s shape, acc []reg.VecVirtual, i int, m op.Mem) {
	for j := range s.nv {
		v := acc[i*s.nv+j]
		g.VADDPS(m.Offset(j*s.width), v, v)
	}
}

// loadRow reads row i of acc from m.
func (g generator) loadRow(s shape, acc []reg.VecVirtual, i int, m op.Mem) {
	for j := range s.nv {
		g.VMOVUPS(m.Offset(j*s.width), acc[i*s.nv+j])
	}
}

// storeRow writes row i of acc to m.
func (g generator) storeRow(s shape, acc []reg.VecVirtual, i int, m op.Mem) {
	for j := range s.nv {
		g.VMOVUPS(acc[i*s.nv+j], m.Offset(j*s.width))
	}
}

// gemm emits gemm<part><level>, for a part of the tile gemmNarrow<level>, which computes half of the columns, or gemmShort<level>, half of the
// rows. The row pointers stay fixed: a tap only moves the index that all rows share, so changing taps costs a few instructions.
func (g generator) gemm(s shape, part string) {
	name, row := "gemm"+part, s.nv*s.width // bytes of a row of B
	switch part {
	case "Narrow":
		s.nv /= 2
	case "Short":
		s.mr /= 2
	}
	args := g.args(s, name, "GEMMArgs", "%s is Tile.GEMM for tiles of %dx%d.")
	acc := s.vectors(s.mr * s.nv)

	g.CMPB(addr(args.Field("Acc")), op.U8(0))
	g.JE(op.LabelRef("new"))
	sum := g.load(args.Field("C"))
	for i := range s.mr {
		g.loadRow(s, acc, i, op.Mem{Base: g.row(sum, args.Field("Out").Index(i))})
	}
	g.JMP(op.LabelRef("start"))
	g.Label("new")
	bias := g.skipNil(args.Field("Bias"), "nobias")
	for j := range s.nv {
		g.VMOVUPS(op.Mem{Base: bias, Disp: j * s.width}, acc[j])
	}
	for i := 1; i < s.mr; i++ {
		for j := range s.nv {
			g.VMOVAPS(acc[j], acc[i*s.nv+j])
		}
	}
	g.JMP(op.LabelRef("start"))
	g.Label("nobias")
	g.zero(acc)
	g.Label("start")

	taps, ntaps := g.load(args.Field("Taps")), g.load(args.Field("NTaps"))
	g.TESTQ(ntaps, ntaps)
	g.JLE(op.LabelRef("finish"))
	a, b := g.load(args.Field("A")), g.load(args.Field("B"))
	rows := make([]reg.GPVirtual, s.mr)
	for i := range rows {
		rows[i] = g.row(a, args.Field("Pix").Index(i))
	}
	idx, n := g.GP64(), g.GP64()
	ahead := g.load(args.Field("Ahead"))
	g.TESTQ(ahead, ahead)
	g.CMOVQEQ(b, ahead) // what is in the cache already costs nothing
	// again reads the argument's address once more, so that it takes no register in between.
	again := func() gotypes.Component { return g.Dereference(g.Param("args")) }
	steps := func(count int) {
		for u := range count {
			g.step(s, acc, func(i int) op.Mem {
				return op.Mem{Base: rows[i], Index: idx, Scale: 4, Disp: 4 * u}
			}, op.Mem{Base: b, Disp: u * row})
		}
		g.ADDQ(op.U32(uint32(count)), idx)
		g.ADDQ(op.U32(uint32(count*row)), b)
		g.DECQ(n)
	}

	g.Label("tap")
	g.MOVQ(op.Mem{Base: taps}, idx)
	g.ADDQ(op.U32(8), taps)
	g.Load(again().Field("KC"), n)
	g.SHRQ(op.U8(bits.TrailingZeros(gemmUnroll)), n)
	g.JZ(op.LabelRef("tail"))
	g.Label("body")
	for line := range gemmAhead {
		g.PREFETCHT1(op.Mem{Base: ahead, Disp: 64 * line})
	}
	g.ADDQ(op.U32(64*gemmAhead), ahead)
	steps(gemmUnroll)
	g.JNZ(op.LabelRef("body"))
	g.Label("tail")
	g.Load(again().Field("KC"), n)
	g.ANDQ(op.U32(gemmUnroll-1), n)
	g.JZ(op.LabelRef("next"))
	g.Label("single")
	steps(1)
	g.JNZ(op.LabelRef("single"))
	g.Label("next")
	g.DECQ(ntaps)
	g.JNZ(op.LabelRef("tap"))

	g.Label("finish")
	args = again()
	add := g.skipNil(args.Field("Add"), "noadd")
	for i := range s.mr {
		g.addRow(s, acc, i, op.Mem{Base: g.row(add, args.Field("AddOff").Index(i))})
	}
	g.Label("noadd")
	c := g.load(args.Field("C"))
	for i := range s.mr {
		g.storeRow(s, acc, i, op.Mem{Base: g.row(c, args.Field("Out").Index(i))})
	}
	g.VZEROUPPER()
	g.RET()
}

// outer emits outer<level>.
func (g generator) outer(s shape) {
	args := g.args(s, "outer", "OuterArgs", "%s is Tile.Outer for tiles of %dx%d.")
	acc := s.vectors(s.mr * s.nv)
	g.zero(acc)

	xrows, yrows := g.load(args.Field("XRows")), g.load(args.Field("YRows"))
	rows := g.load(args.Field("Rows"))
	g.TESTQ(rows, rows)
	g.JLE(op.LabelRef("finish"))
	xs, ys := g.load(args.Field("XStride")), g.load(args.Field("YStride"))
	g.SHLQ(op.U8(2), xs)
	g.SHLQ(op.U8(2), ys)
	x, y, n := g.GP64(), g.GP64(), g.GP64()
	steps := func(count int) {
		for u := range count {
			if u > 0 {
				g.ADDQ(xs, x)
				g.ADDQ(ys, y)
			}
			g.step(s, acc, func(i int) op.Mem {
				return op.Mem{Base: x, Disp: 4 * i}
			}, op.Mem{Base: y})
		}
		g.ADDQ(xs, x)
		g.ADDQ(ys, y)
		g.DECQ(n)
	}
	// start sets p to base + 4 * (*table), and moves table on.
	start := func(p, table reg.GPVirtual, base string) {
		g.MOVQ(op.Mem{Base: table}, p)
		g.ADDQ(op.U32(8), table)
		b := g.load(args.Field(base))
		g.LEAQ(op.Mem{Base: b, Index: p, Scale: 4}, p)
	}

	g.Label("row")
	start(x, xrows, "X")
	start(y, yrows, "Y")
	g.Load(args.Field("P"), n)
	g.SHRQ(op.U8(bits.TrailingZeros(outerUnroll)), n)
	g.JZ(op.LabelRef("tail"))
	g.Label("body")
	steps(outerUnroll)
	g.JNZ(op.LabelRef("body"))
	g.Label("tail")
	g.Load(args.Field("P"), n)
	g.ANDQ(op.U32(outerUnroll-1), n)
	g.JZ(op.LabelRef("next"))
	steps(1)
	g.Label("next")
	g.DECQ(rows)
	g.JNZ(op.LabelRef("row"))

	g.Label("finish")
	c := g.load(args.Field("C"))
	row := func(i int) op.Mem { return op.Mem{Base: c, Disp: i * s.nv * s.width} }
	g.CMPB(addr(args.Field("Acc")), op.U8(0))
	g.JE(op.LabelRef("store"))
	for i := range s.mr {
		g.addRow(s, acc, i, row(i))
	}
	g.Label("store")
	for i := range s.mr {
		g.storeRow(s, acc, i, row(i))
	}
	g.VZEROUPPER()
	g.RET()
}

// peak emits peak<level>: as many independent FMAs as the tile has
// accumulators, iters times, on registers alone.
func (g generator) peak(s shape) {
	g.function(s, "peak", "iters", types.Typ[types.Int],
		"%s runs iters times the FMAs of one step of a tile of %dx%d.")
	acc := s.vectors(s.mr * s.nv)
	g.zero(acc)
	x, n := s.vec(), g.load(g.Param("iters"))
	g.VXORPS(x, x, x)
	g.TESTQ(n, n)
	g.JLE(op.LabelRef("done"))
	g.Label("loop")
	for _, v := range acc {
		g.VFMADD231PS(x, x, v)
	}
	g.DECQ(n)
	g.JNZ(op.LabelRef("loop"))
	g.Label("done")
	g.VZEROUPPER()
	g.RET()
}
