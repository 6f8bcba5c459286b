package tui

import (
	"fmt"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// systemTab is what the run computes on: the device, its memory plan, and where the time of a step goes.
type systemTab struct{ still }

func (*systemTab) table(*training) []binding { return nil }

func (y *systemTab) draw(t *training, s surface, w, h int) block {
	factsH := min(10, max(5, h/4))
	facts := panel(s.th, "device", "", w, factsH, func(w, h int) block { return text(w, h, y.facts(t, s.th)...) })
	rest := h - factsH
	if n := len(t.start.Ranks); n > 1 {
		ranksH := min(n+3, max(4, rest/3))
		rest -= ranksH
		facts = stack(facts, panel(s.th, "ranks", "", w, ranksH, func(w, h int) block { return text(w, h, fold(y.ranks(t, s.th), h, s.th)...) }))
	}
	if w < 100 {
		return stack(facts, y.ops(t, s, w, rest-rest/2), y.memory(t, s, w, rest/2))
	}
	return stack(facts, beside(y.ops(t, s, w-w/2, rest), y.memory(t, s, w/2, rest)))
}

// facts are the device, the network, and what the host costs.
func (y *systemTab) facts(t *training, th theme) []string {
	st := t.start
	if st.Backend == "" {
		return []string{th.dim.Paint(" not yet known")}
	}
	line := func(name, value string) string { return " " + th.dim.Paint(pad(name, 12)) + value }
	lines := []string{
		line("device", st.On()),
		line("network", fmt.Sprintf("%s parameters, %.3f GMAC an image of %dx%dx%d", brief(int64(st.Parameters)), float64(st.MACs)/1e9, st.Size, st.Size, st.Channels)),
		line("memory", bytes(st.PlanBytes)+" planned, and taken before the first step"),
	}
	if t.steps > 0 {
		m := t.last
		lines = append(lines, line("speed", fmt.Sprintf("%s images/s, %s a step of %d images", number(float64(m.ImagesPerS)), seconds(float64(m.StepS)), st.Batch)))
		if wait := float64(m.WaitS); m.StepS > 0 {
			lines = append(lines, line("data wait", fmt.Sprintf("%s between two steps (%.1f%% of a step): the images are on the device", seconds(wait), 100*wait/float64(m.StepS))))
		}
		if flops := 6 * float64(st.MACs) * float64(m.ImagesPerS); flops > 0 {
			lines = append(lines, line("arithmetic", fmt.Sprintf("%.1f GFLOP/s of the network's own (3 passes, 2 a multiply-add)", flops/1e9)))
		}
	}
	return lines
}

// ranks are the processes that share each batch, a line each: what it is and what it does.
func (y *systemTab) ranks(t *training, th theme) []string {
	lines := []string{fmt.Sprintf(" %d ranks; rank 0 waits for sums %.1f%% of a step", len(t.start.Ranks), 100*float64(t.last.CommShare))}
	for i, r := range t.start.Ranks {
		work := th.dim.Paint("not yet measured")
		if i < len(t.perRank) {
			w := t.perRank[i]
			work = fmt.Sprintf("%s images/s, waits %.1f%%, %.0f%% of the sums hidden", number(float64(w.ImagesPerS)), 100*float64(w.CommShare), 100*float64(w.Hidden))
		}
		line := fmt.Sprintf(" %3d %s %3d images  %s", i, pad(clean(r.Host), 12), r.Images, work)
		line += th.dim.Paint(fmt.Sprintf("  %s of %s free, %s", bytes(r.PlanBytes), bytes(r.FreeBytes), clean(r.Device)))
		if r.Short {
			line += th.warn.Paint("  too little memory")
		}
		lines = append(lines, line)
	}
	return lines
}

// seconds writes a short time.
func seconds(v float64) string {
	switch {
	case v != v || v < 0:
		return "?"
	case v < 1e-3:
		return fmt.Sprintf("%.0f µs", v*1e6)
	case v < 1:
		return fmt.Sprintf("%.1f ms", v*1e3)
	}
	return fmt.Sprintf("%.2f s", v)
}

// ops is the time of a step by kind of operation.
func (y *systemTab) ops(t *training, s surface, w, h int) block {
	th, all := s.th, t.timings
	note := ""
	if all != nil {
		note = th.dim.Paint(seconds(float64(all.StepS)) + " in all")
	}
	return panel(th, "time of a step", note, w, h, func(w, h int) block {
		if all == nil || len(all.Ops) == 0 {
			return hint(th, "measured after some steps", w, h)
		}
		var rows []string
		for _, o := range all.Ops {
			share := float64(o.Seconds) / max(1e-12, float64(all.StepS))
			name := pad(clean(o.Op), 18)
			figures := fmt.Sprintf(" %4dx %9s %5.1f%%", o.Calls, seconds(float64(o.Seconds)), 100*share)
			if w >= 66 {
				figures += fmt.Sprintf(" %7.1f GFLOP/s", float64(o.GFLOPS))
			}
			rows = append(rows, " "+name+figures+" "+chart.Progress(share, w-width(name+figures)-3, th.accent, th.border))
		}
		return text(w, h, fold(rows, h, th)...)
	})
}

// memory is the plan, by buffer.
func (y *systemTab) memory(t *training, s surface, w, h int) block {
	th := s.th
	return panel(th, "memory plan", th.dim.Paint(bytes(t.start.PlanBytes)), w, h, func(w, h int) block {
		if len(t.start.Memory) == 0 {
			return hint(th, "not yet known", w, h)
		}
		var rows []string
		for _, p := range t.start.Memory {
			name := pad(clean(p.Name), 10)
			figures := fmt.Sprintf(" %10s", bytes(p.Bytes))
			about := ""
			if w >= 56 {
				about = " " + pad(bufferAbout[p.Name], 30)
			}
			share := float64(p.Bytes) / max(1, float64(t.start.PlanBytes))
			rows = append(rows, " "+name+figures+th.dim.Paint(about)+" "+chart.Progress(share, w-width(name+figures+about)-3, th.accent, th.border))
		}
		return text(w, h, fold(rows, h, th)...)
	})
}

// bufferAbout says what the buffers of a training step are.
var bufferAbout = map[string]string{
	"arena": "values of a step, where they fit", "images": "the image set, as bytes", "params": "weights", "grads": "gradients", "m": "Adam's first moments",
	"v": "Adam's second moments", "ema": "average of the weights", "table": "embeddings of the timesteps", "out": "the preview's output", "mix": "schedule",
}

// fold keeps the first lines that fit and says how many more there are.
func fold(rows []string, h int, th theme) []string {
	if len(rows) <= h || h < 2 {
		return rows
	}
	more := len(rows) - h + 1
	return append(rows[:h-1:h-1], th.dim.Paint(" "+strings.TrimSpace(fmt.Sprintf("and %d more", more))))
}
