package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// A benchLine is a line of a file of benches: this program's (benchResult) or the peer's, which has other words for some things.
type benchLine struct {
	benchResult
	Peer     string      `json:"peer"`
	On       string      `json:"device"`
	AMP      string      `json:"amp"`
	Last     bool        `json:"channels_last"`
	Compile  bool        `json:"compile"`
	Variant  string      `json:"variant"` // what the line before said of this one
	Replay   *replayCost `json:"replay"`
	Checks   int         `json:"checks"`
	Right    *bool       `json:"right"`
	GOPS     float64     `json:"gflops"`
	Seconds  float64     `json:"best_s"`
	PerS     float64     `json:"images_per_s"`
	Images   int         `json:"batch"`
	What     string      `json:"mode"`
	Net      string      `json:"config"`
	Peak     float64     `json:"peak_flops"`
	ByKernel []*opTime   `json:"kernels"`
}

// who names what computed.
func (l *benchLine) who() string {
	if l.Peer == "" {
		s := l.Backend + " " + l.Precision
		if l.Variant != "" {
			s += " " + l.Variant
		}
		return s
	}
	s := l.Peer + " fp32"
	if l.AMP != "" {
		s = l.Peer + " amp " + l.AMP
	}
	if l.Last {
		s += " channels-last"
	}
	if l.Compile {
		s += " compile"
	}
	return s
}

// printReport prints what is in a file of benches, one JSON object a line, as tables: the device's check, the cost of a replay, the
// kernels, and the networks, each of this program's beside the peer's, with the share of the peak that was measured in their precision.
func printReport(out io.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var lines []*benchLine
	variant, peaks := "", map[string]float64{}
	for i, p := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		l := new(benchLine)
		if err := json.Unmarshal(p, l); err != nil {
			return fmt.Errorf("%s: line %d: %w", file, i+1, err)
		}
		if l.What == "" && l.Right == nil { // a word about the lines that follow
			variant = l.Variant
			continue
		}
		if l.Variant = variant; l.Peer != "" {
			l.Variant = ""
		}
		if l.Peak > 0 {
			peaks[l.who()] = l.Peak
		}
		lines = append(lines, l)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		switch {
		case l.Right != nil:
			fmt.Fprintf(w, "%s: %d checks, all right: %v\n", l.On, l.Checks, *l.Right)
		case l.Replay != nil:
			fmt.Fprintf(w, "replay: %v\n", l.Replay)
		case l.What == "op":
			fmt.Fprintf(w, "\n%s, batch %d, %s: measured peak %.4g GFLOP/s, %.4g GB/s\nkernel\tshapes\tcalls\tms\tGFLOP/s\tof peak\n", l.Net, l.Images, l.who(), l.Peak/1e9, l.PeakBytes/1e9)
			for _, k := range l.ByKernel {
				fmt.Fprintf(w, "%s\t%s\t%d\t%.3f\t%.1f\t%.1f%%\n", k.Op, k.Shapes, k.Calls, k.S*1e3, k.GFLOPS, k.Peak*100)
			}
		}
	}
	fmt.Fprintf(w, "\nnetwork\tbatch\twhat\ton\tms\timages/s\tGFLOP/s\tof peak\n")
	for _, l := range lines {
		if l.What != "train" && l.What != "fwd" {
			continue
		}
		share := ""
		if p := peaks[l.who()]; p > 0 {
			share = fmt.Sprintf("%.1f%%", 100*l.GOPS*1e9/p)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%.3f\t%.1f\t%.1f\t%s\n", l.Net, l.Images, l.What, l.who(), l.Seconds*1e3, l.PerS, l.GOPS, share)
	}
	return w.Flush()
}
