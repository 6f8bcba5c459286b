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

// redraw is the time between two looks at a channel: at most 4 a second, however fast things happen. Keys are answered at once; numbers
// that change faster than one can read them cost processor time here and bytes on the line.
const redraw = time.Second / 4

// batchMsg is what a channel brought since the last look.
type batchMsg[T any] struct {
	items  []T
	closed bool
}

// gather waits for the first item of a channel, then takes along what comes within one redraw.
func gather[T any](ch <-chan T) tea.Cmd {
	return func() tea.Msg {
		var m batchMsg[T]
		take := func(v T, ok bool) bool {
			if !ok {
				m.closed = true
				return false
			}
			m.items = append(m.items, v)
			return true
		}
		v, ok := <-ch
		if !take(v, ok) {
			return m
		}
		end := time.After(redraw)
		for {
			select {
			case v, ok := <-ch:
				if !take(v, ok) {
					return m
				}
			case <-end:
				return m
			}
		}
	}
}
