//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
)

func halfDevice(t *testing.T) *Backend {
	t.Helper()
	b := device(t, Options{})
	if err := b.noHalf(); err != nil {
		t.Skip(err)
	}
	if err := b.Halves(); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHalfConformance holds every op that may have halfs to its reference.
func TestHalfConformance(t *testing.T) {
	b := halfDevice(t)
	results := conformance.CheckIn(context.Background(), b, backend.FP16, os.Getenv("DDPM_ONLY"))
	if err := conformance.Err(results); err != nil {
		t.Error(err)
	}
	var table bytes.Buffer
	if err := conformance.Print(&table, results); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, validated: %v\n%s", b.Name, Validating(), table.String())
}

// TestHalfSteps trains with activations in halfs, half the size, and loses nothing that shows.
func TestHalfSteps(t *testing.T) {
	b := halfDevice(t)
	whole, half := newNet(t, b), newNetIn(t, b, backend.FP16)
	defer whole.close()
	defer half.close()
	halfs := 0
	half.prog.Steps(func(s *backend.Step) {
		for _, v := range s.Out {
			if v.DType == backend.F16 {
				halfs++
			}
		}
	})
	if a, b := whole.prog.Buffers[0].Bytes, half.prog.Buffers[0].Bytes; halfs < 4 || b >= a {
		t.Errorf("%d values are halfs; the arena has %d bytes, in fp32 %d", halfs, b, a)
	}
	var first, last float64
	for step := range 20 {
		whole.run(t.Context(), 1)
		half.run(t.Context(), 1)
		want, got := floats(whole.read("out")), floats(half.read("out"))
		if math.Abs(got[0]/want[0]-1) > 0.01 || math.Abs(got[1]/want[1]-1) > 0.05 {
			t.Fatalf("step %d: loss and norm %v, in fp32 %v", step+1, got, want)
		}
		if last = got[0]; step == 0 {
			first = last
		}
	}
	if last > 0.95*first {
		t.Errorf("the loss went from %v to %v", first, last)
	}
}

func floats(p []byte) (f []float64) {
	for ; len(p) >= 4; p = p[4:] {
		f = append(f, float64(math.Float32frombits(binary.LittleEndian.Uint32(p))))
	}
	return f
}

// TestHalfLeftOut has a device that computes wrong in halfs, and one where they are switched off: both say so, and fp32 goes on.
func TestHalfLeftOut(t *testing.T) {
	if err := device(t, Options{}).noHalf(); err != nil {
		t.Skip(err)
	}
	right := ops["conv2d_data"]
	defer func() { ops["conv2d_data"] = right }()
	ops["conv2d_data"] = op{scratch: right.scratch, emit: func(c *call) {
		if c.in[0].DType == backend.F16 {
			c.in[0].first++
		}
		right.emit(c)
	}}
	b := device(t, Options{NoMatrices: true})
	if err := b.Halves(); err == nil || !strings.Contains(err.Error(), "wrong") || !strings.Contains(err.Error(), "conv2d_data") {
		t.Errorf("a device that computes wrong: %v", err)
	}
	newNet(t, b).close()

	t.Setenv(HalfEnv, "off")
	b = device(t, Options{NoMatrices: true})
	if err := b.Halves(); b.Info().Has(backend.FP16) || err == nil || !strings.Contains(err.Error(), HalfEnv) {
		t.Errorf("switched off: %v", err)
	}
}
