package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A run in bf16 that was interrupted has the weights of one that was not, to the last bit, and not those of one in fp32. Where the
// processor has no bf16, train says so and makes no run.
func TestBF16Resume(t *testing.T) {
	dir := t.TempDir()
	args := func(name, precision string, steps int64) []string {
		return []string{"train", pictures(), "--config", quick(), "--run", name, "--steps", itoa(steps), "--precision", precision, "--backend", "cpu", "--threads", "2", "--headless"}
	}
	if !simd.HasDot() || simd.Best() < simd.AVX512 {
		r := invoke(t, dir, args("r", "bf16", 4)...)
		if r.code == 0 || !strings.Contains(r.stderr, "AVX512_BF16") || run.IsRun(dir+"/r") {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		return
	}
	must(t, dir, args("whole", "bf16", 4)...)
	must(t, dir, args("halves", "bf16", 2)...)
	must(t, dir, "resume", "halves", "--steps", "4", "--threads", "1", "--headless")
	must(t, dir, args("fp32", "fp32", 4)...)
	for _, name := range weights {
		whole := read(t, dir, "whole", "checkpoints", "latest", name)
		if !bytes.Equal(read(t, dir, "halves", "checkpoints", "latest", name), whole) {
			t.Errorf("%s differs from that of the run that was not interrupted", name)
		}
		if bytes.Equal(read(t, dir, "fp32", "checkpoints", "latest", name), whole) {
			t.Errorf("%s is what fp32 gives", name)
		}
	}
}
