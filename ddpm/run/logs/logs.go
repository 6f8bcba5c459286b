// Package logs writes the event log of a run in forms that other tools read: TensorBoard's event files, CSV, and Prometheus' text.
package logs

import (
	"errors"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A Sink takes events in order.
type Sink interface {
	Write(run.Event) error
	Close() error
}

// Replay gives a sink the events of a run so far, without what was computed again after the run went back to a checkpoint.
func Replay(dir string, s Sink) error {
	var all []run.Event
	for at := int64(0); ; {
		events, next, err := run.ReadEvents(dir, at)
		all = append(all, events...)
		if err == nil {
			break
		}
		if !errors.As(err, new(*run.CorruptError)) || next <= at {
			return err
		}
		at = next
	}
	for _, e := range Last(all) {
		if err := s.Write(e); err != nil {
			return err
		}
	}
	return nil
}

// Last leaves out steps, previews and evaluations that came again later, when the run had gone back.
func Last(all []run.Event) []run.Event {
	keep := make([]bool, len(all))
	first := int64(1<<63 - 1) // the earliest step that something later begins at
	n := 0
	for i := len(all) - 1; i >= 0; i-- {
		e := all[i]
		repeats := e.Metrics != nil || e.Preview != nil || e.Eval != nil && e.Eval.Checkpoint == ""
		keep[i] = !repeats || e.Step <= first
		if e.Start != nil {
			first = min(first, e.Step)
		}
		if keep[i] {
			n++
		}
	}
	out := make([]run.Event, 0, n)
	for i, e := range all {
		if keep[i] {
			out = append(out, e)
		}
	}
	return out
}
