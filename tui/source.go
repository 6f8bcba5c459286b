package tui

import (
	"image"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A Source is a training run as the screen sees it. The trainer is behind it, in this process or another.
type Source interface {
	// Events are the run's events: its history first, then what happens; closed when the trainer has ended.
	Events() <-chan run.Event
	// Frames are pictures as they are made; nil if there are none.
	Frames() <-chan Frame
	// Send asks the trainer for something.
	Send(run.Command) error
}

// The names of frames that the training screen shows.
const (
	Samples    = "samples"    // a grid of samples
	Trajectory = "trajectory" // one sample from noise to image, one row
)

// A Frame is a picture from the trainer: tiles of equal size, edge to edge, without gaps.
type Frame struct {
	Name       string
	Step       int64
	Image      image.Image
	Rows, Cols int // of tiles; 0 is one picture
	Caption    string
}

// The time between two looks at a channel, however fast things happen. Keys are answered at once; numbers that change faster than one
// can read them cost processor time here and bytes on the line.
const (
	redraw  = time.Second / 4
	numbers = time.Second           // where there is nothing but the numbers of steps
	shortly = 30 * time.Millisecond // with what belongs together

	backlog = 256 // numbers that come at once: there are more, and they are no news
)

// batchMsg is what a channel brought since the last look.
type batchMsg[T any] struct {
	items  []T
	closed bool
}

// gather waits for the first item of a channel, and for the end of a redraw since it was called, and takes along what comes until then.
func gather[T any](ch <-chan T) tea.Cmd {
	return gatherFor(ch, redraw, nil, func(T) bool { return false })
}

// gatherEvents is gather for events: what is no number is shown at once, and numbers with the picture that now tells of.
func gatherEvents(ch <-chan run.Event, now <-chan struct{}) tea.Cmd {
	n := 0
	return gatherFor(ch, numbers, now, func(e run.Event) bool {
		n++
		return e.Metrics == nil || n == backlog
	})
}

func gatherFor[T any](ch <-chan T, most time.Duration, now <-chan struct{}, urgent func(T) bool) tea.Cmd {
	next := time.Now().Add(most)
	return func() tea.Msg {
		var m batchMsg[T]
		var end <-chan time.Time
		hurried := false
		take := func(v T, ok bool) bool {
			if !ok {
				m.closed = true
				return false
			}
			m.items = append(m.items, v)
			switch {
			case !hurried && urgent(v):
				hurried, end = true, time.After(shortly)
			case end == nil:
				end = time.After(max(shortly, time.Until(next)))
			}
			return true
		}
		v, ok := <-ch
		if !take(v, ok) {
			return m
		}
		for {
			select {
			case v, ok := <-ch:
				if !take(v, ok) {
					return m
				}
			case <-end:
				return m
			case <-now:
				return m
			}
		}
	}
}
