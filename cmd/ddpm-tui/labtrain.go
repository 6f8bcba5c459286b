package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/lab/experiment"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// stopPatience is how long a trainer may take to save what it has when the lab's screen is left.
const stopPatience = time.Minute

// trainElsewhere is how the lab's screen trains: by a trainer in a session of its own, as ddpm-tui train has, so that neither the end
// of the terminal nor that of the screen costs what it learnt. One that is at work already is followed.
func trainElsewhere(c *cobra.Command, pauses <-chan struct{}) func(ctx context.Context, folder *run.Folder, o train.Options) error {
	return func(ctx context.Context, folder *run.Folder, o train.Options) error {
		if _, running := folder.Locked(); !running {
			if err := new(job).spawn(c, folder); err != nil {
				return err
			}
		}
		following, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		src := attach(following, folder, socket.Take)
		done, late := ctx.Done(), (<-chan time.Time)(nil)
		for {
			select {
			case e, ok := <-src.events:
				if !ok {
					return src.result()
				}
				o.OnEvent(e)
			case f, ok := <-src.frames:
				if ok {
					o.OnFrame(f.Name, f.Step, f.Image, f.Rows, f.Cols, f.Caption)
				}
			case <-pauses:
				if err := src.Send(run.Pause); err != nil {
					return err
				}
			case <-done:
				if errors.Is(context.Cause(ctx), experiment.ErrLeave) {
					return nil
				}
				if err := src.Send(run.Stop); err != nil {
					return err
				}
				done, late = nil, time.After(stopPatience)
			case <-late:
				return errors.New("the trainer has not answered yet: it saves and ends, see ddpm-tui attach " + folder.Dir())
			}
		}
	}
}
