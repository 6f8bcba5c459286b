package cpu_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// each runs f with every instruction set of this machine, on one worker and on three.
func each(t *testing.T, f func(t *testing.T, b *cpu.Backend)) {
	for _, l := range simd.Supported() {
		for _, threads := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v/%d threads", l, threads), func(t *testing.T) {
				b, err := cpu.New(cpu.Options{Threads: threads, Level: l.String()})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				f(t, b)
			})
		}
	}
}

func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, b *cpu.Backend) {
		results := conformance.Check(context.Background(), b, "")
		if err := conformance.Err(results); err != nil {
			t.Error(err)
		}
		var table bytes.Buffer
		conformance.Print(&table, results)
		t.Log("\n" + table.String())
	})
}

func TestMemoryReuse(t *testing.T) {
	each(t, func(t *testing.T, b *cpu.Backend) {
		if err := conformance.Err(conformance.Memory(b)); err != nil {
			t.Error(err)
		}
	})
}
