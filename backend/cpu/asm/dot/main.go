// Command dot generates the bf16 kernels of backend/cpu/simd: products on AMX tiles and on AVX512_BF16's dot product, and rounding.
package main

import (
	"encoding/binary"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"log"
	"os"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	op "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// argsFile declares the argument struct, relative to backend/cpu/asm.
const argsFile = "../simd/dot_args.go"

const (
	tileRows = 16  // of a tile register
	cRow     = 128 // bytes of a row of C, and of B's row of pairs
	half     = 64  // bytes of half of it
)

type generator struct {
	*build.Context
	pkg *types.Package
}

func main() {
	fs := flag.NewFlagSet("dot", flag.ExitOnError)
	flags := build.NewFlags(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
	os.Args = os.Args[:1] // avo writes the command line into its output

	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, argsFile, nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	var conf types.Config
	pkg, err := conf.Check("simd", fset, []*ast.File{f}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := build.NewContext()
	ctx.ConstraintExpr("amd64")
	ctx.ConstraintExpr("!purego")
	g := generator{ctx, pkg}
	g.amx()
	g.avx512()
	g.rounding()
	os.Exit(build.Main(flags.Config(), ctx))
}

func (g generator) args(name, doc string) gotypes.Component {
	g.Function(name)
	g.Attributes(attr.NOSPLIT)
	g.Pragma("noescape")
	v := types.NewVar(0, g.pkg, "args", types.NewPointer(g.pkg.Scope().Lookup("DotArgs").Type()))
	g.Signature(gotypes.NewSignature(g.pkg, types.NewSignatureType(nil, nil, nil, types.NewTuple(v), nil, false)))
	g.Doc(doc)
	g.Load(g.Param("args"), reg.RAX)
	return g.Dereference(g.Param("args"))
}

// field is a field of the arguments, at AX.
func (g generator) field(args gotypes.Component, name string) op.Mem {
	b, err := args.Field(name).Resolve()
	if err != nil {
		panic(err)
	}
	m := b.Addr
	m.Base = reg.RAX
	return m
}

// amx emits dotAMX. C is four tiles, of 16 rows and columns; a step of 32 elements of K loads two of A and two of B and
// multiplies each with each. No state of the tiles outlives the call, so that a goroutine may move to another thread after it.
func (g generator) amx() {
	g.StaticGlobal("tiles")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	config := [64]byte{0: 1}
	for t := range 8 {
		config[16+2*t], config[48+t] = 64, tileRows
	}
	for i := 0; i < len(config); i += 8 {
		g.AddDatum(i, op.U64(binary.LittleEndian.Uint64(config[i:])))
	}
	args := g.args("dotAMX", "dotAMX is Dot.Run on AMX tiles.")
	get := func(name string, r reg.Register) { g.MOVQ(g.field(args, name), r) }
	g.LEAQ(op.NewDataAddr(op.NewStaticSymbol("tiles"), 0), reg.RCX)
	g.tileConfig(cx)
	get("Row", reg.R9)
	g.SHLQ(op.U8(1), reg.R9)
	get("C", reg.R10)
	g.MOVQ(op.U32(cRow), reg.R11)
	get("Blocks", reg.R12)
	get("Starts", reg.R15)

	type corner struct{ tile, disp int }
	corners := []corner{{0, 0}, {1, half}, {2, tileRows * cRow}, {3, tileRows*cRow + half}}
	g.Label("block")
	g.CMPB(g.field(args, "Acc"), op.U8(0))
	g.JE(op.LabelRef("zero"))
	for _, c := range corners {
		g.tileLoad(c.tile, r10, r11, c.disp)
	}
	g.JMP(op.LabelRef("start"))
	g.Label("zero")
	for _, c := range corners {
		g.tileZero(c.tile)
	}
	g.Label("start")
	get("A", reg.R8)
	g.MOVQ(op.Mem{Base: reg.R15}, reg.RSI)
	g.ADDQ(op.U32(8), reg.R15)
	g.LEAQ(op.Mem{Base: reg.R8, Index: reg.RSI, Scale: 2}, reg.R8)
	get("BRow", reg.R14)
	g.SHLQ(op.U8(1), reg.R14)
	get("Taps", reg.R13)
	get("NTaps", reg.RDX)
	get("B", reg.RBX)
	g.Label("tap")
	g.MOVQ(op.Mem{Base: reg.R13}, reg.RSI)
	g.ADDQ(op.U32(8), reg.R13)
	g.LEAQ(op.Mem{Base: reg.R8, Index: reg.RSI, Scale: 2}, reg.RSI)
	g.MOVQ(reg.R9, reg.RDI)
	g.SHLQ(op.U8(4), reg.RDI)
	g.ADDQ(reg.RSI, reg.RDI)
	get("KC", reg.RCX)
	g.SHRQ(op.U8(5), reg.RCX)
	g.Label("step")
	g.tileLoad(4, si, r9, 0)
	g.tileLoad(6, bx, r14, 0)
	g.tileDot(0, 4, 6)
	g.tileLoad(7, bx, r14, half)
	g.tileDot(1, 4, 7)
	g.tileLoad(5, di, r9, 0)
	g.tileDot(2, 5, 6)
	g.tileDot(3, 5, 7)
	g.ADDQ(op.U32(64), reg.RSI)
	g.ADDQ(op.U32(64), reg.RDI)
	g.LEAQ(op.Mem{Base: reg.RBX, Index: reg.R14, Scale: 8}, reg.RBX)
	g.LEAQ(op.Mem{Base: reg.RBX, Index: reg.R14, Scale: 8}, reg.RBX)
	g.DECQ(reg.RCX)
	g.JNZ(op.LabelRef("step"))
	g.DECQ(reg.RDX)
	g.JNZ(op.LabelRef("tap"))
	for _, c := range corners {
		g.tileStore(c.tile, r10, r11, c.disp)
	}
	g.ADDQ(op.U32(2*tileRows*cRow), reg.R10)
	g.DECQ(reg.R12)
	g.JNZ(op.LabelRef("block"))
	g.tileRelease()
	g.RET()
}

// avx512 emits dotAVX512, 8 rows at a time: the loop of the fp32 kernel, in which a pair of elements takes the place of one.
func (g generator) avx512() {
	const rows, unroll = 8, 4
	args := g.args("dotAVX512", "dotAVX512 is Dot.Run with AVX512_BF16.")
	get := func(name string, r reg.Register) { g.MOVQ(g.field(args, name), r) }
	acc := func(i, j int) (int, reg.VecPhysical) { n := 16 + 2*i + j; return n, zmm[n] }
	get("Row", reg.R9)
	g.SHLQ(op.U8(1), reg.R9)
	g.LEAQ(op.Mem{Base: reg.R9, Index: reg.R9, Scale: 2}, reg.R11)
	get("C", reg.R10)
	get("BRow", reg.R14)
	g.SHLQ(op.U8(1), reg.R14)
	g.XORQ(reg.R12, reg.R12) // eights of rows done
	g.Label("block")
	each := func(f func(n int, z reg.VecPhysical, m op.Mem)) {
		for i := range rows {
			for j := range 2 {
				n, z := acc(i, j)
				f(n, z, op.Mem{Base: reg.R10, Disp: i*cRow + j*half})
			}
		}
	}
	g.CMPB(g.field(args, "Acc"), op.U8(0))
	g.JE(op.LabelRef("zero"))
	each(func(_ int, z reg.VecPhysical, m op.Mem) { g.VMOVUPS(m, z) })
	g.JMP(op.LabelRef("start"))
	g.Label("zero")
	each(func(_ int, z reg.VecPhysical, _ op.Mem) { g.VXORPS(z, z, z) })
	g.Label("start")
	get("Starts", reg.RSI)
	g.MOVQ(reg.R12, reg.RDI)
	g.SHRQ(op.U8(2), reg.RDI)
	g.MOVQ(op.Mem{Base: reg.RSI, Index: reg.RDI, Scale: 8}, reg.RSI)
	get("A", reg.R8)
	g.LEAQ(op.Mem{Base: reg.R8, Index: reg.RSI, Scale: 2}, reg.R8)
	g.MOVQ(reg.R12, reg.RDI)
	g.ANDQ(op.U32(3), reg.RDI)
	g.IMULQ(reg.R9, reg.RDI)
	g.LEAQ(op.Mem{Base: reg.R8, Index: reg.RDI, Scale: 8}, reg.R8)
	get("Taps", reg.R13)
	get("NTaps", reg.RDX)
	get("B", reg.RBX)
	g.Label("tap")
	g.MOVQ(op.Mem{Base: reg.R13}, reg.RSI)
	g.ADDQ(op.U32(8), reg.R13)
	g.LEAQ(op.Mem{Base: reg.R8, Index: reg.RSI, Scale: 2}, reg.RSI)
	g.LEAQ(op.Mem{Base: reg.RSI, Index: reg.R9, Scale: 4}, reg.RDI)
	get("KC", reg.RCX)
	g.SHRQ(op.U8(3), reg.RCX) // pairs, unrolled
	g.Label("step")
	for u := range unroll {
		g.VMOVUPS(op.Mem{Base: reg.RBX}, reg.Z0)
		g.VMOVUPS(op.Mem{Base: reg.RBX, Disp: half}, reg.Z1)
		g.ADDQ(reg.R14, reg.RBX)
		for i := range rows {
			m := op.Mem{Base: reg.RSI, Disp: 4 * u}
			if i >= 4 {
				m.Base = reg.RDI
			}
			switch i % 4 {
			case 1, 2:
				m.Index, m.Scale = reg.R9, uint8(i%4)
			case 3:
				m.Index, m.Scale = reg.R11, 1
			}
			a := 2 + i%2
			g.VPBROADCASTD(m, zmm[a])
			for j := range 2 {
				n, _ := acc(i, j)
				g.dot(n, a, j)
			}
		}
	}
	g.ADDQ(op.U32(4*unroll), reg.RSI)
	g.ADDQ(op.U32(4*unroll), reg.RDI)
	g.DECQ(reg.RCX)
	g.JNZ(op.LabelRef("step"))
	g.DECQ(reg.RDX)
	g.JNZ(op.LabelRef("tap"))
	each(func(_ int, z reg.VecPhysical, m op.Mem) { g.VMOVUPS(z, m) })
	g.ADDQ(op.U32(rows*cRow), reg.R10)
	g.INCQ(reg.R12)
	get("Blocks", reg.RDI)
	g.SHLQ(op.U8(2), reg.RDI)
	g.CMPQ(reg.R12, reg.RDI)
	g.JL(op.LabelRef("block"))
	g.VZEROUPPER()
	g.RET()
}

var zmm = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// rounding emits what rounds float32 to bf16: in order, and two rows interleaved.
func (g generator) rounding() {
	g.Function("roundAVX512")
	g.Attributes(attr.NOSPLIT)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *uint16, src *float32, blocks int)")
	g.Doc("roundAVX512 rounds 32 blocks elements, at least one block.")
	g.Load(g.Param("dst"), reg.RDI)
	g.Load(g.Param("src"), reg.RSI)
	g.Load(g.Param("blocks"), reg.RCX)
	g.Label("loop")
	g.VMOVUPS(op.Mem{Base: reg.RSI}, reg.Z0)
	g.VMOVUPS(op.Mem{Base: reg.RSI, Disp: half}, reg.Z1)
	g.round(2, 1, 0)
	g.VMOVUPS(reg.Z2, op.Mem{Base: reg.RDI})
	g.ADDQ(op.U32(2*half), reg.RSI)
	g.ADDQ(op.U32(half), reg.RDI)
	g.DECQ(reg.RCX)
	g.JNZ(op.LabelRef("loop"))
	g.VZEROUPPER()
	g.RET()

	g.StaticGlobal("interleave")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 { // words 2i, 2i+16, 2i+1, 2i+17
		g.AddDatum(8*i, op.U64(0x0011_0001_0010_0000+uint64(2*i)*0x0001_0001_0001_0001))
	}
	g.Function("pairAVX512")
	g.Attributes(attr.NOSPLIT)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *uint16, ds int, a, b *float32, ss, blocks, rows int)")
	g.Doc("pairAVX512 rounds 16 blocks elements of a and of b to pairs, and that in rows, ss and ds bytes apart; at least one of each.")
	g.Load(g.Param("dst"), reg.RDI)
	g.Load(g.Param("ds"), reg.R8)
	g.Load(g.Param("a"), reg.RSI)
	g.Load(g.Param("b"), reg.RDX)
	g.Load(g.Param("ss"), reg.R9)
	g.Load(g.Param("rows"), reg.R10)
	g.SUBQ(reg.RSI, reg.RDX)
	g.VMOVUPS(op.NewDataAddr(op.NewStaticSymbol("interleave"), 0), reg.Z3)
	g.Label("row")
	g.Load(g.Param("blocks"), reg.RCX)
	g.MOVQ(reg.RSI, reg.RAX)
	g.MOVQ(reg.RDI, reg.RBX)
	g.Label("loop")
	g.VMOVUPS(op.Mem{Base: reg.RAX}, reg.Z0)
	g.VMOVUPS(op.Mem{Base: reg.RAX, Index: reg.RDX, Scale: 1}, reg.Z1)
	g.round(2, 1, 0)
	g.VPERMW(reg.Z2, reg.Z3, reg.Z2)
	g.VMOVUPS(reg.Z2, op.Mem{Base: reg.RBX})
	g.ADDQ(op.U32(half), reg.RAX)
	g.ADDQ(op.U32(half), reg.RBX)
	g.DECQ(reg.RCX)
	g.JNZ(op.LabelRef("loop"))
	g.ADDQ(reg.R8, reg.RDI)
	g.ADDQ(reg.R9, reg.RSI)
	g.DECQ(reg.R10)
	g.JNZ(op.LabelRef("row"))
	g.VZEROUPPER()
	g.RET()
}
