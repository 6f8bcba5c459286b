package tui

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// A drawnPanel is a panel as it was drawn last, and what it depends on.
type drawnPanel struct {
	of    panelState
	block block
}

type panelState struct {
	w, h, look, changes, zoom, pan int
	log, guides                    bool
}

// keep draws a panel of charts anew only if it would look different.
func (t *training) keep(s surface, name string, w, h int, draw func() block) block {
	now := panelState{w, h, s.look, t.changes, t.zoom, t.pan, t.logScale, t.guides}
	if p, ok := t.panels[name]; ok && p.of == now {
		return p.block
	}
	if t.panels == nil {
		t.panels = map[string]drawnPanel{}
	}
	b := draw()
	t.panels[name] = drawnPanel{now, b}
	return b
}

// lossPanel is the loss of every step, faint, and its moving average.
func (t *training) lossPanel(s surface, w, h int) block {
	return t.keep(s, "loss", w, h, func() block { return t.drawLossPanel(s, w, h) })
}

func (t *training) drawLossPanel(s surface, w, h int) block {
	th := s.th
	axis := "linear"
	if t.logScale {
		axis = "log"
	}
	note := th.raw.Paint("⣿") + th.dim.Paint(" raw  ") + th.accent.Paint("━") + th.dim.Paint(" average")
	if len(t.heldOut.Points()) > 0 {
		note += "  " + th.good.Paint("━") + th.dim.Paint(" held out")
	}
	switch {
	case t.pan > 0:
		from, to := t.zoomSpan()
		axis += fmt.Sprintf(" · steps %s to %s", brief(int64(from)), brief(int64(to)))
	case t.zoom > 0:
		axis += fmt.Sprintf(" · the last 1/%d", 1<<t.zoom)
	}
	return panel(th, "loss", th.dim.Paint(axis+" · ")+note, w, h, func(w, h int) block {
		switch {
		case t.steps == 0 && t.reading != nil:
			return t.readingBlock(th, w, h)
		case t.steps == 0:
			return hint(th, "waiting for the first step", w, h)
		}
		lines := chart.Lines{Log: t.logScale, Guides: t.guides, Axis: th.dim, Curves: []chart.Curve{
			{Points: t.zoomed(&t.loss), Ink: th.raw, Band: true},
			{Points: t.zoomed(&t.ema), Ink: th.accent},
			{Points: t.zoomed(&t.heldOut), Ink: th.good},
		}}
		return text(w, h, lines.Draw(w, h)...)
	})
}

// curvePanel is a small chart of one series.
func (t *training) curvePanel(s surface, title string, series *chart.Series, w, h int) block {
	return t.keep(s, "curve "+title, w, h, func() block { return t.drawCurvePanel(s, title, series, w, h) })
}

func (t *training) drawCurvePanel(s surface, name string, series *chart.Series, w, h int) block {
	note := ""
	if v, ok := series.Last(); ok {
		note = number(v)
	}
	return panel(s.th, name, note, w, h, func(w, h int) block {
		lines := chart.Lines{Axis: s.th.dim, Curves: []chart.Curve{{Points: series.Points(), Ink: s.th.accent}}}
		return text(w, h, lines.Draw(w, h)...)
	})
}

// A metric is a number with its name, more about it where there is room, and its history.
type metric struct {
	name, value, more string
	history           *chart.Series
}

// metrics are the numbers of the run, the most important first.
func (t *training) metrics() []metric {
	if t.steps == 0 {
		return nil
	}
	m := t.last
	more := ""
	if share := t.clipShare(); share > 0 {
		more = "clip " + percent(share)
	}
	list := []metric{
		{"loss", number(float64(m.Loss)), "", &t.loss},
		{"average", number(float64(m.LossEMA)), "", &t.ema},
		{"gradient", number(float64(m.GradNorm)), more, &t.grad},
		{"images/s", number(float64(m.ImagesPerS)), "", &t.speed},
		{"s/step", number(float64(m.StepS)), "", nil},
		{"rate", number(float64(m.LR)), "", &t.rate},
	}
	for _, e := range []struct {
		name  string
		curve *chart.Series
		err   float64
	}{{"held out", &t.heldOut, t.heldErr}, {"swd", &t.swd, t.swdErr}} {
		if v, ok := e.curve.Last(); ok {
			list = append(list, metric{e.name, number(v), "±" + number(e.err), e.curve})
		}
	}
	if m.LossScale > 0 {
		list = append(list, metric{"loss scale", run.PowerOfTwo(m.LossScale), "", nil})
	}
	return append(list, metric{"decay", number(float64(m.EMADecay)), "", nil}, metric{"wait", seconds(float64(m.WaitS)), "", nil})
}

// facts are what does not change while it runs.
func (t *training) facts() []metric {
	var out []metric
	if t.start.PlanBytes > 0 {
		out = append(out, metric{name: "memory", value: bytes(t.start.PlanBytes) + " planned"})
	}
	device := t.start.On()
	if device != "" {
		out = append(out, metric{name: "device", value: device})
	}
	return out
}

// nowPanel is the numbers: a line each with a sparkline where there is room, in columns where there is not.
func (t *training) nowPanel(s surface, w, h int) block {
	return t.keep(s, "now", w, h, func() block { return t.drawNowPanel(s, w, h) })
}

