package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

func newPresets() *cobra.Command {
	c := &cobra.Command{
		Use: "presets", Short: "Show the built-in configurations", Args: args(0, 0),
		Long: "Show the built-in configurations. With --json each is printed whole, as a file for train --config.",
		Example: `  ddpm-tui presets
  ddpm-tui presets --json | head -1 > my.json   # a start for a configuration of one's own`,
	}
	asJSON := c.Flags().Bool("json", false, "print each configuration as one JSON object a line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		out := c.OutOrStdout()
		if *asJSON {
			enc := json.NewEncoder(out)
			for _, p := range train.Presets() {
				if err := enc.Encode(p.Config); err != nil {
					return err
				}
			}
			return nil
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PRESET\tPIXELS\tCHANNELS\tPARAMETERS\tMACS/IMAGE\tT\tSCHEDULE\tLR\tWARM-UP\tBATCH\tEMA\tSTEPS")
		for _, p := range train.Presets() {
			c := p.Config
			fmt.Fprintf(w, "%s\t%dx%d\t%v\t%.2f M\t%.3f G\t%d\t%s\t%g\t%d\t%d\t%g\t%d\n", p.Name, c.UNet.SampleSize, c.UNet.SampleSize, c.UNet.BlockOutChannels,
				float64(nn.ParamCount(c.UNet))/1e6, float64(nn.MACs(c.UNet))/1e9, c.Schedule.T, c.Schedule.Kind, c.Optimizer.LR, c.Optimizer.Warmup, c.Batch, c.EMA.Decay, c.Steps)
		}
		w.Flush()
		fmt.Fprintln(out)
		for _, p := range train.Presets() {
			fmt.Fprintf(out, "%-10s %s\n", p.Name, p.About)
		}
		return nil
	}
	return c
}
