package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// opTime is the time of all calls of one kind of operation in a step.
type opTime struct {
	Op     string  `json:"op"`
	Shapes string  `json:"shapes,omitempty"` // of a kernel's inputs
	Calls  int     `json:"calls"`            // a step
	S      float64 `json:"seconds"`
	Share  float64 `json:"share"`
	GFLOPS float64 `json:"gflops"`
	GBS    float64 `json:"gb_per_s"`
	Peak   float64 `json:"share_of_peak"`      // of the arithmetic peak measured in this run
	Memory float64 `json:"share_of_bandwidth"` // of the memory bandwidth measured in this run
}

// opTimes adds up the timings by operation, the costliest first.
func opTimes(timings []backend.Timing, flops, bytes float64) (list []*opTime, total float64) {
	return timesBy(timings, flops, bytes, func(s *backend.Step) (opTime, bool) { return opTime{Op: s.Op}, true })
}

// kernelTimes adds up the timings of convolutions and attention, with their gradients, by the shapes of what they read.
func kernelTimes(timings []backend.Timing, flops, bytes float64) []*opTime {
	list, _ := timesBy(timings, flops, bytes, func(s *backend.Step) (opTime, bool) {
		var shapes []string
		for _, v := range s.In[:min(2, len(s.In))] {
			shapes = append(shapes, v.Shape.String())
		}
		return opTime{Op: s.Op, Shapes: strings.Join(shapes, " ")}, strings.HasPrefix(s.Op, "conv2d") || strings.HasPrefix(s.Op, "attention")
	})
	return list
}

// timesBy adds up the timings of the steps that by groups together, the costliest group first.
func timesBy(timings []backend.Timing, flops, bytes float64, by func(*backend.Step) (group opTime, ok bool)) (list []*opTime, total float64) {
	groups := map[opTime]*opTime{}
	for _, t := range timings {
		key, ok := by(t.Step)
		if t.Calls == 0 || !ok {
			continue
		}
		o := groups[key]
		if o == nil {
			o = &opTime{Op: key.Op, Shapes: key.Shapes}
			groups[key] = o
			list = append(list, o)
		}
		s := t.Total.Seconds() / float64(t.Calls)
		o.Calls++
		o.S += s
		o.GFLOPS += float64(t.Step.FLOPs) / 1e9
		o.GBS += float64(t.Step.Bytes) / 1e9
		total += s
	}
	for _, o := range list {
		o.GFLOPS, o.GBS, o.Share = o.GFLOPS/o.S, o.GBS/o.S, o.S/total
		if flops > 0 && bytes > 0 {
			o.Peak, o.Memory = o.GFLOPS*1e9/flops, o.GBS*1e9/bytes
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].S > list[j].S })
	return list, total
}

// kernelLines is how many kernels are printed.
const kernelLines = 12

// printOps prints where a step's time goes, by kind of operation, beside what the device can do at most.
func printOps(out io.Writer, e backend.Executable, b backend.Backend, r benchResult, asJSON bool) error {
	if m, ok := b.(backend.Roof); ok {
		r.PeakFLOPS, r.PeakBytes = m.Roof(backend.Precision(r.Precision))
	}
	var total float64
	r.Ops, total = opTimes(e.Timings(), r.PeakFLOPS, r.PeakBytes)
	r.Kernels = kernelTimes(e.Timings(), r.PeakFLOPS, r.PeakBytes)
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	fmt.Fprintf(out, "%s, batch %d, one training step on %s; peak %.3g GFLOP/s, %.3g GB/s\n", r.Config, r.Batch, where(b.Info()), r.PeakFLOPS/1e9, r.PeakBytes/1e9)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "op\tcalls\tms\tshare\tGFLOP/s\tof peak\tGB/s\tof peak\t")
	for _, o := range r.Ops {
		fmt.Fprintf(w, "%s\t%d\t%.3f\t%.1f%%\t%.1f\t%.0f%%\t%.1f\t%.0f%%\t\n", o.Op, o.Calls, o.S*1e3, o.Share*100, o.GFLOPS, o.Peak*100, o.GBS, o.Memory*100)
	}
	fmt.Fprintf(w, "all\t\t%.3f\t100.0%%\t%.1f\t\t\t\t\n", total*1e3, float64(6*r.MACs*int64(r.Batch))/total/1e9)
	fmt.Fprintln(w, "\t\t\t\t\t\t\t\t")
	fmt.Fprintln(w, "kernel\tcalls\tms\tshare\tGFLOP/s\tof peak\t\t\t")
	for i, o := range r.Kernels {
		if i == kernelLines {
			fmt.Fprintf(w, "and %d more (--json has them)\t\t\t\t\t\t\t\t\n", len(r.Kernels)-i)
			break
		}
		fmt.Fprintf(w, "%s %s\t%d\t%.3f\t%.1f%%\t%.1f\t%.0f%%\t\t\t\n", o.Op, o.Shapes, o.Calls, o.S*1e3, o.S/total*100, o.GFLOPS, o.Peak*100)
	}
	return w.Flush()
}

// traceEvent is one slice of Chrome's trace event format, which ui.perfetto.dev opens; times are microseconds.
type traceEvent struct {
	Name string         `json:"name"`
	Cat  string         `json:"cat,omitempty"`
	Ph   string         `json:"ph"`
	Ts   float64        `json:"ts"`
	Dur  float64        `json:"dur,omitempty"`
	Pid  int            `json:"pid"`
	Tid  int            `json:"tid"`
	Args map[string]any `json:"args,omitempty"`
}

// writeTrace writes the last replay as a trace: one slice an operation, with its shapes and rates.
func writeTrace(path string, timings []backend.Timing, title string) error {
	events := []traceEvent{{Name: "process_name", Ph: "M", Pid: 1, Args: map[string]any{"name": title}}}
	for _, t := range timings {
		if t.Calls == 0 {
			continue
		}
		s, args := t.Last.Seconds(), map[string]any{"label": t.Step.Label}
		for kind, views := range map[string][]backend.View{"in": t.Step.In, "out": t.Step.Out} {
			var shapes []string
			for _, v := range views {
				if !v.Absent() {
					shapes = append(shapes, v.Shape.String())
				}
			}
			args[kind] = shapes
		}
		if s > 0 {
			args["GFLOP/s"], args["GB/s"] = float64(t.Step.FLOPs)/s/1e9, float64(t.Step.Bytes)/s/1e9
		}
		events = append(events, traceEvent{
			Name: t.Step.Op, Cat: "op", Ph: "X", Ts: t.At.Seconds() * 1e6, Dur: s * 1e6, Pid: 1, Tid: 1, Args: args,
		})
	}
	text, err := json.Marshal(map[string]any{"traceEvents": events, "displayTimeUnit": "ms"})
	if err != nil {
		return err
	}
	return durable.File(path, 0o644, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
