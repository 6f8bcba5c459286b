package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

func newEMA() *cobra.Command {
	c := &cobra.Command{
		Use: "ema RUN OUT", Short: "Put together an average of the weights of any length, afterwards", Args: args(2, 2),
		Long: `Put together an average of a run's weights with a relative width (sigma_rel) that was not chosen in advance, from the snapshots of
a run that was trained with --ema-lengths and --ema-snapshots (Karras et al. 2024). OUT is a new run folder with that average as
its weights: sample and eval take it.`,
		Example: `  ddpm-tui ema runs/mine runs/mine-0.075 --std 0.075
  ddpm-tui train --ema-lengths 0.05,0.10 --ema-snapshots 500 --run runs/mine
  ddpm-tui eval runs/mine-0.075 --metrics swd,frechet`,
	}
	std := c.Flags().Float64("std", 0.1, fmt.Sprintf("relative width: %g to %g", ddpm.MinEMAStd, ddpm.MaxEMAStd))
	step := c.Flags().Int64("step", 0, "the step whose average it is: one with a snapshot (0: the latest checkpoint)")
	c.RunE = func(c *cobra.Command, a []string) error {
		if !(*std >= ddpm.MinEMAStd && *std <= ddpm.MaxEMAStd) {
			return usageError{fmt.Errorf("--std %g: want %g to %g", *std, ddpm.MinEMAStd, ddpm.MaxEMAStd)}
		}
		folder, err := run.Open(a[0])
		if err != nil {
			return err
		}
		cfg := new(train.Config)
		if err := folder.ReadConfig(cfg); err != nil {
			return err
		}
		m, used, residual, err := train.Reconstruct(folder, *std, *step)
		if err != nil {
			return err
		}
		cfg.EMA.Lengths, cfg.EMA.SnapshotSteps = nil, 0
		out, err := run.Create(a[1], cfg)
		if err != nil {
			return err
		}
		lock, err := out.Lock()
		if err != nil {
			return err
		}
		if err := errors.Join(train.Import(out, cfg, m), lock.Unlock()); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: the average of width %g at step %d, of %d averages; %.2g of its profile could not be made\n", a[1], *std, m.Step, used, residual)
		return nil
	}
	return c
}
