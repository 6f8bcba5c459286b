package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Eval is what the trainer finds out about its model between two steps: the loss on held-out images, and the sliced Wasserstein
// distance of a few samples. It changes nothing of what the run computes, but for Patience.
type Eval struct {
	Steps   int64 `json:"steps"`             // between two evaluations
	Images  int   `json:"images,omitempty"`  // held-out images for the loss, 0 for 64
	Samples int   `json:"samples,omitempty"` // for the distance, 0 for 64
	// Patience ends the run after so many evaluations without a lower held-out loss; 0 is never.
	Patience int `json:"patience,omitempty"`
}

// The defaults of Eval.
const (
	evalImages  = 64
	evalSamples = 64
	// DefaultHoldout is what a run with evaluations holds out unless told otherwise.
	DefaultHoldout = 128
)

// stopping is how the held-out loss has gone, for early stopping.
type stopping struct {
	best  float64
	at    int64 // the step of the best
	since int   // evaluations after it
}

// see takes a new value.
func (s *stopping) see(step int64, loss float64) {
	if s.at == 0 || loss < s.best {
		*s = stopping{loss, step, 0}
		return
	}
	s.since++
}

// evalDue reports whether an evaluation follows the step that was just done.
func (t *Trainer) evalDue() bool {
	e := t.Config.Eval
	return e != nil && t.Step.Done%e.Steps == 0
}

// evaluate evaluates the averaged weights, and reports whether the run should end early.
func (t *Trainer) evaluate(ctx context.Context) (enough bool, err error) {
	before := t.state
	t.setState("evaluating")
	defer t.setState(before)
	e, s := t.Config.Eval, t.Step
	net := metrics.Network{Forward: s.Preview, Schedule: s.Schedule, Prediction: t.Config.Prediction}
	or := func(v, other int) int {
		if v > 0 {
			return v
		}
		return other
	}
	if held := metrics.Spread(t.held, or(e.Images, evalImages)); held.N > 1 {
		start := time.Now()
		by, err := net.Loss(ctx, held, metrics.Buckets, metrics.Buckets, t.Config.Seed, nil)
		if err != nil {
			return false, err
		}
		t.sayEval(start, metrics.LossEval(by, "held-out images"))
		t.stopping.see(s.Done, by.Total.Value)
	}
	start := time.Now()
	n := min(or(e.Samples, evalSamples), t.training.N)
	x, err := s.Preview.Sample(ctx, s.Schedule, model.Request{Sampler: t.Config.Preview.Sampler, Options: t.sampler(), N: n, Seed: t.Config.Seed})
	if err != nil {
		return false, err
	}
	perS := float64(n) / time.Since(start).Seconds()
	levels, total, err := metrics.SlicedWasserstein(ctx, &metrics.Work{}, metrics.Spread(t.training, n), metrics.FromFloats(x, n, s.Preview.Size, s.Preview.In), t.Config.Seed)
	if err != nil {
		return false, err
	}
	r := metrics.SWDEval(levels, total, s.Preview.Size)
	r.Sampler, r.SamplingSteps, r.ImagesPerS = t.Config.Preview.Sampler, t.Config.Preview.Steps, run.Float(perS)
	t.sayEval(start, r)
	if e.Patience > 0 && t.stopping.since >= e.Patience {
		t.logf("info", "stopping early: the held-out loss was lowest at step %d (%.4f), and %d evaluations since were not better", t.stopping.at, t.stopping.best, t.stopping.since)
		return true, nil
	}
	if e.Patience > 0 && t.stopping.at == s.Done {
		t.keepBest()
	}
	return false, nil
}

func (t *Trainer) sayEval(start time.Time, r run.Eval) {
	r.Seconds = run.Float(time.Since(start).Seconds())
	t.emit(run.Event{Kind: run.KindEval, Eval: &r})
}

// keepBest writes the checkpoint with the lowest held-out loss, which early stopping is for.
func (t *Trainer) keepBest() {
	s, err := t.snapshot()
	if err == nil {
		err = t.folder.SaveBest(s)
	}
	if err != nil {
		t.logFault(&run.FaultDisk, "warn", "the best checkpoint so far was not kept: %v", err)
	}
}

// restoreStopping takes from the event log how the held-out loss went up to the step that the run goes on from. Of a step that was
// evaluated twice, because the run went back, the values are the same.
func (t *Trainer) restoreStopping() error {
	t.stopping = stopping{}
	if t.Config.Eval == nil || t.Config.Eval.Patience == 0 {
		return nil
	}
	var last int64
	for at := int64(0); ; {
		events, next, err := run.ReadEvents(t.folder.Dir(), at)
		for _, e := range events {
			if r := e.Eval; r != nil && r.Metric == metrics.Loss && r.Checkpoint == "" && e.Step > last && e.Step <= t.Step.Done && !math.IsNaN(float64(r.Value)) {
				last = e.Step
				t.stopping.see(e.Step, float64(r.Value))
			}
		}
		if err == nil {
			return nil
		}
		if next <= at {
			return fmt.Errorf("the held-out losses in the event log: %w", err)
		}
		at = next // behind a line that is no event
	}
}
