package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// A bench is a run of the small network, with what its trainer said.
type bench struct {
	t      *testing.T
	config *Config
	folder *run.Folder
	events []run.Event
	lost   []run.Event
	on     func(*Trainer, run.Event) // called with every event
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

// train trains until the end, on a backend.
func (x *bench) train(ctx context.Context, b backend.Backend) error {
	x.t.Helper()
	var trainer *Trainer
	trainer, err := New(ctx, b, x.config, x.folder, Options{
		Set: &data.Set{Name: "made up", N: 7, Size: 8, Channels: 3, Pixels: pictures(7), Hash: "made up"},
		OnEvent: func(e run.Event) {
			x.events = append(x.events, e)
			if x.on != nil && trainer != nil {
				x.on(trainer, e)
			}
		},
		OnLost: func(e run.Event) { x.lost = append(x.lost, e) },
	})
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
		return errors.New("lost in space")
	}
	return e.Executable.Run(ctx, times)
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
	fits, err := planStep(b, c, 7)
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

// full makes the disk full for checkpoints until the function that it returns is called.
func full(t *testing.T) (room func()) {
	t.Helper()
	durable.Before = func(op, path string) error {
		if op == "write" && strings.Contains(path, "checkpoints") {
			return syscall.ENOSPC
		}
		return nil
	}
	room = func() { durable.Before = nil }
	t.Cleanup(room)
	return room
}

// quickRetries makes trying again quick.
func quickRetries(t *testing.T) {
	t.Helper()
	a, b, c, d := saveRetry, lastRetry, stopPatience, donePatience
	t.Cleanup(func() { saveRetry, lastRetry, stopPatience, donePatience = a, b, c, d })
	saveRetry, lastRetry = 0, time.Millisecond
}

// A full disk does not stop the training: it is said, tried again, and the checkpoint before stays.
func TestDiskFull(t *testing.T) {
	quickRetries(t)
	x := newBench(t, 8)
	x.config.CheckpointSteps = 2
	var room func()
	x.on = func(tr *Trainer, e run.Event) {
		switch {
		case e.Checkpoint != nil && e.Step == 2:
			room = full(t)
		case e.Metrics != nil && e.Step == 6:
			if s, _, err := x.folder.Load(""); err != nil || s.State.Step != 2 {
				t.Errorf("the checkpoint before: %+v, %v", s, err)
			}
			room()
		}
	}
	if err := x.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	var said []int64
	for _, e := range x.events {
		if e.Checkpoint == nil {
			continue
		}
		step := e.Step
		if e.Checkpoint.Error != "" {
			if step = -step; !strings.Contains(e.Checkpoint.Error, run.FaultDisk.Message) || !strings.Contains(e.Checkpoint.Error, "training goes on") {
				t.Error(e.Checkpoint.Error)
			}
		}
		said = append(said, step)
	}
	if !slices.Equal(said, []int64{2, -4, -5, 6, 8}) {
		t.Errorf("checkpoints at %v, want one at 2, none at 4 and 5, one at 6 and 8", said)
	}
}

// Without its last checkpoint a run does not end, unless that is asked for, and then not at once.
func TestDiskFullAtTheEnd(t *testing.T) {
	quickRetries(t)
	x := newBench(t, 2)
	donePatience = time.Hour
	room := full(t)
	failures := 0
	x.on = func(tr *Trainer, e run.Event) {
		if e.Checkpoint != nil && e.Checkpoint.Error != "" {
			if failures++; failures == 3 {
				room()
			}
		}
	}
	if err := x.train(t.Context(), processor(t, "", 1)); err != nil || failures != 3 {
		t.Errorf("%v after %d failures", err, failures)
	}
	if _, step := x.weights(); step != 2 {
		t.Errorf("step %d", step)
	}

	x = newBench(t, 100)
	full(t)
	stopPatience = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	x.on = func(_ *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 3 {
			cancel()
		}
	}
	err := x.train(ctx, processor(t, "", 1))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(x.ended(&run.FaultDisk).Error, "resume") {
		t.Error(err)
	}
}

// Events that the disk has no room for go to who listens.
func TestEventLogFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	x := newBench(t, 3)
	if err := os.Symlink("/dev/full", x.folder.Path("events.jsonl")); err != nil {
		t.Fatal(err)
	}
	_ = x.train(t.Context(), processor(t, "", 1)) // that the log cannot be closed well is an error
	steps, said := 0, 0
	for _, e := range x.lost {
		if e.Metrics != nil {
			steps++
		}
		if e.Log != nil && e.Log.Fault == run.FaultDisk.Name && strings.Contains(e.Log.Text, run.FaultDisk.Message) {
			said++
		}
	}
	if steps != 3 || said != 1 {
		t.Errorf("%d steps, said %d times", steps, said)
	}
	if _, step := x.weights(); step != 3 {
		t.Errorf("step %d", step)
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
