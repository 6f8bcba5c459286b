package main

import (
	"go/types"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	op "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

type (
	gp  = reg.GPVirtual
	vec = reg.VecVirtual
)

// table is the constants of the transforms, each repeated to fill a vector, so
// that AVX2, which is short of registers, can use them from memory.
type table struct {
	data op.Mem
	at   map[float32]int
}

func newTable(c *build.Context) *table {
	t := &table{c.StaticGlobal("winoConstants"), map[float32]int{}}
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, f := range []float64{0.5, 2, 2.5, a, b, a / 2, 2 * b, -2. / 3, -1. / 3, 1. / 6, 1. / 3, -2 * a / 3, b / 6} {
		t.at[float32(f)] = len(t.at) * 64
		for i := range 16 {
			c.AddDatum(t.at[float32(f)]+4*i, op.F32(f))
		}
	}
	return t
}

// emitter writes transforms for one instruction set.
type emitter struct {
	*build.Context
	*table
	pkg   *types.Package
	level string // suffix of the function names
	width int    // bytes a vector
	hoist map[float32]vec
}

func (e *emitter) vec() vec {
	if e.width == 64 {
		return e.ZMM()
	}
	return e.YMM()
}

// constant is the operand of a constant: a register, filled where it is first used, or memory.
func (e *emitter) constant(f float64) op.Op {
	if v, ok := e.hoist[float32(f)]; ok {
		return v
	}
	disp, ok := e.at[float32(f)]
	if !ok {
		panic("a constant that the table lacks")
	}
	m := e.data.Offset(disp)
	if e.width == 64 {
		v := e.ZMM()
		e.VMOVUPS(m, v)
		e.hoist[float32(f)] = v
		return v
	}
	return m
}

func (e *emitter) dup(x vec) vec {
	v := e.vec()
	e.VMOVAPS(x, v)
	return v
}

func (e *emitter) sum(x, y vec) vec {
	v := e.vec()
	e.VADDPS(x, y, v)
	return v
}

func (e *emitter) difference(x, y vec) vec {
	v := e.vec()
	e.VSUBPS(y, x, v)
	return v
}

func (e *emitter) times(f float64, x vec) vec {
	v := e.vec()
	e.VMULPS(e.constant(f), x, v)
	return v
}

// addProduct returns v + f x in v.
func (e *emitter) addProduct(v vec, f float64, x vec) vec {
	e.VFMADD231PS(e.constant(f), x, v)
	return v
}

// subProduct returns v - f x in v.
func (e *emitter) subProduct(v vec, f float64, x vec) vec {
	e.VFNMADD231PS(e.constant(f), x, v)
	return v
}

// plusMinus returns v + f x and v - f x, the latter in v.
func (e *emitter) plusMinus(v vec, f float64, x vec) (plus, minus vec) {
	plus = e.addProduct(e.dup(v), f, x)
	return plus, e.subProduct(v, f, x)
}

// load reads an 8-byte field into a new register; floats says that it counts
// floats and is wanted in bytes.
func (e *emitter) load(c gotypes.Component, floats bool) gp {
	r := e.GP64()
	e.Load(c, r)
	if floats {
		e.SHLQ(op.U8(2), r)
	}
	return r
}

// line returns the operands of n vectors, stride bytes apart, from base on.
func (e *emitter) line(base, stride gp, n int) []op.Mem {
	m := []op.Mem{{Base: base}, {Base: base, Index: stride, Scale: 1}, {Base: base, Index: stride, Scale: 2}}
	if n > 3 {
		third := e.GP64()
		e.LEAQ(m[2], third)
		e.ADDQ(stride, third)
		m = append(m, op.Mem{Base: third}, op.Mem{Base: third, Index: stride, Scale: 1}, op.Mem{Base: third, Index: stride, Scale: 2})
	}
	return m[:n]
}

// A transform is one of simd.Wino: f on every column of a matrix of from x from
// vectors, by way of the scratch memory or registers, and then on every row of the result,
// to x to. The processor does not see where the next patch of an image will be,
// so the transforms of images ask for it: of the input, the columns from
// srcAhead on, and of the output all where dstAhead is set.
type transform struct {
	name, doc string
	from, to  int
	srcAhead  int // noAhead for none
	dstAhead  bool
	bias      bool
	f         func([]vec) []vec
}

const noAhead = 6

// inRegisters says that what lies between the two passes fits in registers, beside what a pass needs.
func (e *emitter) inRegisters(t transform) bool {
	return e.width == 64 && t.from*t.to <= 18 && t.from < 6
}

// function starts wino<name><level>, which takes a pointer to the named struct, and returns the struct.
func (e *emitter) function(name, strct, doc string) gotypes.Component {
	e.Function("wino" + name + e.level)
	e.Attributes(attr.NOSPLIT)
	e.Pragma("noescape")
	args := types.NewVar(0, e.pkg, "args", types.NewPointer(e.pkg.Scope().Lookup(strct).Type()))
	e.Signature(gotypes.NewSignature(e.pkg, types.NewSignatureType(nil, nil, nil, types.NewTuple(args), nil, false)))
	e.Doc("wino" + name + e.level + " is Wino." + strings.TrimSuffix(name, "2") + doc + ".")
	return e.Dereference(e.Param("args"))
}

// transform emits wino<name><level>.
func (e *emitter) transform(t transform) {
	s := e.function(t.name, "WinoArgs", ": "+t.doc)
	e.hoist = map[float32]vec{}

	src, srcRow, srcCol := e.load(s.Field("Src"), false), e.load(s.Field("SrcRow"), true), e.load(s.Field("SrcCol"), true)
	dst, dstRow, dstCol := e.load(s.Field("Dst"), false), e.load(s.Field("DstRow"), true), e.load(s.Field("DstCol"), true)
	scratch, count := e.load(s.Field("Scratch"), false), e.load(s.Field("Count"), false)
	e.TESTQ(count, count)
	e.JLE(op.LabelRef("done"))

	e.Label("matrix")
	n := e.load(s.Field("N"), true)
	e.Label("vector")
	p := e.GP64()
	e.MOVQ(src, p)
	between := make([][]vec, t.to) // rows of what the columns have become, if it is in registers
	for j := range t.from {
		x := make([]vec, t.from)
		for i, m := range e.line(p, srcRow, t.from) {
			x[i] = e.vec()
			e.VMOVUPS(m, x[i])
		}
		if j >= t.srcAhead {
			e.prefetch(p, s.Field("SrcNext"), srcRow, t.from)
		}
		for i, v := range t.f(x) {
			if e.inRegisters(t) {
				between[i] = append(between[i], v)
			} else {
				e.VMOVUPS(v, op.Mem{Base: scratch, Disp: (i*t.from + j) * e.width})
			}
		}
		if j < t.from-1 {
			e.ADDQ(srcCol, p)
		}
	}
	var add vec
	if t.bias {
		add = e.bias(s, n)
	}
	q := e.GP64()
	e.MOVQ(dst, q)
	for i := range t.to {
		x := between[i]
		for j := len(x); j < t.from; j++ {
			x = append(x, e.vec())
			e.VMOVUPS(op.Mem{Base: scratch, Disp: (i*t.from + j) * e.width}, x[j])
		}
		y := t.f(x)
		if t.dstAhead {
			e.prefetch(q, s.Field("DstNext"), dstCol, t.to)
		}
		for j, m := range e.line(q, dstCol, t.to) {
			if t.bias {
				y[j] = e.sum(y[j], add)
			}
			e.VMOVUPS(y[j], m)
		}
		if i < t.to-1 {
			e.ADDQ(dstRow, q)
		}
	}
	e.ADDQ(op.U32(uint32(e.width)), src)
	e.ADDQ(op.U32(uint32(e.width)), dst)
	e.SUBQ(op.U32(uint32(e.width)), n)
	e.JNZ(op.LabelRef("vector"))

	e.next(src, s, "SrcNext")
	e.next(dst, s, "DstNext")
	e.DECQ(count)
	e.JNZ(op.LabelRef("matrix"))
	e.Label("done")
	e.VZEROUPPER()
	e.RET()
}

// next moves p, which has gone over N channels, to the next matrix.
func (e *emitter) next(p gp, s gotypes.Component, stride string) {
	e.ADDQ(e.load(s.Field(stride), true), p)
	e.SUBQ(e.load(s.Field("N"), true), p)
}

// prefetch asks for n vectors of the next matrix: those at p, a stride on.
func (e *emitter) prefetch(p gp, next gotypes.Component, stride gp, n int) {
	q := e.load(next, true)
	e.ADDQ(p, q)
	for _, m := range e.line(q, stride, n) {
		e.PREFETCHT0(m)
	}
}

// bias loads the vector of the bias that has n bytes from it to the end.
func (e *emitter) bias(s gotypes.Component, n gp) vec {
	v := e.vec()
	e.VXORPS(v, v, v)
	p := e.load(s.Field("Bias"), false)
	e.TESTQ(p, p)
	e.JZ(op.LabelRef("nobias"))
	e.ADDQ(e.load(s.Field("N"), true), p)
	e.SUBQ(n, p)
	e.VMOVUPS(op.Mem{Base: p}, v)
	e.Label("nobias")
	return v
}
