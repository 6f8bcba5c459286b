package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/vulkan"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// late is a backend whose programs take at least so long, or cannot be compiled.
type late struct {
	*cpu.Backend
	by     time.Duration
	broken error
}

func (l late) Compile(p *backend.Program) (backend.Executable, error) {
	if l.broken != nil {
		return nil, l.broken
	}
	e, err := l.Backend.Compile(p)
	return lateExec{e, l.by}, err
}

type lateExec struct {
	backend.Executable
	by time.Duration
}

func (e lateExec) Run(ctx context.Context, times int) error {
	time.Sleep(e.by)
	return e.Executable.Run(ctx, times)
}

// TestChoose times made-up candidates: the fastest computes the run, and the choice says why; one that cannot is named.
func TestChoose(t *testing.T) {
	long(t)
	var said []string
	say := func(_, format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) }
	made := func(name, kind string, by time.Duration, broken error) *candidate {
		return &candidate{name: name, choice: train.Choice{Backend: kind, Device: name}, open: func() (backend.Backend, error) {
			b, err := cpu.New(cpu.Options{Threads: 1})
			return late{b, by, broken}, err
		}}
	}
	cfg := smallConfig(t)
	wrong := made("slow with matrices", "vulkan", 0, nil)
	wrong.matrices = true // which this backend has not
	b, err := choose(t.Context(), []*candidate{
		wrong,
		made("slow", "vulkan", 400*time.Millisecond, nil), made("broken", "vulkan", 0, errors.New("no kernel\nand more")), made("fast", "vulkan", 0, nil),
		made("the CPU", "cpu", 400*time.Millisecond, nil),
	}, cfg, say)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := cfg.Compute
	if c == nil || c.Device != "fast" || !strings.Contains(c.Why, "on slow ") || !strings.Contains(c.Why, "broken: no kernel;") || !strings.Contains(c.Why, "with matrices: they failed") || !strings.Contains(c.Why, "the CPU") {
		t.Errorf("chose %+v", c)
	}
	if len(said) != 2 || !strings.Contains(said[0], "slow with matrices, slow, broken, fast, the CPU") || !strings.Contains(said[1], "computing on fast: a training step takes ") {
		t.Errorf("said %q", said)
	}
	if _, err := choose(t.Context(), []*candidate{made("a", "vulkan", 0, errors.New("not so")), made("b", "cpu", 0, errors.New("nor so"))}, cfg, say); err == nil ||
		!strings.Contains(err.Error(), "a: not so; b: nor so") {
		t.Errorf("nothing works: %v", err)
	}
}

// TestWays makes two candidates of a device with cooperative matrices where the precision has a use for them, and only there.
func TestWays(t *testing.T) {
	devices := []vulkan.DeviceInfo{{Name: "plain"}, {Name: "matrix", Matrices: "16x16x16 with --precision fp16"}, {Name: "off", Matrices: "not used: it is off"}}
	for p, want := range map[backend.Precision]string{
		backend.FP16: "plain false; matrix with cooperative matrices false; matrix without true; off false; ",
		backend.FP32: "plain false; matrix false; off false; ",
	} {
		got := ""
		for _, c := range ways(devices, p) {
			got += fmt.Sprintf("%s %v; ", c.name, c.choice.NoMatrices)
		}
		if got != want {
			t.Errorf("%v: %q, want %q", p, got, want)
		}
	}
}

// TestObeysMatrices opens what a run was begun on as it was chosen there: with cooperative matrices or without. It needs a device that has them.
func TestObeysMatrices(t *testing.T) {
	all, err := vulkan.Devices()
	if err != nil || !slices.ContainsFunc(all, vulkan.DeviceInfo.UsesMatrices) {
		t.Skipf("no Vulkan device with cooperative matrices (shaders/newer.sh gets one in software): %v", err)
	}
	d := all[slices.IndexFunc(all, vulkan.DeviceInfo.UsesMatrices)]
	for _, without := range []bool{false, true} {
		for name, open := range map[string]func() (backend.Backend, *run.Log, error){
			"auto": func() (backend.Backend, *run.Log, error) {
				return compute{backend: "auto"}.obey(&train.Config{Compute: &train.Choice{Backend: "vulkan", Device: d.Name, NoMatrices: without}})
			},
			"vulkan": func() (backend.Backend, *run.Log, error) {
				return (&compute{backend: "vulkan", device: d.Name, noMatrices: without}).open(false)
			},
		} {
			b, note, err := open()
			if err != nil || note != nil {
				t.Fatal(name, err, note)
			}
			if uses := b.(backend.Rounder).Rounding("conv2d", backend.FP16) > 0; uses == without {
				t.Errorf("%s: chosen without them: %v; uses them: %v", name, without, uses)
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// smallConfig is a run that takes no time.
func smallConfig(t *testing.T) *train.Config {
	t.Helper()
	cfg, err := train.PresetConfig("tiny")
	if err != nil {
		t.Fatal(err)
	}
	u := *cfg.UNet
	u.SampleSize, u.BlockOutChannels, u.LayersPerBlock, u.NormNumGroups = 8, []int{8, 16}, 1, 4
	u.DownBlockTypes, u.UpBlockTypes = []string{"DownBlock2D", "DownBlock2D"}, []string{"UpBlock2D", "UpBlock2D"}
	cfg.UNet, cfg.Batch = &u, 2
	return &cfg
}
