package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	op "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

type (
	gp  = reg.GPVirtual
	vec = reg.VecVirtual
)

// emitter writes kernels for one instruction set. Its arithmetic helpers take
// registers (or memory, where a comment says so) and return a new register;
// avo's allocator reuses registers once they are dead.
type emitter struct {
	*build.Context
	*tables
	level  string // suffix of the function names
	w      int    // floats a vector: 8 or 16
	hoist  map[string]vec
	labels int
}

// begin starts the function vec<name><level>; sig is its signature without
// "func" and doc completes "vec<name><level> is ".
func (e *emitter) begin(name, sig, doc string) {
	name = "vec" + name + e.level
	e.Function(name)
	e.Attributes(attr.NOSPLIT)
	e.Pragma("noescape")
	e.SignatureExpr("func" + sig)
	e.Doc(name + " is " + doc)
	e.hoist = map[string]vec{}
	e.labels = 0
}

// end returns. Leaving the upper halves of the registers dirty would slow down
// all scalar floating point that follows.
func (e *emitter) end() {
	e.VZEROUPPER()
	e.RET()
}

// wide says whether the vectors are AVX-512's.
func (e *emitter) wide() bool { return e.w == 16 }

func (e *emitter) vec() vec {
	if e.wide() {
		return e.ZMM()
	}
	return e.YMM()
}

// label returns a label that the function has not used yet.
func (e *emitter) label(name string) string {
	e.labels++
	return fmt.Sprintf("%s%d", name, e.labels)
}

// base loads the address of a slice parameter.
func (e *emitter) base(slice string) gp {
	r := e.GP64()
	e.Load(e.Param(slice).Base(), r)
	return r
}

// length loads the length of a slice parameter.
func (e *emitter) length(slice string) gp {
	r := e.GP64()
	e.Load(e.Param(slice).Len(), r)
	return r
}

// scalar broadcasts a float32 parameter.
func (e *emitter) scalar(name string) vec {
	b, err := e.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := e.vec()
	e.VBROADCASTSS(b.Addr, v)
	return v
}

// block is one vector of a loop: elements i+disp/4 to i+disp/4+w-1 of every
// array. The last block of a loop may have a mask of the elements that exist.
type block struct {
	*emitter
	u    int // index in its group
	i    gp
	disp int
	mask reg.Register // nil for a whole vector
}

func (b block) at(base reg.Register) op.Mem {
	return op.Mem{Base: base, Index: b.i, Scale: 4, Disp: b.disp}
}

// load reads the block of an array; elements beyond its end read as 0.
func (b block) load(base reg.Register) vec {
	v := b.vec()
	switch {
	case b.mask == nil:
		b.VMOVUPS(b.at(base), v)
	case b.wide():
		b.VMOVUPS_Z(b.at(base), b.mask, v)
	default:
		b.VMASKMOVPS(b.at(base), b.mask, v)
	}
	return v
}

func (b block) store(v vec, base reg.Register) {
	switch {
	case b.mask == nil:
		b.VMOVUPS(v, b.at(base))
	case b.wide():
		b.VMOVUPS(v, b.mask, b.at(base))
	default:
		b.VMASKMOVPS(v, b.mask, b.at(base))
	}
}

// fill returns v with the elements beyond the end of the arrays replaced by
// those of other.
func (b block) fill(v, other vec) vec {
	if b.mask == nil {
		return v
	}
	d := b.vec()
	if b.wide() {
		b.VBLENDMPS(v, other, b.mask, d)
	} else {
		b.VBLENDVPS(b.mask, v, other, d)
	}
	return d
}

// groups loops over as many groups of u whole vectors of n elements as there
// are, from element i, which it advances.
func (e *emitter) groups(i, n gp, u int, body func(bs []block)) {
	loop, done := e.label("loop"), e.label("done")
	e.Label(loop)
	next := e.GP64()
	e.LEAQ(op.Mem{Base: i, Disp: u * e.w}, next)
	e.CMPQ(next, n)
	e.JGT(op.LabelRef(done))
	bs := make([]block, u)
	for k := range bs {
		bs[k] = block{emitter: e, u: k, i: i, disp: 4 * k * e.w}
	}
	body(bs)
	e.ADDQ(op.U32(uint32(u*e.w)), i)
	e.JMP(op.LabelRef(loop))
	e.Label(done)
}

// whole loops over as many whole vectors of n elements as there are, unroll at
// a time and then one at a time.
func (e *emitter) whole(i, n gp, unroll int, body func(bs []block)) {
	if unroll > 1 {
		e.groups(i, n, unroll, body)
	}
	e.groups(i, n, 1, body)
}

// blocks loops over n elements: whole vectors, then one masked block for what
// is left. body emits the code of a group of blocks.
func (e *emitter) blocks(n gp, unroll int, body func(bs []block)) {
	i := e.GP64()
	e.XORQ(i, i)
	e.whole(i, n, unroll, body)
	end := e.label("end")
	rest := e.GP64()
	e.MOVQ(n, rest)
	e.SUBQ(i, rest)
	e.JLE(op.LabelRef(end))
	body([]block{{emitter: e, i: i, mask: e.tailMask(rest)}})
	e.Label(end)
}

// tailMask returns a mask of the first rest elements, 0 < rest < w.
func (e *emitter) tailMask(rest gp) reg.Register {
	if e.wide() {
		k, bits := e.K(), e.GP32()
		e.MOVL(rest.As32(), reg.ECX)
		e.MOVL(op.U32(1), bits)
		e.SHLL(reg.CL, bits)
		e.DECL(bits)
		e.KMOVW(bits, k)
		return k
	}
	// A window into 8 ones followed by 8 zeros that starts 8 - rest in.
	p, v := e.GP64(), e.YMM()
	e.LEAQ(e.ramp(), p)
	e.NEGQ(rest)
	e.VMOVUPS(op.Mem{Base: p, Index: rest, Scale: 4, Disp: 32}, v)
	return v
}

// each is the loop of an elementwise kernel: body sees one block at a time.
func (e *emitter) each(n gp, unroll int, body func(b block)) {
	e.blocks(n, unroll, func(bs []block) {
		for _, b := range bs {
			body(b)
		}
	})
}

// rows is an array of pixels: the names of a slice parameter and of the
// parameter with its stride in floats.
type rows struct{ slice, stride string }

// eachPixel loops over the pixels > 0; body gets a pointer to the pixel's row
// of each array. The strides stay on the stack because there are more
// parameters than general registers.
func (e *emitter) eachPixel(arrays []rows, body func(p []gp)) {
	count := e.GP64()
	e.Load(e.Param("pixels"), count)
	p := make([]gp, len(arrays))
	for k, a := range arrays {
		p[k] = e.base(a.slice)
	}
	loop := e.label("pixel")
	e.Label(loop)
	body(p)
	for k, a := range arrays {
		stride := e.GP64()
		e.Load(e.Param(a.stride), stride)
		e.LEAQ(op.Mem{Base: p[k], Index: stride, Scale: 4}, p[k])
	}
	e.DECQ(count)
	e.JNZ(op.LabelRef(loop))
}
