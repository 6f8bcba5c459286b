package train

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// evalBench is a run that evaluates itself every other step and holds three of its seven images out.
func evalBench(t *testing.T, steps int64) *bench {
	t.Helper()
	x := newBench(t, steps)
	x.config.Holdout, x.config.Eval = 3, &Eval{Steps: 2, Samples: 4}
	return x
}

// evals are the held-out losses by step; what was said twice must be the same.
func (x *bench) evals() map[int64]float64 {
	x.t.Helper()
	all := map[int64]float64{}
	for _, e := range x.events {
		if e.Eval == nil || e.Eval.Metric != "loss" {
			continue
		}
		if v, ok := all[e.Step]; ok && v != float64(e.Eval.Value) {
			x.t.Errorf("step %d: held-out loss %v, then %v", e.Step, v, e.Eval.Value)
		}
		all[e.Step] = float64(e.Eval.Value)
	}
	return all
}

// Evaluations come when they are due, say how much they rest on, and change nothing of what is computed.
func TestEvaluationsWhileTraining(t *testing.T) {
	b := processor(t, "", 2)
	plain := newBench(t, 4)
	plain.config.Holdout = 3
	if err := plain.train(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	x := evalBench(t, 4)
	if err := x.train(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if len(x.evals()) != 2 {
		t.Errorf("held-out losses %v", x.evals())
	}
	swd := 0
	for _, e := range x.events {
		if r := e.Eval; r != nil {
			if want := map[string]int{"loss": 3, "swd": 4}[r.Metric]; r.N != want || !(r.Err > 0) {
				t.Errorf("%+v, want %d images", r, want)
			}
			if r.Metric == "swd" {
				swd++
			}
		}
	}
	if swd != 2 {
		t.Errorf("%d distances", swd)
	}
	files, _ := x.weights()
	want, _ := plain.weights()
	for i := range files {
		if string(files[i]) != string(want[i]) {
			t.Errorf("file %d of the checkpoint differs from that of a run without evaluations", i)
		}
	}
}

// A run whose held-out loss does not get better ends early, keeps the best checkpoint, and does the same when it was interrupted.
func TestEarlyStopping(t *testing.T) {
	b := processor(t, "", 2)
	start := func() *bench {
		x := evalBench(t, 60)
		x.config.Eval.Patience, x.config.Optimizer.LR, x.config.Optimizer.Warmup = 2, 0.3, 0 // far too fast: it gets worse soon
		return x
	}
	x := start()
	if err := x.train(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	end := x.events[len(x.events)-1]
	losses := x.evals()
	best, at := math.Inf(1), int64(0)
	for step, v := range losses {
		if v < best || v == best && step < at {
			best, at = v, step
		}
	}
	if end.End == nil || end.End.Reason != run.Stopped || end.Step != at+4 || end.Step >= 60 {
		t.Fatalf("it ended with %+v at step %d; held-out losses %v", end.End, end.Step, losses)
	}
	kept, _ := filepath.Glob(x.folder.Path("checkpoints", "best-*"))
	if len(kept) != 1 {
		t.Fatalf("kept as the best: %v", kept)
	}
	if m, _, err := model.Load(kept[0], false); err != nil || m.Step != at {
		t.Errorf("the best checkpoint is of step %+v, want %d (%v)", m, at, err)
	}
	again := start()
	again.on = func(tr *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == at+3 {
			if err := tr.Do(run.Stop); err != nil {
				t.Error(err)
			}
		}
	}
	if err := again.train(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	again.on = nil
	if err := again.train(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if last := again.events[len(again.events)-1]; last.Step != end.Step {
		t.Errorf("interrupted, it ended at step %d instead of %d", last.Step, end.Step)
	}
	files, _ := again.weights()
	want, _ := x.weights()
	for i := range files {
		if string(files[i]) != string(want[i]) {
			t.Errorf("interrupted, file %d of the checkpoint is another", i)
		}
	}
}

// The average of a third width, put together from snapshots of two others, is the one that a run which kept it has; and a run with
// further averages resumes from its files.
func TestReconstruct(t *testing.T) {
	b := processor(t, "", 2)
	x := newBench(t, 60)
	x.config.EMA.Lengths, x.config.EMA.SnapshotSteps = []float64{0.05, 0.15, 0.1}, 5
	if err := x.folder.WriteConfig(x.config); err != nil {
		t.Fatal(err)
	}
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 33 {
			if err := tr.Do(run.Stop); err != nil {
				t.Error(err)
			}
		}
	}
	for range 2 {
		if err := x.train(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		x.on = nil
	}
	m, _, err := model.Load(x.folder.Dir(), false)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readAverage(m.Params, filepath.Join(m.Path, "optimizer.safetensors"), tensorAverage+"2")
	if err != nil {
		t.Fatal(err)
	}
	x.config.EMA.Lengths = []float64{0.05, 0.15} // the third is left out of what it is put together from
	if err := x.folder.WriteConfig(x.config); err != nil {
		t.Fatal(err)
	}
	got, used, residual, err := Reconstruct(x.folder, 0.1, 0)
	if err != nil || got.Step != 60 || used != 24 {
		t.Fatalf("step %d of %d averages: %v", got.Step, used, err)
	}
	var off, moved float64
	raw, _, err := model.Load(x.folder.Dir(), true)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range want {
		off += math.Pow(float64(v-got.Weights[i]), 2)
		moved += math.Pow(float64(v-raw.Weights[i]), 2)
	}
	if !(off < 0.01*moved) || residual > 1e-2 {
		t.Errorf("off by %g, where the raw weights are off by %g; residual %g", math.Sqrt(off), math.Sqrt(moved), residual)
	}
	if _, _, _, err := Reconstruct(x.folder, 0.1, 7); err == nil || !strings.Contains(err.Error(), "no snapshot of step 7") {
		t.Errorf("of a step without a snapshot: %v", err)
	}
	if got := ddpm.EMAGamma(0.1); math.Abs(got-6.94) > 0.005 {
		t.Error(got)
	}
}

func TestBeside(t *testing.T) {
	got := beside([]float32{1, 2, 3, 4}, []float32{5, 6, 7, 8}, 2)
	if want := []float32{1, 2, 5, 6, 3, 4, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
