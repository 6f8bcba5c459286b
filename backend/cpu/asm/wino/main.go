// Command wino generates the transforms of Winograd's convolution in
// backend/cpu/simd.
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
)

// argsFile declares the argument struct, relative to backend/cpu/asm.
const argsFile = "../simd/wino_args.go"

func main() {
	fs := flag.NewFlagSet("wino", flag.ExitOnError)
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
	table := newTable(ctx)
	for _, e := range []*emitter{
		{Context: ctx, pkg: pkg, table: table, level: "AVX2", width: 32},
		{Context: ctx, pkg: pkg, table: table, level: "AVX512", width: 64},
	} {
		for _, t := range []transform{
			{name: "Input", doc: "Bt d B", from: 6, to: 6, srcAhead: 2, f: e.input}, // patches overlap by two columns
			{name: "Output", doc: "At m A + Bias", from: 6, to: 4, srcAhead: noAhead, dstAhead: true, bias: true, f: e.output},
			{name: "Weights", doc: "G g Gt", from: 3, to: 6, srcAhead: noAhead, f: e.weights},
			{name: "OutputGrad", doc: "A dy At", from: 4, to: 6, f: e.outputGrad},
			{name: "WeightsGrad", doc: "Gt s G", from: 6, to: 3, srcAhead: noAhead, f: e.weightsGrad},
			{name: "Input2", doc: "Bt d B", from: 4, to: 4, srcAhead: 2, f: e.input2},
			{name: "Output2", doc: "At m A + Bias", from: 4, to: 2, srcAhead: noAhead, dstAhead: true, bias: true, f: e.output2},
			{name: "Weights2", doc: "G g Gt", from: 3, to: 4, srcAhead: noAhead, f: e.weights2},
			{name: "OutputGrad2", doc: "A dy At", from: 2, to: 4, f: e.outputGrad2},
			{name: "WeightsGrad2", doc: "Gt s G", from: 4, to: 3, srcAhead: noAhead, f: e.weightsGrad2},
		} {
			e.transform(t)
		}
		if e.width == 64 { // others have too few registers
			e.product()
		}
	}
	os.Exit(build.Main(flags.Config(), ctx))
}

// argsPackage type-checks argsFile, so that the signatures can name its struct
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
