package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An Edit changes what may change while a run trains. What is nil stays as it is.
//
// An edit takes effect between two steps and is an event with its step, written before it takes effect. A run that goes back to an
// earlier checkpoint meets its edits again at the same steps, and so computes the same.
type Edit struct {
	LR             *float64 `json:"lr,omitempty"`              // optimizer.lr, which warm-up and schedule scale
	EMADecay       *float64 `json:"ema_decay,omitempty"`       // ema.decay
	PreviewSeconds *float64 `json:"preview_seconds,omitempty"` // preview.seconds, 0 for no previews

	// Again marks the event of an edit that was met again after a resume: it is in the log already, at the same step.
	Again bool `json:"again,omitempty"`
}

// fields are the values that an edit can hold, with their names for people.
func (e *Edit) fields() []editField {
	return []editField{{"learning rate", &e.LR}, {"EMA decay", &e.EMADecay}, {"seconds between previews", &e.PreviewSeconds}}
}

type editField struct {
	name  string
	value **float64
}

// Empty reports whether the edit changes nothing.
func (e *Edit) Empty() bool {
	for _, f := range e.fields() {
		if *f.value != nil {
			return false
		}
	}
	return true
}

// String says what an edit sets.
func (e *Edit) String() string {
	var parts []string
	for _, f := range e.fields() {
		if *f.value != nil {
			parts = append(parts, fmt.Sprintf("%s %v", f.name, **f.value))
		}
	}
	return strings.Join(parts, ", ")
}

// without returns the edit less what o sets.
func (e Edit) without(o Edit) Edit {
	other := o.fields()
	for i, f := range e.fields() {
		if *other[i].value != nil {
			*f.value = nil
		}
	}
	return e
}

// An EditAt is an edit between step Step and the one after it.
type EditAt struct {
	Step int64
	Edit
}

// Edits are those that hold for a run, in the order of their steps.
type Edits []EditAt

// Add adds an edit made at a step. What was set at later steps, in a future that the run has given up by going back, no longer
// counts where the new edit sets it anew.
func (list Edits) Add(step int64, e Edit) Edits {
	e.Again = false
	var kept Edits
	for _, old := range list {
		if old.Step > step {
			old.Edit = old.Edit.without(e)
		}
		if !old.Empty() {
			kept = append(kept, old)
		}
	}
	at := len(kept)
	for at > 0 && kept[at-1].Step > step {
		at--
	}
	kept = append(kept, EditAt{})
	copy(kept[at+1:], kept[at:])
	kept[at] = EditAt{step, e}
	return kept
}

// ReadEdits reads the edits of a run from its log. Lines that are no events are passed over, as wherever the log is only looked at.
func (f *Folder) ReadEdits() (Edits, error) {
	s, err := scan(f.dir, 0)
	if err != nil || s == nil {
		return nil, err
	}
	defer func() { _ = s.file.Close() }() // it was only read
	mark := []byte(`"kind":"` + KindEdit + `"`)
	var list Edits
	for {
		line, length, err := s.line()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if length > maxLine || !bytes.Contains(line, mark) { // most lines are steps: they are not parsed
			continue
		}
		if e, err := parseEvent(line); err == nil && e.Edit != nil && !e.Edit.Again {
			list = list.Add(e.Step, *e.Edit)
		}
	}
}
