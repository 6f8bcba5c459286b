package train

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
)

// smallConfig is a network that the float64 references run in a moment: 8x8 images, attention, every kind of layer.
func smallConfig() *Config {
	c := base("small")
	c.UNet = unet(8, 1, []int{8, 16}, "-a", 8, 4)
	c.Schedule.T = 100
	c.Batch, c.Steps, c.Seed = 3, 100, 0x1234567_89abcdef
	c.Optimizer.Warmup = 3
	c.Preview.Images = 2
	return &c
}

// tinyConfig is the preset.
func tinyConfig(t *testing.T) *Config {
	t.Helper()
	c, err := PresetConfig("tiny")
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// pictures are n images [8,8,3] of all kinds of bytes.
func pictures(n int) []byte {
	p := make([]byte, n*8*8*3)
	for i := range p {
		p[i] = byte(i * i >> 3)
	}
	return p
}

var loadAvatars = sync.OnceValues(func() (*data.Set, error) {
	return data.Load(context.Background(), "", data.Options{Size: 16})
})

// avatars is the embedded set at the size of the tiny preset.
func avatars(t *testing.T) *data.Set {
	t.Helper()
	set, err := loadAvatars()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// processor is the CPU backend with an instruction set, "" for the best, and a number of workers.
func processor(t *testing.T, level string, threads int) *cpu.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: threads, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// eachLevel runs f on each instruction set of this machine.
func eachLevel(t *testing.T, f func(t *testing.T, b *cpu.Backend)) {
	t.Helper()
	for _, level := range simd.Supported() {
		t.Run(level.String(), func(t *testing.T) { f(t, processor(t, level.String(), 2)) })
	}
}

func newStep(t *testing.T, b backend.Backend, c *Config, pixels []byte, images int) *Step {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := NewStep(b, c, pixels, images, dist.Alone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// steps runs n steps and returns their results, copied.
func steps(t *testing.T, s *Step, n int) []Result {
	t.Helper()
	var results []Result
	for range n {
		r, err := s.Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		keep := *r
		keep.SampleLoss, keep.T = slices.Clone(r.SampleLoss), slices.Clone(r.T)
		results = append(results, keep)
	}
	return results
}

func snapshot(t *testing.T, s *Step) State {
	t.Helper()
	st, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func restore(t *testing.T, s *Step, st State) {
	t.Helper()
	if err := s.Restore(st); err != nil {
		t.Fatal(err)
	}
}

// sameState fails unless the flat buffers of both are the same to the last bit, NaN included.
func sameState(t *testing.T, what string, got, want State) {
	t.Helper()
	for _, b := range []struct {
		name      string
		got, want []float32
	}{
		{bufParams, got.Params, want.Params}, {bufEMA, got.EMA, want.EMA}, {bufM, got.M, want.M}, {bufV, got.V, want.V},
	} {
		if i := firstDifferent(b.got, b.want); i >= 0 {
			t.Fatalf("%s: element %d of %s is %v, want %v to the last bit", what, i, b.name, b.got[i], b.want[i])
		}
	}
}

// firstDifferent is the first element whose bits differ, -1 if there is none.
func firstDifferent(a, b []float32) int {
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i
		}
	}
	return -1
}

// largest is the largest absolute difference, infinite where there is no number.
func largest(a []float32, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	d := 0.0
	for i := range a {
		if d = max(d, math.Abs(float64(a[i])-b[i])); math.IsNaN(d) {
			return math.Inf(1)
		}
	}
	return d
}

func widen(v []float32) []float64 {
	w := make([]float64, len(v))
	for i := range v {
		w[i] = float64(v[i])
	}
	return w
}
