package main

import (
	"context"
	"errors"
	"image"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

// source feeds a trainer of this process to the screen.
type source struct {
	events chan run.Event
	frames chan tui.Frame
	send   func(run.Command) error
}

func (s *source) Events() <-chan run.Event { return s.events }
func (s *source) Frames() <-chan tui.Frame { return s.frames }
func (s *source) Send(c run.Command) error { return s.send(c) }

// watch trains with the screen in the same process.
func (j *job) watch(c *cobra.Command, folder *run.Folder) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	s := &source{events: make(chan run.Event, 4096), frames: make(chan tui.Frame, 4)}
	var trainer atomic.Pointer[train.Trainer]
	s.send = func(c run.Command) error {
		t := trainer.Load()
		switch {
		case c == run.Stop:
			cancel()
			return nil
		case t == nil:
			return errEarly
		}
		return t.Do(c)
	}
	ended := false // the trainer has said how
	o := train.Options{
		OnEvent: func(e run.Event) {
			ended = ended || e.End != nil
			s.events <- e
		},
		OnFrame: func(name string, step int64, m image.Image, rows, cols int, caption string) {
			select {
			case s.frames <- tui.Frame{Name: name, Step: step, Image: m, Rows: rows, Cols: cols, Caption: caption}:
			default: // the screen is behind
			}
		},
	}
	done := make(chan error, 1)
	go func() {
		defer close(s.frames)
		defer close(s.events)
		history, _, err := run.ReadEvents(folder.Dir(), 0) // of a run that goes on
		for _, e := range history {
			s.events <- e
		}
		if err != nil {
			s.events <- run.Event{V: run.EventVersion, Kind: run.KindLog, Time: time.Now(), Log: &run.Log{Level: "warn", Text: "the history is not shown whole: " + err.Error()}}
		}
		if !canDetach {
			s.events <- run.Event{V: run.EventVersion, Kind: run.KindLog, Time: time.Now(), Log: &run.Log{Level: "warn", Text: "this system cannot train in the background: the run ends, after a checkpoint, with this screen"}}
		}
		err = j.run(ctx, folder, o, nil, trainer.Store)
		if err != nil && !ended {
			s.events <- run.Event{V: run.EventVersion, Kind: run.KindEnd, Time: time.Now(), End: &run.End{Reason: run.Failed, Error: err.Error()}}
		}
		done <- err
	}()
	defer openWindow(c, folder)()
	err := tui.RunTraining(c.Context(), s, runScreen(c, folder))
	cancel()
	go func() { // the trainer may still have something to say
		for range s.events {
		}
	}()
	return errors.Join(err, <-done)
}

// nextSteps are the commands to go on with when a run has ended.
func nextSteps(folder *run.Folder) []string {
	return []string{"ddpm-tui sample " + folder.Dir(), "ddpm-tui resume " + folder.Dir() + " --steps N   to go on"}
}
