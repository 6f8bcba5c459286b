package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// scalingFlags are the flags of scaling, a tool for docs/distributed.md and for whoever plans a cluster.
type scalingFlags struct {
	ranks
	params, imagesPerS, fixed float64
	batch, each               int
	svg                       string
	measure                   bool
}

// networks are what the model is drawn for: figures of the order that their makers give, latency through MPI.
var networks = []dist.Network{
	{Name: "10 GbE", Latency: 40e-6, Bandwidth: 1.1e9}, {Name: "25 GbE", Latency: 30e-6, Bandwidth: 2.8e9},
	{Name: "100 Gb/s", Latency: 5e-6, Bandwidth: 11e9}, {Name: "400 Gb/s", Latency: 3e-6, Bandwidth: 45e9},
}

func newScaling() *cobra.Command {
	var f scalingFlags
	c := &cobra.Command{
		Use: "scaling", Short: "What a training step costs on many devices, by a model", Args: args(0, 0), Hidden: true,
		Long: `What a training step costs on 1 to 1,024 devices: see docs/distributed.md for the model. Under mpirun --measure times all-reduces
between the ranks and fits the network's latency and bandwidth.`,
		Example: `  ddpm-tui scaling --params 57.9e6 --images-per-s 150 --batch 256 --svg scaling.svg
  mpirun -n 2 ddpm-tui scaling --measure`,
	}
	fl := c.Flags()
	fl.Float64Var(&f.params, "params", 57.9e6, "parameters")
	fl.Float64Var(&f.imagesPerS, "images-per-s", 150, "images a second of one device")
	fl.Float64Var(&f.fixed, "fixed", 2e-3, "seconds of each step on each device that do not depend on the images")
	fl.IntVar(&f.batch, "batch", 256, "images of a whole batch")
	fl.IntVar(&f.each, "batch-each", 16, "images a device, where the batch grows with the devices")
	fl.StringVar(&f.svg, "svg", "", "also draw it")
	fl.BoolVar(&f.measure, "measure", false, "time all-reduces between the ranks instead")
	f.flags(fl)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.measure {
			return f.together(c, func() error { return f.time(c.OutOrStdout()) })
		}
		if !(f.params > 0 && f.imagesPerS > 0 && f.fixed >= 0) || f.batch < 1 || f.each < 1 {
			return usageError{fmt.Errorf("--params, --images-per-s, --batch and --batch-each want more than 0")}
		}
		if err := f.table(c.OutOrStdout()); err != nil || f.svg == "" {
			return err
		}
		return run.WriteFile(f.svg, f.draw(), 0o644)
	}
	return c
}

func (f *scalingFlags) job(n dist.Network, a dist.Algorithm, overlap bool) dist.Job {
	return dist.Job{Gradients: 4 * f.params, Buckets: 14, PerImage: 1 / f.imagesPerS, Fixed: f.fixed, AllReduce: a, Network: n, WithOverlap: overlap}
}

// ends is the largest power of two of devices on which a batch is still computed at least half as well as on one.
func ends(j dist.Job, batch int) int {
	last := 1
	for p := 2; p <= 1024 && p <= batch; p *= 2 {
		if j.Efficiency(p, batch, false) < 0.5 {
			break
		}
		last = p
	}
	return last
}

