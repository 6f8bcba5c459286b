package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
)

// editFlags are the flags of what can change while a run trains.
type editFlags struct {
	lr, ema float64
	preview string
	edit    run.Edit // what was given
}

func (f *editFlags) flags(fl *pflag.FlagSet) {
	fl.Float64Var(&f.lr, "lr", 0, "learning rate from here on")
	fl.Float64Var(&f.ema, "ema-decay", 0, "decay of the average of the weights from here on")
	fl.StringVar(&f.preview, "preview-every", "", "time between previews: 5m, 90s, 0 for none")
}

// read takes what was given; a command without these flags has given none.
func (f *editFlags) read(c *cobra.Command) error {
	given := c.Flags().Changed
	if given("lr") {
		f.edit.LR = &f.lr
	}
	if given("ema-decay") {
		f.edit.EMADecay = &f.ema
	}
	if given("preview-every") {
		d, err := time.ParseDuration(f.preview)
		if n, numErr := strconv.ParseFloat(f.preview, 64); numErr == nil { // seconds
			d, err = time.Duration(n*float64(time.Second)), nil
		}
		if err != nil || d < 0 {
			return fmt.Errorf("--preview-every %q: want a time such as 5m or 90s, or 0 for no previews", f.preview)
		}
		s := d.Seconds()
		f.edit.PreviewSeconds = &s
	}
	return nil
}

func newEdit() *cobra.Command {
	var f editFlags
	c := &cobra.Command{
		Use: "edit RUN", Short: "Change learning rate, average or previews of a run while it trains", Args: args(1, 1),
		Long: `Change learning rate, the decay of the average, or the time between previews of a run while it trains. The change takes effect
between two steps and is written to the run's log with its step, so that a run that is resumed from before it changes at the same step
again, and its result stays the same.

A run that is not being trained is changed as it goes on: ddpm-tui resume has the same flags.`,
		Example: `  ddpm-tui edit runs/avatars32 --lr 5e-4
  ddpm-tui edit runs/avatars32 --ema-decay 0.9995 --preview-every 5m`,
	}
	f.flags(c.Flags())
	c.RunE = func(c *cobra.Command, a []string) error {
		if err := f.read(c); err != nil {
			return usageError{err}
		}
		if f.edit.Empty() {
			return usageError{errors.New("nothing to change: give --lr, --ema-decay or --preview-every")}
		}
		folder, err := run.Open(a[0])
		if err != nil {
			return err
		}
		client, err := socket.Dial(c.Context(), folder, socket.Take, "ddpm-tui edit", socket.Handlers{})
		if errors.Is(err, socket.ErrNoTrainer) {
			if pid, running := folder.Locked(); running {
				return fmt.Errorf("process %d trains %s, but listens to nobody here", pid, folder.Dir())
			}
			return fmt.Errorf("%s is not being trained: ddpm-tui resume %s takes the same flags", folder.Dir(), folder.Dir())
		}
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }() // it was only asked
		if err := client.Send(run.Change(f.edit)); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: %s, from the next step on\n", folder.Dir(), &f.edit)
		return nil
	}
	return c
}
