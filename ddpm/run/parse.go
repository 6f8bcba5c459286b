package run

import (
	"encoding/json"
	"errors"
	"fmt"
)

// The kinds of events.
const (
	KindStart      = "start"
	KindStep       = "step"
	KindPreview    = "preview"
	KindCheckpoint = "checkpoint"
	KindEdit       = "edit"
	KindReading    = "reading"
	KindTimings    = "timings"
	KindState      = "state"
	KindLog        = "log"
	KindEval       = "eval"
	KindLossScale  = "loss_scale"
	KindEnd        = "end"
)

// payload returns the kind of the pointer that is set, and how many are.
func (e *Event) payload() (kind string, n int) {
	for _, p := range []struct {
		kind string
		set  bool
	}{
		{KindStart, e.Start != nil},
		{KindStep, e.Metrics != nil},
		{KindPreview, e.Preview != nil},
		{KindCheckpoint, e.Checkpoint != nil},
		{KindEdit, e.Edit != nil},
		{KindReading, e.Reading != nil},
		{KindTimings, e.Timings != nil},
		{KindState, e.State != nil},
		{KindLog, e.Log != nil},
		{KindEval, e.Eval != nil},
		{KindLossScale, e.LossScale != nil},
		{KindEnd, e.End != nil},
	} {
		if p.set {
			kind = p.kind
			n++
		}
	}
	return kind, n
}

// check holds an event to what Event promises, so that a screen need not. A
// kind that is not known may carry what it likes: it is for a later program.
func (e *Event) check() error {
	kind, n := e.payload()
	switch e.Kind {
	case KindStart, KindStep, KindPreview, KindCheckpoint, KindEdit, KindReading, KindTimings, KindState, KindLog, KindEval, KindLossScale, KindEnd:
		if n != 1 || kind != e.Kind {
			return fmt.Errorf("an event of kind %q does not carry what it should", e.Kind)
		}
	case "":
		return errors.New(`"kind" is missing`)
	default:
		if n != 0 {
			return fmt.Errorf("kind is %.40q, but the event carries a %s", e.Kind, kind)
		}
	}
	return nil
}

// parseEvent decodes one line. A newer version is a *NewerError that lacks its
// What.
func parseEvent(line []byte) (Event, error) {
	var e Event
	err := json.Unmarshal(line, &e)
	if err != nil {
		// A later version may have other types in the same places.
		var head struct {
			V int `json:"v"`
		}
		if json.Unmarshal(line, &head) == nil && head.V > EventVersion {
			return Event{}, &NewerError{Version: head.V, Known: EventVersion}
		}
		return Event{}, err
	}
	switch {
	case e.V > EventVersion:
		return Event{}, &NewerError{Version: e.V, Known: EventVersion}
	case e.V < 1:
		return Event{}, errors.New(`"v" is missing`)
	}
	return e, e.check()
}
