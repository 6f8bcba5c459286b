package train

import (
	"errors"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// edited is a copy of the configuration with what an edit sets.
func (c Config) edited(e run.Edit) *Config {
	for _, f := range []struct {
		to   *float64
		from *float64
	}{{&c.Optimizer.LR, e.LR}, {&c.EMA.Decay, e.EMADecay}, {&c.Preview.Seconds, e.PreviewSeconds}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return &c
}

// CheckEdit reports what is wrong with an edit of a run of this configuration.
func (c *Config) CheckEdit(e run.Edit) error {
	if e.Empty() {
		return errors.New("the edit changes nothing")
	}
	return c.edited(e).Validate()
}

// editing is what a trainer knows of edits.
type editing struct {
	base  Config    // the configuration without edits, to check others against
	ahead run.Edits // those of steps to come, from before the run went back
}

// restoreEdits applies the edits that were made up to the step that the run goes on from, and keeps the later ones for their steps.
func (t *Trainer) restoreEdits() error {
	list, err := t.folder.ReadEdits()
	if err != nil {
		return fmt.Errorf("the edits in the event log: %w", err)
	}
	for len(list) > 0 && list[0].Step <= t.Step.Done {
		*t.Config = *t.Config.edited(list[0].Edit)
		list = list[1:]
	}
	t.ahead = list
	if err := t.Config.Validate(); err != nil {
		return fmt.Errorf("the edits in the event log: %w", err)
	}
	return t.Step.setHyper()
}

// editsDue applies the edits of this step that the run has met before.
func (t *Trainer) editsDue() error {
	for len(t.ahead) > 0 && t.ahead[0].Step <= t.Step.Done {
		e := t.ahead[0].Edit
		t.ahead = t.ahead[1:]
		e.Again = true
		if err := t.apply(e); err != nil {
			return err
		}
		t.emit(run.Event{Kind: run.KindEdit, Edit: &e})
	}
	return nil
}

// edit makes a new edit. It is logged, and the log forced to the disk, before it takes effect: a resume that did not know of it would
// compute something else. So with a full disk there are no edits.
func (t *Trainer) edit(e run.Edit) error {
	e.Again = false
	if err := t.record(run.Event{Kind: run.KindEdit, Edit: &e}); err != nil {
		t.logFault(&run.FaultDisk, "error", "make room, or make the folder writable: %s was not changed, for the event log cannot be written: %v", e.String(), err)
		return nil
	}
	t.ahead = t.ahead.Add(t.Step.Done, e)
	for len(t.ahead) > 0 && t.ahead[0].Step <= t.Step.Done {
		t.ahead = t.ahead[1:]
	}
	return t.apply(e)
}

// apply makes the configuration, here and on the device, what an edit says.
func (t *Trainer) apply(e run.Edit) error {
	*t.Config = *t.Config.edited(e)
	if e.PreviewSeconds != nil {
		t.previewSoon()
	}
	if err := t.Step.setHyper(); err != nil {
		return &DeviceError{Step: t.Step.Done + 1, Device: t.device(), Err: err}
	}
	return nil
}
