package train

import (
	"context"
	"errors"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Run trains until the configured number of steps, a stop command or ctx, then saves a checkpoint. It returns nil for all
// three; the end event says which it was.
func (t *Trainer) Run(ctx context.Context) error {
	err := t.loop(ctx)
	done := t.Step.Done >= t.Config.Steps
	if err == nil && !done {
		err = t.team.begin(t.Step, wordStop)
	}
	switch {
	case err == nil:
		err = t.saveLast(ctx, done)
	case errors.As(err, new(*NotFiniteError)), errors.As(err, new(*OverflowError)):
		err = t.saveGood(err)
	}
	if errors.Is(err, backend.ErrLost) && run.FaultOf(err) == nil { // in a preview, say
		err = &DeviceError{Step: t.Step.Done, Device: t.device(), Err: err}
	}
	reason := run.Stopped
	switch {
	case err != nil:
		reason = run.Failed
	case done:
		reason = run.Done
	}
	t.end(reason, err, t.lossEMA)
	return errors.Join(err, t.log.Close(), t.Step.Close())
}

// errStop ends the loop as asked.
var errStop = errors.New("stop")

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (t *Trainer) loop(ctx context.Context) error {
	t.saveAt = time.Now().Add(seconds(t.Config.CheckpointSeconds))
	t.previewAt = time.Now().Add(min(seconds(t.Config.Preview.Seconds)/4, 15*time.Second)) // the first one soon
	for t.Step.Done < t.Config.Steps {
		if err := t.obey(ctx); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := t.editsDue(); err != nil {
			return err
		}
		t.setState("running")
		timed := t.timeStep()
		start := t.beginStep()
		if err := t.team.begin(t.Step, wordStep); err != nil {
			return err
		}
		n, next, err := t.run(context.WithoutCancel(ctx), timed)
		if run.FaultOf(err) != nil { // another rank's
			return err
		}
		if err != nil {
			return &DeviceError{Step: t.Step.Done + 1, Device: t.device(), Err: err}
		}
		took := t.endStep(start)
		t.waited /= time.Duration(n)
		var r *Result
		for range n {
			r = next()
			if r.Bad() && !t.Config.scaled() {
				return t.notFinite(r)
			}
			t.report(r, took/time.Duration(n))
			if t.Config.scaled() {
				if err := t.scaled(r); err != nil {
					return err
				}
			}
		}
		if timed {
			t.reportTimings()
		}
		if r.Stop {
			return nil
		}
		if t.o.Trace != "" && t.Step.Done == traceStep && t.team.Size() > 1 {
			if err := t.writeTrace(); err != nil {
				t.logf("warn", "the trace of step %d could not be written: %v", traceStep, err)
			}
		}
		t.keepAverages()
		if t.saveDue() {
			t.saveAndSay()
		}
		if t.evalDue() {
			enough, err := t.evaluate(ctx)
			if err != nil && ctx.Err() != nil {
				return nil
			}
			if err != nil || enough {
				return err
			}
		}
		if t.Config.Preview.Seconds > 0 && time.Now().After(t.previewAt) {
			if err := t.preview(ctx, false); err != nil {
				return err
			}
			t.previewSoon()
		}
	}
	return t.preview(ctx, false)
}

// writeTrace writes where this rank's time went in the last step.
func (t *Trainer) writeTrace() error {
	p, err := t.Step.Work.trace()
	if err != nil {
		return err
	}
	return run.WriteFile(t.o.Trace, p, 0o644)
}

// previewSoon sets the time of the next preview.
func (t *Trainer) previewSoon() { t.previewAt = time.Now().Add(seconds(t.Config.Preview.Seconds)) }

// obey does what was asked for, and waits while paused.
func (t *Trainer) obey(ctx context.Context) error {
	for {
		var c run.Command
		if t.paused {
			t.setState("paused")
			select {
			case c = <-t.commands:
			case <-ctx.Done():
				return nil
			}
		} else {
			select {
			case c = <-t.commands:
			default:
				return nil
			}
		}
		switch {
		case c == run.Pause:
			t.paused = !t.paused
			t.rate.reset()
		case c == run.SampleNow || c == run.SampleBoth:
			if err := t.preview(ctx, c == run.SampleBoth); err != nil {
				return err
			}
		case c == run.SaveCheckpoint:
			t.saveAndSay()
		case c == run.Stop:
			t.setState("stopping")
			return errStop
		case c.Edit != nil:
			if err := t.edit(*c.Edit); err != nil {
				return err
			}
		}
	}
}
