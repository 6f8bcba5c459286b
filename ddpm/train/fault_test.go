package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A bench is a run of the small network, with what its trainer said.
type bench struct {
	t      *testing.T
	config *Config
	folder *run.Folder
	events []run.Event
	lost   []run.Event
	on     func(*Trainer, run.Event) // called with every event

	options Options
}

func newBench(t *testing.T, steps int64) *bench {
	t.Helper()
	c := smallConfig()
	c.Steps, c.Preview.Seconds, c.Preview.Steps, c.CheckpointSeconds = steps, 0, 1, 0
	f, err := run.Create(filepath.Join(t.TempDir(), "r"), c)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, config: c, folder: f}
}

// madeUp are the images of a bench.
func madeUp() *data.Set {
	return &data.Set{Name: "made up", N: 7, Size: 8, Channels: 3, Pixels: pictures(7), Hash: "made up", Labels: []int{0, 1, 1, 0, 0, 1, 0}, Classes: []string{"a", "b"}}
}

// train trains until the end, on a backend.
func (x *bench) train(ctx context.Context, b backend.Backend) error {
	x.t.Helper()
	var trainer *Trainer
	o := x.options
	o.Set = madeUp()
	o.OnEvent = func(e run.Event) {
		x.events = append(x.events, e)
		if x.on != nil && trainer != nil {
			x.on(trainer, e)
		}
	}
	o.OnLost = func(e run.Event) { x.lost = append(x.lost, e) }
	trainer, err := New(ctx, b, x.config, x.folder, o)
	if err != nil {
		return err
	}
	return trainer.Run(ctx)
}

// ended is the last event, which must be an end with a fault.
func (x *bench) ended(fault *run.Fault) *run.End {
	x.t.Helper()
	last := x.events[len(x.events)-1]
	if last.End == nil || last.End.Reason != run.Failed || last.End.Fault != fault.Name || !strings.Contains(last.End.Error, fault.Message) {
		x.t.Fatalf("the run ends with %+v, %+v, want the fault %s", last, last.End, fault.Name)
	}
	return last.End
}

// weights are the files of the latest checkpoint, and its step.
func (x *bench) weights() (files [3][]byte, step int64) {
	x.t.Helper()
	s, warnings, err := x.folder.Load("")
	if err != nil || len(warnings) > 0 {
		x.t.Fatal(err, warnings)
	}
	for i, name := range []string{"model.safetensors", "ema.safetensors", "optimizer.safetensors"} {
		if files[i], err = os.ReadFile(filepath.Join(s.Path, name)); err != nil {
			x.t.Fatal(err)
		}
	}
	return files, s.State.Step
}

func sameFiles(a, b [3][]byte) bool {
	return slices.EqualFunc(a[:], b[:], func(p, q []byte) bool { return bytes.Equal(p, q) })
}

var inf = float32(math.Inf(1))

// A step with a bad value changes nothing, is replayed to find where that came from, and the state before it is saved: the same that
// a run which ends there has.
func TestNotFinite(t *testing.T) {
	b := processor(t, "", 2)
	good := newBench(t, 3)
	if err := good.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want, _ := good.weights()

	x := newBench(t, 10)
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 3 { // as a device that begins to fail would
			if err := model.Write(tr.Step.Memory, bufTables, 0, slices.Repeat([]float32{inf}, 100)); err != nil {
				t.Error(err)
			}
		}
	}
	err := x.train(t.Context(), b)
	var bad *NotFiniteError
	if !errors.As(err, &bad) || bad.Step != 4 || bad.First == nil || bad.First.Op != "mix" || bad.First.Label != "batch" || bad.First.Bad == 0 {
		t.Fatalf("%v, %+v", err, bad)
	}
	end := x.ended(&run.FaultNotFinite)
	for _, want := range []string{"step 4:", "of mix at batch", "stops at step 3", "lower learning rate"} {
		if !strings.Contains(end.Error, want) {
			t.Errorf("%q does not say %q", end.Error, want)
		}
	}
	if got, step := x.weights(); step != 3 || !sameFiles(got, want) {
		t.Errorf("the checkpoint of step %d is not what a run that ends at step 3 has", step)
	}
}

// Weights that are bad themselves are not saved.
func TestNotFiniteWeights(t *testing.T) {
	x := newBench(t, 10)
	x.config.CheckpointSteps = 2
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 3 {
			if err := model.Write(tr.Step.Memory, bufParams, 0, []float32{inf}); err != nil {
				t.Error(err)
			}
		}
	}
	err := x.train(t.Context(), processor(t, "", 1))
	if end := x.ended(&run.FaultNotFinite); !strings.Contains(end.Error, "earlier checkpoint") {
		t.Error(err)
	}
	if _, step := x.weights(); step != 2 {
		t.Errorf("a checkpoint of step %d", step)
	}
}

func TestFirstBadOfAGoodStep(t *testing.T) {
	s := newStep(t, processor(t, "", 1), smallConfig(), pictures(3), 3)
	if bad, err := s.FirstBad(); bad != nil || err != nil {
		t.Errorf("%+v, %v", bad, err)
	}
}

