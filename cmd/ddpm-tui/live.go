package main

import (
	"errors"
	"fmt"
	"image"
	"sync/atomic"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// errEarly answers commands before the first step.
var errEarly = errors.New("the trainer is still starting: try again in a moment")

// listen opens the run's socket for viewers: their commands go to the trainer, once there is one, and its pictures to them. A run
// without a socket trains all the same.
func listen(folder *run.Folder, stop func(), o *train.Options) (trainer *atomic.Pointer[train.Trainer], closeSocket func()) {
	trainer = new(atomic.Pointer[train.Trainer])
	s, err := socket.Listen(folder, func(c run.Command) error {
		t := trainer.Load()
		switch {
		case c == run.Stop:
			stop()
			return nil
		case t == nil:
			return errEarly
		}
		return t.Do(c)
	})
	if err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			o.Notes = append(o.Notes, run.Log{Level: "warn", Text: fmt.Sprintf("viewers see the log only, commands need a socket: %v", err)})
		}
		return trainer, func() {}
	}
	o.OnLost = s.Tell
	here := o.OnFrame
	o.OnFrame = func(name string, step int64, m image.Image, rows, cols int, caption string) {
		s.Show(socket.Frame{Name: name, Step: step, Image: m, Rows: rows, Cols: cols, Caption: caption})
		if here != nil {
			here(name, step, m, rows, cols, caption)
		}
	}
	return trainer, func() { _ = s.Close() } // the run is over
}
