package model

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

func TestGrid(t *testing.T) {
	x := []float32{-1, 1, 0, 2} // four grey images of one pixel
	m := Grid(x, 4, 1, 1, 3)
	if m.Bounds().Dx() != 3 || m.Bounds().Dy() != 2 {
		t.Fatalf("%v", m.Bounds())
	}
	for i, want := range []uint8{0, 255, 128, 255} {
		if p := m.RGBAAt(i%3, i/3); p.R != want || p.G != want || p.B != want || p.A != 255 {
			t.Errorf("image %d is %v, want %d", i, p, want)
		}
	}
	if p := m.RGBAAt(2, 1); p.R != 0 || p.A != 255 {
		t.Errorf("what is left over is %v", p)
	}
}

func TestStrip(t *testing.T) {
	for _, c := range []struct {
		total, frames int
		want          []int
	}{{50, 5, []int{9, 19, 29, 39, 49}}, {3, 8, []int{0, 1, 2}}, {1, 1, []int{0}}} {
		if got := Strip(c.total, c.frames); !slices.Equal(got, c.want) {
			t.Errorf("%d of %d: %v", c.frames, c.total, got)
		}
	}
}

// little is a network of one level and its forward pass.
func little(t *testing.T, b backend.Backend, batch int) (*Trained, *Forward) {
	t.Helper()
	return littleOf(t, b, 8, batch)
}

func littleOf(t *testing.T, b backend.Backend, size, batch int) (*Trained, *Forward) {
	t.Helper()
	cfg := nn.DefaultConfig()
	cfg.SampleSize, cfg.LayersPerBlock, cfg.BlockOutChannels, cfg.NormNumGroups = size, 1, []int{8}, 4
	cfg.DownBlockTypes, cfg.UpBlockTypes = []string{"DownBlock2D"}, []string{"UpBlock2D"}
	params, err := nn.UNetParams(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sch, err := ddpm.NewSchedule(ddpm.ScheduleConfig{Kind: ddpm.Cosine, T: 100})
	if err != nil {
		t.Fatal(err)
	}
	m := &Trained{UNet: cfg, Schedule: sch, Params: params, Weights: params.Init(3)}
	f, mem, err := m.Forward(b, batch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	return m, f
}

// An image depends on its seed and index, not on how many are made at a time; every step is seen.
func TestSampleDoesNotDependOnTheBatch(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, sampler := range ddpm.SamplerNames() {
		var want []float32
		evaluations := 4
		if sampler == "heun" {
			evaluations = 7
		}
		for _, batch := range []int{5, 1, 2} {
			m, f := littleOf(t, b, 48, batch) // of a size at which few images are worked at together
			steps := 0
			got, err := f.Sample(context.Background(), m.Schedule, Request{
				Sampler: sampler, N: 5, Seed: 9, Options: ddpm.SamplerOptions{Steps: 4, Clip: true, Spacing: ddpm.Trailing},
				OnStep: func(done, i, _ int, x, x0 []float32) {
					steps++
					if done%batch != 0 || i < 0 || i >= evaluations || len(x) != len(x0) {
						t.Errorf("step %d of images from %d", i, done)
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := (5 + batch - 1) / batch * evaluations; steps != n {
				t.Errorf("%s, batch %d: %d steps seen, want %d", sampler, batch, steps, n)
			}
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, batch %d: other images", sampler, batch)
			}
		}
	}
}

// poor is a backend with little memory.
type poor struct{ backend.Backend }

func (p poor) Info() backend.Info {
	i := p.Backend.Info()
	i.Memory = 1000
	return i
}

func TestTooLittleMemoryIsSaidBeforeAnythingIsMade(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m, _ := little(t, b, 1)
	_, _, err = m.Forward(poor{b}, 4)
	var no *NoMemoryError
	if !errors.As(err, &no) || no.Need <= no.Free || no.Free != 1000 {
		t.Fatalf("%v", err)
	}
}
