package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// How long it takes to try again after a checkpoint could not be written; variables for tests.
var (
	saveRetry    = 30 * time.Second // while training
	lastRetry    = 5 * time.Second  // the last one
	stopPatience = time.Minute      // until the last one is given up, if the end was asked for
	donePatience = time.Hour        // and if all steps are done
)

// defaultKeep is how many checkpoints stay.
const defaultKeep = 3

// saving is when checkpoints were written and when the next one is due.
type saving struct {
	saved  int64     // step of the last checkpoint, -1 before the first
	saveAt time.Time // of the next one, where time decides
	failed bool      // the last one could not be written; the next is due at saveAt
}

// saveDue reports whether it is time for a checkpoint.
func (t *Trainer) saveDue() bool {
	c := t.Config
	switch {
	case t.saved == t.Step.Done:
		return false
	case t.failed:
		return time.Now().After(t.saveAt)
	case c.CheckpointSteps > 0:
		return t.Step.Done%c.CheckpointSteps == 0
	}
	return c.CheckpointSeconds > 0 && time.Now().After(t.saveAt)
}

// checkpoint writes one. The event says how it went; retry is what it says of a failure.
func (t *Trainer) checkpoint(retry string) error {
	defer t.pauseClock()
	s, err := t.snapshot()
	if err != nil {
		return err
	}
	keep := t.Config.CheckpointKeep
	if keep == 0 {
		keep = defaultKeep
	}
	c, err := t.folder.Save(s, keep)
	if err != nil {
		c.Error = "make room, or make the folder writable: " + c.Error + "; the one before it is whole" + retry
	}
	t.emit(run.Event{Kind: run.KindCheckpoint, Checkpoint: &c})
	t.failed = err != nil
	t.saveAt = time.Now().Add(seconds(t.Config.CheckpointSeconds))
	if t.failed {
		t.saveAt = time.Now().Add(saveRetry)
		return err
	}
	t.saved = t.Step.Done
	return nil
}

// saveAndSay writes a checkpoint while training. That it failed is an event, and the training goes on.
func (t *Trainer) saveAndSay() {
	before := t.state
	t.setState("checkpointing")
	_ = t.checkpoint(fmt.Sprintf("; training goes on and tries again in %v", saveRetry)) // the event says it
	t.setState(before)
}

// saveLast writes the last checkpoint, without which the end would cost work: it tries for some time.
func (t *Trainer) saveLast(ctx context.Context, done bool) error {
	if t.saved == t.Step.Done {
		return nil
	}
	t.setState("checkpointing")
	patience := stopPatience
	if done && ctx.Err() == nil {
		patience = donePatience
	}
	giveUp := time.Now().Add(patience)
	asked := ctx.Done()
	if ctx.Err() != nil {
		asked = nil
	}
	for {
		err := t.checkpoint(fmt.Sprintf("; trying again every %v, until %s", lastRetry, giveUp.Format(time.TimeOnly)))
		if err == nil {
			return nil
		}
		if time.Now().After(giveUp) {
			return &run.DiskError{Err: err}
		}
		select {
		case <-time.After(lastRetry):
		case <-asked:
			giveUp, asked = time.Now().Add(stopPatience), nil
		case c := <-t.commands:
			if c == run.Stop {
				giveUp = time.Now()
			}
		}
	}
}

// saveGood writes a checkpoint of the state before a step with a bad value, unless the weights themselves are bad.
func (t *Trainer) saveGood(bad error) error {
	st, err := t.Step.Snapshot()
	if err != nil {
		return bad
	}
	for _, v := range [][]float32{st.Params, st.EMA, st.M, st.V} {
		for _, x := range v {
			if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("%w; the weights are not finite either: go on from an earlier checkpoint", bad)
			}
		}
	}
	if t.saved != t.Step.Done {
		if err := t.checkpoint(""); err != nil {
			return fmt.Errorf("%w; %w", bad, err)
		}
	}
	return bad
}