// table prints step time, waiting and efficiency for some numbers of devices, and where scaling ends.
func (f *scalingFlags) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%.1f M parameters (%.0f MB of gradients), %.4g images/s a device\n", f.params/1e6, 4*f.params/1e6, f.imagesPerS)
	fmt.Fprintf(w, "network\tdevices\tall-reduce ring, halving, tree, ms\tbatch %d: step, ms\twaiting\tefficiency\twithout overlap\tbatch %d each: efficiency\n", f.batch, f.each)
	for _, n := range networks {
		j := f.job(n, dist.Ring, true)
		for _, p := range []int{2, 8, 64, 1024} {
			best := j
			if dist.Halving(n, p, j.Gradients/float64(j.Buckets)) < dist.Ring(n, p, j.Gradients/float64(j.Buckets)) {
				best.AllReduce = dist.Halving
			}
			late := best
			late.WithOverlap = false
			each := fmt.Sprintf("%.0f%%", 100*best.Efficiency(p, f.each, true))
			sums := fmt.Sprintf("%.1f, %.1f, %.1f", 1e3*dist.Ring(n, p, j.Gradients), 1e3*dist.Halving(n, p, j.Gradients), 1e3*dist.Tree(n, p, j.Gradients))
			if p > f.batch {
				fmt.Fprintf(w, "%s\t%d\t%s\t–\t–\t–\t–\t%s\n", n.Name, p, sums, each)
				continue
			}
			step, waiting := best.Step(p, f.batch)
			fmt.Fprintf(w, "%s\t%d\t%s\t%.1f\t%.0f%%\t%.0f%%\t%.0f%%\t%s\n", n.Name, p, sums, 1e3*step, 100*waiting/step, 100*best.Efficiency(p, f.batch, false), 100*late.Efficiency(p, f.batch, false), each)
		}
	}
	fmt.Fprintf(w, "\nthe most devices with an efficiency of 50%% or more, by whole batch\n")
	fmt.Fprintf(w, "network\t64\t256\t1024\t4096\n")
	for _, n := range networks {
		fmt.Fprintf(w, "%s", n.Name)
		for _, batch := range []int{64, 256, 1024, 4096} {
			fmt.Fprintf(w, "\t%d", ends(f.job(n, dist.Halving, true), batch))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// draw is the efficiency on 1 to 1,024 devices as a picture: whole lines where each device has its images, broken ones where all share one
// batch.
func (f *scalingFlags) draw() []byte {
	const W, H, left, top = 720, 420, 60, 30
	x := func(p int) float64 { return left + math.Log2(float64(p))/10*(W-left-150) }
	y := func(e float64) float64 { return top + (1-e)*(H-top-60) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12"><rect width="100%%" height="100%%" fill="white"/>`+"\n", W, H)
	fmt.Fprintf(&b, `<text x="%d" y="18">Efficiency, %.1f M parameters, %.4g images/s a device; whole lines: %d images each, broken: %d in all</text>`+"\n", left, f.params/1e6, f.imagesPerS, f.each, f.batch)
	for e := 0.0; e <= 1; e += 0.25 {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f%%</text>`+"\n", left, y(e), x(1024), left-6, y(e)+4, 100*e)
	}
	for p := 1; p <= 1024; p *= 2 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(p), H-40, p)
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">devices</text>`+"\n", (x(1)+x(1024))/2, H-18)
	for i, n := range networks {
		colour := []string{"#c22", "#d80", "#28a", "#162"}[i]
		for _, each := range []bool{true, false} {
			path, batch, dash := "", f.batch, ` stroke-dasharray="5 4"`
			if each {
				batch, dash = f.each, ""
			}
			for p := 1; p <= 1024 && (each || p <= batch); p *= 2 {
				path += fmt.Sprintf("%c%.1f %.1f", "ML"[min(p-1, 1)], x(p), y(f.job(n, dist.Halving, true).Efficiency(p, batch, each)))
			}
			fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", path, colour, dash)
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="%s">%s</text>`+"\n", x(1024)+12, top+20+18*i, colour, n.Name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// time measures all-reduces of several sizes, and fits the network to them.
func (f *scalingFlags) time(out io.Writer) error {
	if f.Size() < 2 {
		return usageError{fmt.Errorf("--measure wants at least two ranks: mpirun -n 2 ddpm-tui scaling --measure")}
	}
	var sizes, seconds []float64
	for bytes := 1 << 10; bytes <= 64<<20; bytes *= 4 {
		v := make([]float32, bytes/4)
		var times []float64
		for range 12 {
			if err := f.Barrier(); err != nil {
				return err
			}
			start := time.Now()
			if err := f.AllReduce(v).Wait(); err != nil {
				return err
			}
			times = append(times, time.Since(start).Seconds())
		}
		slices.Sort(times[2:]) // the first ones find the way
		sizes, seconds = append(sizes, float64(bytes)), append(seconds, times[2+5])
	}
	if f.Rank() != 0 {
		return nil
	}
	n := dist.FitNetwork(f.Size(), sizes, seconds)
	enc := json.NewEncoder(out)
	for i := range sizes {
		line := map[string]any{"ranks": f.Size(), "bytes": sizes[i], "seconds": seconds[i], "model_s": dist.Ring(n, f.Size(), sizes[i])}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	return enc.Encode(map[string]any{"ranks": f.Size(), "latency_s": n.Latency, "bytes_per_s": n.Bandwidth})
}