// A frail backend fails after some programs, or has little memory.
type frail struct {
	*cpu.Backend
	runs   int
	memory int64
}

func (f *frail) Info() backend.Info {
	i := f.Backend.Info()
	if f.memory != 0 {
		i.Memory = f.memory
	}
	return i
}

func (f *frail) Compile(p *backend.Program) (backend.Executable, error) {
	e, err := f.Backend.Compile(p)
	return &frailExecutable{e, f}, err
}

type frailExecutable struct {
	backend.Executable
	f *frail
}

func (e *frailExecutable) Run(ctx context.Context, times int) error {
	if e.f.runs--; e.f.runs < 0 {
		return fmt.Errorf("lost in space: %w", backend.ErrLost)
	}
	return e.Executable.Run(ctx, times)
}

// A device that is lost in a preview is a device that failed, too.
func TestDeviceLostInAPreview(t *testing.T) {
	x := newBench(t, 8)
	x.config.CheckpointSteps = 4
	err := x.train(t.Context(), &frail{Backend: processor(t, "", 1), runs: 8})
	if end := x.ended(&run.FaultDevice); !errors.Is(err, backend.ErrLost) || !strings.Contains(end.Error, "sampling step") || !strings.Contains(end.Error, "resume") {
		t.Error(err)
	}
	if _, step := x.weights(); step != 8 {
		t.Errorf("a checkpoint of step %d", step)
	}
}

// A device that fails ends the run; another one goes on from the last checkpoint, and the result is as if nothing had been.
func TestDeviceLost(t *testing.T) {
	good := newBench(t, 8)
	good.config.CheckpointSteps = 3
	b := processor(t, "", 1)
	if err := good.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want, _ := good.weights()

	x := newBench(t, 8)
	x.config.CheckpointSteps = 3
	err := x.train(t.Context(), &frail{Backend: b, runs: 5})
	if end := x.ended(&run.FaultDevice); !strings.Contains(end.Error, "step 6:") || !strings.Contains(end.Error, "lost in space") || !strings.Contains(end.Error, "resume") {
		t.Error(err)
	}
	if _, step := x.weights(); step != 3 {
		t.Errorf("a checkpoint of step %d", step)
	}
	if err := x.train(t.Context(), processor(t, "", 2)); err != nil {
		t.Fatal(err)
	}
	if got, step := x.weights(); step != 8 || !sameFiles(got, want) {
		t.Errorf("the checkpoint of step %d is not the unbroken run's", step)
	}
}

// A plan that does not fit is refused with a batch that does.
func TestNotEnoughMemory(t *testing.T) {
	b := processor(t, "", 1)
	c := smallConfig()
	c.Batch = 8
	fits, err := planStep(b, c, 7, dist.Alone)
	if err != nil {
		t.Fatal(err)
	}
	x := newBench(t, 8)
	x.config.Batch = 50
	err = x.train(t.Context(), &frail{Backend: b, memory: fits.Bytes})
	var no *model.NoMemoryError
	if !errors.As(err, &no) || no.Fits != 6 || no.FitsNeed > fits.Bytes || !strings.Contains(err.Error(), "--batch 6 would fit") {
		t.Errorf("%v, %+v", err, no)
	}
	x.ended(&run.FaultMemory)
	x.config.Batch = 1
	if err := x.train(t.Context(), &frail{Backend: b, memory: 1000}); !errors.As(err, &no) || !strings.Contains(err.Error(), "--size") {
		t.Error(err)
	}
}

// A step during which the machine slept hardly counts; a machine that became slower does.
func TestMeterRecovers(t *testing.T) {
	var m meter
	add := func(n int, d time.Duration) {
		for range n {
			m.add(d)
		}
	}
	add(100, 100*time.Millisecond)
	add(1, 10*time.Hour)
	if s := m.seconds(); s > 0.14 {
		t.Errorf("%v s a step after a night", s)
	}
	add(20, 100*time.Millisecond)
	if s := m.seconds(); s > 0.12 || s < 0.1 {
		t.Errorf("%v s a step in the morning", s)
	}
	add(80, time.Second)
	if s := m.seconds(); s < 0.9 || s > 1 {
		t.Errorf("%v s a step of a slower machine", s)
	}
	add(80, time.Millisecond)
	if s := m.seconds(); s > 0.02 {
		t.Errorf("%v s a step of a faster one", s)
	}
}

// A run goes on only with the images that it was started with, unless that is wanted.
func TestDataHash(t *testing.T) {
	x := newBench(t, 2)
	b := processor(t, "", 1)
	if err := x.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := x.folder.ReadConfig(x.config); err != nil || x.config.DataHash != "made up" {
		t.Fatalf("the configuration has the hash %q, %v", x.config.DataHash, err)
	}
	x.config.DataHash = "another"
	err := x.train(t.Context(), b)
	if x.ended(&run.FaultData); !errors.As(err, new(*DataChangedError)) {
		t.Error(err)
	}
}
