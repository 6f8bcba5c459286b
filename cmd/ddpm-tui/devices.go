package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/backend/vulkan"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

func exactFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("exact", false, "direct convolutions instead of Winograd's: slower, with a third of the rounding error")
}

func newDevices() *cobra.Command {
	c := &cobra.Command{
		Use: "devices", Short: "Show what this machine can compute on", Args: args(0, 0),
		Long: `Show what this machine can compute on: the CPU, and every device that has a Vulkan driver. --check compares every operation with its
float64 reference on each of them, or on those that --backend or --device name: a driver that computes wrong images is found out
before it costs a night.`,
		Example: `  ddpm-tui devices
  ddpm-tui devices --check --device 0
  ddpm-tui devices --check --backend cpu`,
	}
	f := c.Flags()
	check := f.Bool("check", false, "run the conformance suite: every operation against its float64 reference")
	asJSON := f.Bool("json", false, "print one JSON object a device")
	which := f.String("backend", "auto", "which: auto (all), cpu or vulkan")
	device := f.String("device", "", "one Vulkan device: its number or a part of its name")
	exact := exactFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := (&compute{backend: *which, device: *device}).check(); err != nil {
			return usageError{err}
		}
		out, wrong := c.OutOrStdout(), error(nil)
		if *which != "vulkan" && *device == "" {
			wrong = showCPU(c.Context(), out, *exact, *check, *asJSON)
		}
		if *which == "cpu" {
			return wrong
		}
		list, err := vulkan.Devices()
		if *device != "" && err == nil {
			if list, err = vulkan.Find(list, *device); err != nil {
				return usageError{err}
			}
		}
		switch {
		case err != nil && (*which == "vulkan" || *device != ""):
			return err
		case err != nil && !*asJSON:
			fmt.Fprintf(out, "\n%v\n", err)
		}
		for _, d := range list {
			wrong = errors.Join(wrong, showVulkan(c.Context(), out, d, *check, *asJSON))
		}
		return wrong
	}
	return c
}

func showCPU(ctx context.Context, out io.Writer, exact, check, asJSON bool) error {
	c, err := cpu.New(cpu.Options{Exact: exact})
	if err != nil {
		return err
	}
	defer c.Close()
	i := c.Info()
	var levels []string
	for _, l := range simd.Supported() {
		levels = append(levels, l.String())
	}
	peak := simd.PeakFlops(c.Level(), 0.05) * float64(i.Threads) / 1e9
	if asJSON {
		return encodeDevice(ctx, out, c, check, map[string]any{
			"backend": i.Backend, "device": i.Device, "isa": i.ISA, "isas": levels, "threads": i.Threads, "memory": i.Memory, "formats": i.Formats, "peak_gflops": peak,
		})
	}
	fmt.Fprintf(out, "cpu   %s\n", i.Device)
	fmt.Fprintf(out, "      instruction set  %s (of %s; %s=NAME lowers it)\n", i.ISA, strings.Join(levels, ", "), simd.LevelEnv)
	fmt.Fprintf(out, "      threads          %d\n", i.Threads)
	fmt.Fprintf(out, "      memory free      %s\n", model.Bytes(i.Memory))
	fmt.Fprintf(out, "      precisions       %s\n", strings.Join(i.Formats, ", "))
	fmt.Fprintf(out, "      peak             about %.0f GFLOP/s, as measured on one thread just now times the threads\n", peak)
	if !check {
		return nil
	}
	return checkDevice(ctx, out, c)
}

