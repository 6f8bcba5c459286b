package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// checkBackend refuses flags that name no backend.
func checkBackend(name string, threads int) error {
	switch {
	case name != "auto" && name != "cpu":
		return fmt.Errorf("--backend %q is unknown, want auto or cpu", name)
	case threads < 0 || threads > 4096:
		return fmt.Errorf("--threads %d: want 0 (one a processor) to 4096", threads)
	}
	return nil
}

// openBackend opens the backend that --backend names. This build has the processor; auto takes it.
func openBackend(name string, threads int, exact bool) (backend.Backend, error) {
	if err := checkBackend(name, threads); err != nil {
		return nil, usageError{err}
	}
	return cpu.New(cpu.Options{Threads: threads, Exact: exact})
}

func backendFlag(c *cobra.Command) *string {
	return c.Flags().String("backend", "auto", "what computes: auto or cpu")
}

func exactFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("exact", false, "direct convolutions instead of Winograd's: slower, with a third of the rounding error")
}

func newDevices() *cobra.Command {
	c := &cobra.Command{
		Use: "devices", Short: "Show what this machine can compute on", Args: args(0, 0),
		Long: "Show what this machine can compute on. --check compares every operation with its reference.",
	}
	check := c.Flags().Bool("check", false, "run the conformance suite: every operation against its float64 reference")
	asJSON := c.Flags().Bool("json", false, "print one JSON object a device")
	exact := exactFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		b, err := openBackend("cpu", 0, *exact)
		if err != nil {
			return err
		}
		defer b.Close()
		i, out := b.Info(), c.OutOrStdout()
		var levels []string
		for _, l := range simd.Supported() {
			levels = append(levels, l.String())
		}
		peak := simd.PeakFlops(b.(*cpu.Backend).Level(), 0.05) * float64(i.Threads) / 1e9
		if *asJSON {
			facts := map[string]any{
				"backend": i.Backend, "device": i.Device, "isa": i.ISA, "isas": levels, "threads": i.Threads, "memory": i.Memory, "formats": i.Formats, "peak_gflops": peak,
			}
			var wrong error
			if *check {
				results := checkAll(c.Context(), b)
				wrong = conformance.Err(results)
				facts["checks"], facts["right"] = len(results), wrong == nil
			}
			return errors.Join(json.NewEncoder(out).Encode(facts), wrong)
		}
		fmt.Fprintf(out, "cpu   %s\n", i.Device)
		fmt.Fprintf(out, "      instruction set  %s (of %s; %s=NAME lowers it)\n", i.ISA, strings.Join(levels, ", "), simd.LevelEnv)
		fmt.Fprintf(out, "      threads          %d\n", i.Threads)
		fmt.Fprintf(out, "      memory free      %s\n", model.Bytes(i.Memory))
		fmt.Fprintf(out, "      precisions       %s\n", strings.Join(i.Formats, ", "))
		fmt.Fprintf(out, "      peak             about %.0f GFLOP/s, as measured on one thread just now times the threads\n", peak)
		if !*check {
			return nil
		}
		return checkDevice(c.Context(), c, b)
	}
	return c
}

func checkAll(ctx context.Context, b backend.Backend) []conformance.Result {
	return append(conformance.Check(ctx, b, ""), conformance.Memory(b)...)
}

func checkDevice(ctx context.Context, c *cobra.Command, b backend.Backend) error {
	out := c.OutOrStdout()
	fmt.Fprintln(out)
	start := time.Now()
	results := checkAll(ctx, b)
	if err := conformance.Print(out, results); err != nil {
		return err
	}
	if conformance.Err(results) != nil {
		return errors.New("this device computes wrong results: see the table; do not trust what it trains")
	}
	fmt.Fprintf(out, "\nall right, in %.1f s\n", time.Since(start).Seconds())
	return nil
}
