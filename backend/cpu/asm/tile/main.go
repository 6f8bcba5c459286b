// Command tile generates the tile kernels of backend/cpu/simd.
package main

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"log"
	"os"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/reg"
)

// argsFile declares the argument structs, relative to backend/cpu/asm.
const argsFile = "../simd/tile_args.go"

// shape is a register tile for one instruction set.
type shape struct {
	level string // suffix of the function names
	mr    int    // rows
	nv    int    // vectors a row
	width int    // bytes a vector
	vec   func() reg.VecVirtual
}

func main() {
	fs := flag.NewFlagSet("tile", flag.ExitOnError)
	flags := build.NewFlags(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
	// avo writes the command line into its output, which must not depend on
	// where the output goes.
	os.Args = os.Args[:1]

	pkg, err := argsPackage()
	if err != nil {
		log.Fatal(err)
	}
	ctx := build.NewContext()
	ctx.ConstraintExpr("amd64")
	ctx.ConstraintExpr("!purego")
	gen := generator{ctx, pkg}
	for _, s := range []shape{
		{"AVX2", 6, 2, 32, ctx.YMM},
		{"AVX512", 8, 2, 64, ctx.ZMM},
	} {
		gen.gemm(s, "")
		gen.gemm(s, "Narrow")
		gen.gemm(s, "Short")
		gen.outer(s)
		gen.peak(s)
	}
	os.Exit(build.Main(flags.Config(), ctx))
}

// argsPackage type-checks argsFile, so that signatures can name its structs
// and field offsets follow the Go compiler's layout.
func argsPackage() (*types.Package, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, argsFile, nil, 0)
	if err != nil {
		return nil, err
	}
	var conf types.Config
	return conf.Check("simd", fset, []*ast.File{f}, nil)
}