func showVulkan(ctx context.Context, out io.Writer, d vulkan.DeviceInfo, check, asJSON bool) error {
	open := func() (backend.Backend, error) { return vulkan.Open(vulkan.Options{Device: fmt.Sprint(d.Index)}) }
	if asJSON {
		facts := map[string]any{
			"backend": "vulkan", "index": d.Index, "device": d.Name, "kind": d.Kind, "driver": d.Driver, "isa": "Vulkan " + d.API, "memory": d.Free,
			"memory_total": d.Memory, "formats": d.Formats, "limits": d.Limits, "matrices": d.Matrices,
		}
		if d.Usable != "" {
			facts["unusable"] = d.Usable
		}
		if !check || d.Usable != "" {
			return json.NewEncoder(out).Encode(facts)
		}
		b, err := open()
		if err != nil {
			return err
		}
		defer b.Close()
		return encodeDevice(ctx, out, b, check, facts)
	}
	fmt.Fprintf(out, "\nvulkan %d  %s (%s)\n", d.Index, d.Name, d.Kind)
	fmt.Fprintf(out, "      driver           %s, Vulkan %s\n", d.Driver, d.API)
	if d.Usable != "" {
		fmt.Fprintf(out, "      cannot be used   %s\n", d.Usable)
		return nil
	}
	fmt.Fprintf(out, "      memory           %s free of %s\n", model.Bytes(d.Free), model.Bytes(d.Memory))
	fmt.Fprintf(out, "      precisions       %s\n", strings.Join(d.Formats, ", "))
	if len(d.Limits.Matrices) > 0 {
		fmt.Fprintf(out, "      matrices         %s\n", strings.Join(d.Limits.Matrices, ", "))
		fmt.Fprintf(out, "                       %s\n", d.Matrices)
	}
	fmt.Fprintf(out, "      limits           %s an allocation, %s a buffer in a shader, %s shared memory, %d invocations a group, subgroups of %d\n",
		model.Bytes(d.Limits.Allocation), model.Bytes(d.Limits.Binding), model.Bytes(int64(d.Limits.Shared)), d.Limits.Invocations, d.Limits.Subgroup)
	if !check {
		return nil
	}
	b, err := open()
	if err != nil {
		return err
	}
	defer b.Close()
	return checkDevice(ctx, out, b)
}

// encodeDevice prints what is known of a device, and of its check if that is asked for.
func encodeDevice(ctx context.Context, out io.Writer, b backend.Backend, check bool, facts map[string]any) error {
	var wrong error
	if check {
		results := checkAll(ctx, b)
		wrong = conformance.Err(results)
		facts["checks"], facts["right"] = len(results), wrong == nil
	}
	return errors.Join(json.NewEncoder(out).Encode(facts), wrong)
}

// precisions are those that a check goes through: fp32, and what else the device has kernels for.
func precisions(b backend.Backend) []backend.Precision {
	if _, ok := b.(backend.Rounder); ok {
		return b.Info().Precisions
	}
	return []backend.Precision{backend.FP32}
}

func checkAll(ctx context.Context, b backend.Backend) (results []conformance.Result) {
	for _, p := range precisions(b) {
		results = append(results, checkIn(ctx, b, p)...)
	}
	return results
}

func checkIn(ctx context.Context, b backend.Backend, p backend.Precision) []conformance.Result {
	return append(conformance.CheckIn(ctx, b, p, ""), conformance.MemoryIn(b, p)...)
}

func checkDevice(ctx context.Context, out io.Writer, b backend.Backend) error {
	start := time.Now()
	if n, ok := b.(backend.Noter); ok {
		for _, text := range n.Notes() {
			fmt.Fprintf(out, "      note             %s\n", text)
		}
	}
	wrong := false
	for _, p := range precisions(b) {
		if fmt.Fprintln(out); p != backend.FP32 {
			fmt.Fprintf(out, "in %s\n", p)
		}
		results := checkIn(ctx, b, p)
		if err := conformance.Print(out, results); err != nil {
			return err
		}
		wrong = wrong || conformance.Err(results) != nil
	}
	if wrong {
		return fmt.Errorf("%s computes wrong results: see the table; do not trust what it trains", b.Info().Device)
	}
	fmt.Fprintf(out, "\nall right, in %.1f s\n", time.Since(start).Seconds())
	return nil
}