func (t *training) drawNowPanel(s surface, w, h int) block {
	return panel(s.th, "now", "", w, h, func(w, h int) block {
		items, facts := t.metrics(), t.facts()
		if len(items)+len(facts) > h { // what matters least goes first
			items = items[:max(0, len(items)-2)]
		}
		cols := 1
		for cols < 3 && (len(items)+cols-1)/cols+len(facts) > h && (w-1)/(cols+1) >= 16 {
			cols++
		}
		lines := t.grid(s.th, items, cols, w)
		if len(lines)+len(facts) > h && len(facts) == 2 { // both in one line
			facts = []metric{{name: facts[0].name, value: facts[0].value + "  " + facts[1].value}}
		}
		for _, f := range facts {
			lines = append(lines, " "+s.th.dim.Paint(pad(f.name, labelW))+f.value)
		}
		return text(w, h, lines...)
	})
}

// labelW is the width of the names of numbers.
const labelW = 9

// grid is the metrics in columns, row by row; a single column has sparklines.
func (t *training) grid(th theme, items []metric, cols, w int) []string {
	const valueW = 16
	cell := (w - 1) / cols
	var lines []string
	for i, m := range items {
		s := th.dim.Paint(pad(m.name, labelW)) + m.value
		if m.more != "" && cell >= labelW+valueW {
			s = pad(s, labelW+7) + th.dim.Paint(m.more)
		}
		if n := cell - labelW - valueW - 1; cols == 1 && n >= 4 && m.history != nil {
			s = pad(s, labelW+valueW) + chart.Spark(chart.Log(m.history.Values(n)), n, 1, th.accent)[0]
		}
		if i%cols == 0 {
			lines = append(lines, " ")
		}
		lines[len(lines)-1] += pad(s, cell)
	}
	return lines
}

// bucketPanel is the loss by timestep, from the least noise to the most.
func (t *training) bucketPanel(s surface, w, h int) block {
	return t.keep(s, "buckets", w, h, func() block { return t.drawBucketPanel(s, w, h) })
}

func (t *training) drawBucketPanel(s surface, w, h int) block {
	th := s.th
	note := ""
	if t.start.T > 0 {
		note = th.dim.Paint(fmt.Sprintf("t = 1 … %d", t.start.T))
	}
	return panel(th, "loss by timestep", note, w, h, func(w, h int) block {
		if len(t.buckets) == 0 {
			return hint(th, "not yet known", w, h)
		}
		return text(w, h, chart.Bars(t.buckets, w, h, th.heat, th.dim)...)
	})
}

// heatPanel is the loss by timestep over time: the least noise at the top, now on the right.
func (t *training) heatPanel(s surface, w, h int) block {
	return t.keep(s, "heat", w, h, func() block { return t.drawHeatPanel(s, w, h) })
}

func (t *training) drawHeatPanel(s surface, w, h int) block {
	th := s.th
	return panel(th, "loss by timestep over time", th.dim.Paint("t ↓  steps →"), w, h, func(w, h int) block {
		if len(t.heat.columns) == 0 {
			return hint(th, "not yet known", w, h)
		}
		return text(w, h, chart.Heat(t.heat.columns, w, h, th.heat)...)
	})
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }

// samplesPanel is the grid of samples.
func (t *training) samplesPanel(s surface, w, h int) block {
	note := t.captions[Samples]
	if s.g.has(Samples) && note == "" {
		note = "step " + brief(t.frames[Samples])
	}
	return panel(s.th, "samples", s.th.dim.Paint(note), w, h, func(w, h int) block {
		return s.g.draw(s.th, Samples, w, h, "no samples yet")
	})
}

// stripPanel is one sample on its way from noise to image.
func (t *training) stripPanel(s surface, w, h int) block {
	note := t.captions[Trajectory]
	if note == "" {
		note = "noise → image"
	}
	return panel(s.th, "x_t", s.th.dim.Paint(note), w, h, func(w, h int) block {
		return s.g.draw(s.th, Trajectory, w, h, "one sample on its way from noise to image")
	})
}

// logPanel is the end of the log, or a part further back.
func (t *training) logPanel(s surface, w, h int) block {
	if h < 3 {
		return text(w, h)
	}
	t.page = h - 2
	t.scroll = min(t.scroll, max(0, len(t.log)-t.page))
	note := ""
	if t.scroll > 0 {
		note = s.th.dim.Paint(fmt.Sprintf("%d lines further ↓", t.scroll))
	}
	return panel(s.th, "log", note, w, h, func(w, h int) block {
		return text(w, h, t.logTail(s.th, w, h, t.scroll)...)
	})
}

// logTail is n lines of the log, leaving out the last skip.
func (t *training) logTail(th theme, w, n, skip int) []string {
	return logRows(th, t.log, n, skip)
}

// logRows is n lines of a log, leaving out the last skip.
func logRows(th theme, log []logLine, n, skip int) []string {
	end := max(0, len(log)-skip)
	var lines []string
	for _, l := range log[max(0, end-n):end] {
		at := "        "
		if !l.at.IsZero() {
			at = l.at.Local().Format("15:04:05")
		}
		word := ""
		switch l.level {
		case "warn":
			word = bold(th.warn).Paint("warning ")
		case "error":
			word = bold(th.bad).Paint("error ")
		case "next":
			at, word = "    next", bold(th.good).Paint("> ")
		}
		lines = append(lines, " "+th.dim.Paint(at)+"  "+word+l.text)
	}
	return lines
}
