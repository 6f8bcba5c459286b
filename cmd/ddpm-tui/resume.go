package main

import (
	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

func newResume() *cobra.Command {
	var j job
	c := &cobra.Command{
		Use: "resume RUN", Short: "Go on with a run from its latest checkpoint", Args: args(1, 1),
		Long: `Go on with a run from its latest checkpoint; a damaged one is named, and the one before it is used. On the same processor the
result is that of a run that was never interrupted, bit for bit, whatever the number of threads.

--steps is the new total. --lr, --ema-decay and --preview-every change these from here on, as ddpm-tui edit does while a run trains.
What else the run's numbers depend on stays as it was.`,
		Example: `  ddpm-tui resume runs/avatars32
  ddpm-tui resume runs/avatars32 --steps 20000
  ddpm-tui resume runs/avatars32 --lr 5e-4   # after a loss that was not a number, for instance`,
	}
	j.flags(c.Flags())
	j.edit.flags(c.Flags())
	c.Flags().BoolVar(&j.isDetached, detachedFlag, false, "train for the screen that started this")
	_ = c.Flags().MarkHidden(detachedFlag) // it is there
	c.RunE = func(c *cobra.Command, a []string) error {
		return j.ranks.together(c, func() error {
			err := j.check(c)
			if err != nil {
				err = usageError{err}
			}
			if err := dist.Agree(j.ranks, err); err != nil {
				return err
			}
			return j.resume(c, a[0])
		})
	}
	return c
}

// resume goes on with the run in dir, which only rank 0 needs to see.
func (j *job) resume(c *cobra.Command, dir string) error {
	if err := j.ranks.same(map[string]any{"--steps": j.steps, "--keep": j.keep, "--checkpoint-every": j.every, "edit": j.edit.edit}); err != nil {
		return err
	}
	var folder *run.Folder
	var err error
	if j.ranks.Rank() == 0 {
		folder, err = run.Open(dir)
	}
	if err := dist.Agree(j.ranks, err); err != nil {
		return err
	}
	return j.start(c, folder)
}
