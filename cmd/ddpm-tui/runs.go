package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// runLine is what runs --json prints for a run.
type runLine struct {
	Name    string     `json:"name"`
	Dir     string     `json:"dir"`
	State   string     `json:"state"`
	Doing   string     `json:"doing,omitempty"`
	PID     int        `json:"pid,omitempty"`
	Preset  string     `json:"preset"`
	Data    string     `json:"data"`
	Images  int        `json:"images"`
	Step    int64      `json:"step"`
	Steps   int64      `json:"steps"`
	LossEMA run.Float  `json:"loss_ema"`
	Updated *time.Time `json:"updated,omitempty"`
	Problem string     `json:"problem,omitempty"`
}

func newRuns() *cobra.Command {
	c := &cobra.Command{
		Use: "runs [FOLDER]", Short: "List the runs, and what each is doing", Args: args(0, 1),
		Long: "List the runs in ./runs, or in FOLDER, the last one touched first.",
		Example: `  ddpm-tui runs
  ddpm-tui runs --json | jq -r 'select(.state == "interrupted") | .dir'`,
	}
	asJSON := c.Flags().Bool("json", false, "print one JSON object a run")
	c.RunE = func(c *cobra.Command, a []string) error {
		root := runsDir
		if len(a) > 0 {
			root = a[0]
		}
		list, out := run.List(root), c.OutOrStdout()
		if *asJSON {
			enc := json.NewEncoder(out)
			for _, i := range list {
				l := runLine{i.Name, i.Dir, i.State, i.Doing, i.PID, i.Preset, i.Data, i.Images, i.Step, i.Steps, run.Float(i.LossEMA), nil, i.Problem}
				if !i.Updated.IsZero() {
					l.Updated = &i.Updated
				}
				if err := enc.Encode(l); err != nil {
					return err
				}
			}
			return nil
		}
		if len(list) == 0 {
			fmt.Fprintf(out, "there are no runs in %s: ddpm-tui train makes one\n", root)
			return nil
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "RUN\tSTATE\tSTEP\tLOSS\tPRESET\tIMAGES\tLAST EVENT")
		for _, i := range list {
			fmt.Fprintf(w, "%s\t%s\t%d/%d\t%.4f\t%s\t%d\t%s\n", data.Escape(i.Dir), state(i), i.Step, i.Steps, i.LossEMA, data.Escape(i.Preset), i.Images, since(i.Updated))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for _, i := range list {
			if i.Problem != "" {
				fmt.Fprintf(out, "%s: %s\n", data.Escape(i.Dir), strings.ReplaceAll(i.Problem, "\n", "; "))
			}
		}
		return nil
	}
	return c
}

// state is a run's state in words.
func state(i run.Info) string {
	s := i.State
	if i.Doing != "" && i.Doing != i.State {
		s += ", " + data.Escape(i.Doing)
	}
	if i.PID != 0 {
		s += fmt.Sprintf(" (process %d)", i.PID)
	}
	return s
}

// since is how long ago a time is, for people. A clock that was set back makes it now.
func since(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := max(0, time.Since(t))
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return t.Local().Format(time.DateOnly)
}
