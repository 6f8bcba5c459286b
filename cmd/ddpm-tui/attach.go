package main

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

func newAttach() *cobra.Command {
	var watch, take, headless, asJSON bool
	c := &cobra.Command{
		Use: "attach RUN", Short: "Watch a run that trains elsewhere, and control it", Args: args(1, 1),
		Long: `Watch a run that is being trained by another process, or has ended: its whole history, and what happens. One screen at a time
has control; others watch. Leaving the screen leaves the run training.

It works from the run's folder alone, so also on another machine that shares the disk; commands and live pictures need the machine
that trains.`,
		Example: `  ddpm-tui attach runs/avatars32
  ddpm-tui attach runs/avatars32 --take   # from a screen that was left open elsewhere
  ssh -t host ddpm-tui attach runs/avatars32`,
	}
	fl := c.Flags()
	addWindowFlag(fl)
	fl.BoolVar(&watch, "watch", false, "only watch")
	fl.BoolVar(&take, "take", false, "take control, also if another screen has it")
	fl.BoolVar(&headless, "headless", false, "no screen: print plain lines, from the start of the run")
	fl.BoolVar(&asJSON, "json", false, "no screen: one JSON object a step, from the start of the run")
	c.RunE = func(c *cobra.Command, a []string) error {
		role := socket.Control
		switch {
		case watch && take:
			return usageError{errors.New("--watch and --take exclude each other")}
		case take:
			role = socket.Take
		case watch || headless || asJSON:
			role = socket.Watch
		}
		if err := screen(c, "").CheckImages(); err != nil {
			return usageError{err}
		}
		folder, err := run.Open(a[0])
		if err != nil {
			return err
		}
		if flag, _ := c.Flags().GetBool("plain"); !headless && !asJSON && (flag || onTerminal() && plain(c)) {
			return tellAttached(c, folder, role)
		}
		if headless || asJSON || !onTerminal() {
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			out := &guarded{c.OutOrStdout(), cancel}
			show := plainEvents(out, c.ErrOrStderr(), 0)
			if asJSON {
				show = jsonEvents(out, c.ErrOrStderr())
			}
			src := attach(ctx, folder, role)
			for e := range src.events {
				show(e)
			}
			return src.result()
		}
		return showAttached(c, folder, role)
	}
	return c
}

// showAttached shows a run that another process trains, until the person leaves, and says how to come back.
func showAttached(c *cobra.Command, folder *run.Folder, role socket.Role) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context())) // the screen leaves with the command's context, and then this ends
	defer cancel()
	if plain(c) {
		return tellAttached(c, folder, role)
	}
	debug.SetGCPercent(300) // little lives long here: a few MiB more, and the processor has less to do
	defer calmAfter(settled)()
	src := attach(ctx, folder, role)
	defer openWindow(c, folder)()
	err := tui.RunTraining(c.Context(), src, runScreen(c, folder))
	if err != nil && !errors.Is(err, tui.ErrLeft) {
		return err
	}
	if _, ok := folder.Locked(); ok && err != nil && !src.ending() {
		trainingGoesOn(c, folder)
		return nil
	}
	return src.result()
}

// ending reports whether the trainer has said how the run ended.
func (a *attached) ending() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.end != nil
}

// result is how the run ended, as far as is known.
func (a *attached) result() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.end != nil && a.end.Reason == run.Failed {
		return &run.EndError{End: a.end}
	}
	return nil
}
