// Command vec generates the vector kernels of backend/cpu/simd: everything in
// a training step that is limited by memory and not by multiplication. Each
// kernel is written once (contig.go, reduce.go, rows.go, normals.go) over the
// helpers of emit.go and math.go, and emitted for two instruction sets.
package main

import (
	"flag"
	"log"
	"os"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	fs := flag.NewFlagSet("vec", flag.ExitOnError)
	flags := build.NewFlags(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
	// avo writes the command line into its output, which must not depend on
	// where the output goes.
	os.Args = os.Args[:1]

	ctx := build.NewContext()
	ctx.ConstraintExpr("amd64")
	ctx.ConstraintExpr("!purego")
	data := newTables(ctx)
	for _, e := range []*emitter{
		{Context: ctx, tables: data, level: "AVX2", w: 8},
		{Context: ctx, tables: data, level: "AVX512", w: 16},
	} {
		e.elementwise()
		e.optimizer()
		e.reductions()
		e.softmax()
		e.channelRows()
		e.normals()
		e.dropout()
		e.copyRows()
		e.transpose()
		e.mixture()
	}
	os.Exit(build.Main(flags.Config(), ctx))
}
