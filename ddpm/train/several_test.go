package train

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// recorder is a backend whose training step can be replayed several times at once, and whose tables go bad at a step.
type recorder struct {
	*cpu.Backend
	bad    int   // the step, 0 for none
	times  []int // steps at once
	done   int
	tables backend.Buffer
}

func (r *recorder) Compile(p *backend.Program) (backend.Executable, error) {
	e, err := r.Backend.Compile(p)
	if p.Name != "train" {
		return e, err
	}
	for _, s := range p.Buffers {
		if s.Name == bufTables {
			r.tables = s.Buffer
		}
	}
	return &recorded{Executable: e, of: r}, err
}

type recorded struct {
	backend.Executable
	of *recorder
}

func (e *recorded) Run(ctx context.Context, times int) error {
	e.of.times = append(e.of.times, 1)
	return e.step(ctx)
}

func (e *recorded) step(ctx context.Context) error {
	if e.of.done++; e.of.done == e.of.bad {
		bad := make([]float32, e.of.tables.Size()/4)
		for i := range bad {
			bad[i] = float32(math.Inf(1))
		}
		if err := e.of.tables.Write(0, model.BytesOf(bad)); err != nil {
			return err
		}
	} else if e.of.done == e.of.bad+1 && e.of.bad > 0 { // what is bad is so for one step only
		if err := e.of.tables.Write(0, make([]byte, e.of.tables.Size())); err != nil {
			return err
		}
	}
	return e.Executable.Run(ctx, 1)
}

func (e *recorded) RunRecorded(ctx context.Context, from backend.Buffer, p [][]byte) error {
	e.of.times = append(e.of.times, len(p))
	for _, p := range p {
		if err := errors.Join(e.step(ctx), from.Read(0, p)); err != nil {
			return err
		}
	}
	return nil
}

func (e *recorded) Inspect(look func(*backend.Step) error) error {
	return e.Executable.(backend.Inspector).Inspect(look)
}

// withTime lets steps be done at once however long they take.
func withTime(t *testing.T) {
	before := atOnce
	atOnce = time.Hour
	t.Cleanup(func() { atOnce = before })
}

// Several steps at once compute what they would one at a time, tell the same of each, and end where something is due: at a checkpoint, at
// a command, at the end.
func TestSeveral(t *testing.T) {
	withTime(t)
	lr := 3e-4
	at := int64(12) // the step of the command
	var losses [2][]run.Float
	var files [2][3][]byte
	r := &recorder{Backend: processor(t, "", 1)}
	for i, b := range []backend.Backend{r, r.Backend} {
		x := newBench(t, 40)
		x.config.CheckpointSteps, x.config.EMA.Lengths, x.config.EMA.SnapshotSteps = 15, []float64{0.1}, 18
		x.on = func(tr *Trainer, e run.Event) {
			if e.Metrics != nil && e.Step == at {
				if err := tr.Do(run.Command{Edit: &run.Edit{LR: &lr}}); err != nil {
					t.Error(err)
				}
			}
		}
		if err := x.train(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for _, e := range x.events {
			switch {
			case e.Metrics != nil:
				losses[i] = append(losses[i], e.Metrics.Loss, e.Metrics.GradNorm, e.Metrics.LR)
			case e.Checkpoint != nil && e.Step%15 != 0 && e.Step != 40:
				t.Errorf("a checkpoint at step %d", e.Step)
			case e.Edit != nil: // the same step for the other
				at = e.Step
			}
		}
		files[i], _ = x.weights()
	}
	if at != 15 {
		t.Errorf("an edit asked for at step 12 is made at step %d, want 15", at)
	}
	if len(losses[0]) != 3*40 || !sameFiles(files[0], files[1]) {
		t.Errorf("%d figures; or the weights differ", len(losses[0]))
	}
	for i := range losses[0] {
		if losses[0][i] != losses[1][i] {
			t.Fatalf("figure %d of step %d is %v, one at a time %v", i%3, i/3+1, losses[0][i], losses[1][i])
		}
	}
	done := 0
	for _, n := range r.times {
		if done < 15 && done+n > 15 || done < 18 && done+n > 18 || done < 30 && done+n > 30 {
			t.Errorf("%v steps at a time: something was due in between", r.times)
		}
		done += n
	}
	if done != 40 || len(r.times) > 12 {
		t.Errorf("%v steps at a time", r.times)
	}
}

// A step with a bad value stops the run at the state before it, although steps after it were under way; they change nothing even if
// nothing is bad with them.
func TestSeveralNotFinite(t *testing.T) {
	withTime(t)
	b := processor(t, "", 1)
	good := newBench(t, 8)
	if err := good.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want, _ := good.weights()
	x := newBench(t, 40)
	r := &recorder{Backend: b, bad: 9}
	err := x.train(t.Context(), r)
	var bad *NotFiniteError
	if !errors.As(err, &bad) || bad.Step != 9 {
		t.Fatalf("%v, %+v", err, bad)
	}
	if end := x.ended(&run.FaultNotFinite); !strings.Contains(end.Error, "stops at step 8") {
		t.Error(end.Error)
	}
	if got, step := x.weights(); step != 8 || !sameFiles(got, want) {
		t.Errorf("the checkpoint of step %d is not what a run that ends at step 8 has", step)
	}
	if r.done < 12 {
		t.Errorf("%v steps at a time: none after the bad one were under way", r.times)
	}
}
