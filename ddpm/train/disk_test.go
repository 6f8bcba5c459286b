package train

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

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
