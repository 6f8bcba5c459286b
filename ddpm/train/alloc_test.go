//go:build !race

// The race detector allocates.

package train

import (
	"context"
	"runtime"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
)

// TestStepAllocates: a training step on the CPU allocates nothing, so that no garbage is collected however many there are.
func TestStepAllocates(t *testing.T) {
	for _, precision := range []backend.Precision{backend.FP32, backend.BF16} {
		b, err := cpu.New(cpu.Options{Threads: 2, Dot: map[backend.Precision]string{backend.BF16: "go"}[precision]})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		c := tiny()
		c.Batch, c.Precision, c.Preview.Images = 2, precision, 1
		s, err := NewStep(b, &c, make([]byte, 4*16*16*3), 4, dist.Alone)
		if err != nil {
			t.Fatal(err)
		}
		exec := s.Executable()
		run := func(times int) {
			if err := exec.Run(context.Background(), times); err != nil {
				t.Fatal(err)
			}
		}
		run(3)
		// What else the process does, the runtime itself for one, may allocate at times: the fewest of some rounds count.
		const steps, rounds = 2, 6
		fewest := ^uint64(0)
		for range rounds {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			run(steps)
			runtime.ReadMemStats(&after)
			fewest = min(fewest, after.Mallocs-before.Mallocs)
		}
		if fewest > 0 {
			t.Errorf("%s: at least %d allocations in every %d steps", precision, fewest, steps)
		}
	}
}
