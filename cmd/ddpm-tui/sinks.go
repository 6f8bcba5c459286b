package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/logs"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// Where a run's files for other tools are, in its folder.
const (
	boardDir = "tensorboard"
	csvName  = "metrics.csv"
)

// sinks make what a trainer says also go to other tools' logs, after what the run's log has of before. Trouble with one of them is said
// once, and ends it, not the training.
func (j *job) sinks(cfg *train.Config, folder *run.Folder, o *train.Options) (closeAll func(), err error) {
	var list []logs.Sink
	closeAll = func() {
		for _, s := range list {
			_ = s.Close() // a lost line of it is no harm
		}
	}
	files := []struct {
		on   bool
		open func() (logs.Sink, error)
	}{
		{cfg.Logs.TensorBoard, func() (logs.Sink, error) { return logs.NewBoard(folder.Path(boardDir), folder.Dir()) }},
		{cfg.Logs.CSV, func() (logs.Sink, error) { return logs.NewCSV(folder.Path(csvName)) }},
		{j.address != "", func() (logs.Sink, error) {
			p, err := logs.Serve(j.address)
			if err != nil {
				return nil, usageError{fmt.Errorf("--metrics-addr: %w", err)}
			}
			fmt.Fprintf(os.Stderr, "metrics for Prometheus: http://%s/metrics\n", p.Address())
			return p, nil
		}},
	}
	for _, f := range files {
		if !f.on {
			continue
		}
		s, err := f.open()
		if err != nil {
			closeAll()
			return nil, err
		}
		list = append(list, s)
		if err := logs.Replay(folder.Dir(), s); err != nil {
			closeAll()
			return nil, err
		}
	}
	next := o.OnEvent
	o.OnEvent = func(e run.Event) {
		if next != nil {
			next(e)
		}
		for i, s := range list {
			if err := s.Write(e); err != nil {
				fmt.Fprintf(os.Stderr, "warning: a log for other tools cannot be written and ends here: %v\n", err)
				list = append(list[:i:i], list[i+1:]...)
				_ = s.Close() // it is broken already
				return
			}
		}
	}
	return closeAll, nil
}

func newLogs() *cobra.Command {
	c := &cobra.Command{
		Use: "logs RUN", Short: "Write a run's log for other tools: TensorBoard, CSV", Args: args(1, 1),
		Long: `Write a run's log for other tools. The same files are written while training with train --tensorboard and
train --csv; train --metrics-addr serves the numbers for Prometheus.`,
		Example: `  ddpm-tui logs runs/avatars32 --csv avatars32.csv
  ddpm-tui logs runs/avatars32 --tensorboard board/avatars32 && tensorboard --logdir board`,
	}
	board := c.Flags().String("tensorboard", "", "folder for an event file with scalars and image grids")
	table := c.Flags().String("csv", "", "file for a table of steps and evaluations")
	c.RunE = func(c *cobra.Command, a []string) error {
		if *board == "" && *table == "" {
			return usageError{errors.New("say what to write: --tensorboard DIR, --csv FILE, or both")}
		}
		folder, err := run.Open(a[0])
		if err != nil {
			return err
		}
		for _, f := range []struct {
			path string
			open func(string) (logs.Sink, error)
		}{{*board, func(p string) (logs.Sink, error) { return logs.NewBoard(p, folder.Dir()) }}, {*table, logs.NewCSV}} {
			if f.path == "" {
				continue
			}
			s, err := f.open(f.path)
			if err != nil {
				return err
			}
			if err := errors.Join(logs.Replay(folder.Dir(), s), s.Close()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "wrote", filepath.Clean(f.path))
		}
		return nil
	}
	return c
}
