package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
)

func newStop() *cobra.Command {
	c := &cobra.Command{
		Use: "stop RUN", Short: "Save a checkpoint of a run and stop it", Args: args(1, 1),
		Long: `Save a checkpoint of a run and stop it: ask the process that trains it, and wait until it has ended. Ctrl-C stops the waiting, not the
saving.

With --kill the process is ended at once; what came after its last checkpoint is lost.`,
		Example: `  ddpm-tui stop runs/avatars32`,
	}
	kill := c.Flags().Bool("kill", false, "end the trainer at once, without saving")
	c.RunE = func(c *cobra.Command, a []string) error {
		folder, err := run.Open(a[0])
		if err != nil {
			return err
		}
		if _, running := folder.Locked(); !running {
			return fmt.Errorf("%s is not being trained", folder.Dir())
		}
		if *kill {
			err = folder.Signal(os.Kill)
		} else {
			err = askToStop(c, folder)
		}
		if err != nil {
			return err
		}
		return waitForEnd(c, folder)
	}
	return c
}

// askToStop asks through the socket, or, of a trainer without one, with a signal.
func askToStop(c *cobra.Command, folder *run.Folder) error {
	client, err := socket.Dial(c.Context(), folder, socket.Take, "ddpm-tui stop", socket.Handlers{})
	if errors.Is(err, socket.ErrNoTrainer) {
		return folder.Signal(syscall.SIGTERM)
	}
	if err != nil {
		return fmt.Errorf("%w; --kill ends it without saving", err)
	}
	defer func() { _ = client.Close() }() // the trainer closes it too
	if err := client.Send(run.Stop); err != nil && !errors.Is(err, socket.ErrGone) {
		return fmt.Errorf("%w; --kill ends it without saving", err)
	}
	return nil
}

// waitForEnd waits until nobody trains the run, and says where it ended.
func waitForEnd(c *cobra.Command, folder *run.Folder) error {
	for {
		if _, running := folder.Locked(); !running {
			i := folder.Info()
			fmt.Fprintf(c.OutOrStdout(), "%s: %s at step %d of %d\n", folder.Dir(), i.State, i.Step, i.Steps)
			if i.State == run.Failed {
				return errors.New(i.Problem)
			}
			return nil
		}
		select {
		case <-c.Context().Done():
			return fmt.Errorf("%s was asked to stop, and has not ended yet", folder.Dir())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
