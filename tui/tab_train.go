package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// bigPanels are what the key z goes through.
var bigPanels = []func(t *training, s surface, w, h int) block{
	(*training).lossPanel,
	(*training).samplesPanel,
	(*training).stripPanel,
	(*training).heatPanel,
	(*training).bucketPanel,
	func(t *training, s surface, w, h int) block {
		return t.curvePanel(s, "gradient norm, clipped "+percent(t.clipShare()), &t.grad, w, h)
	},
	func(t *training, s surface, w, h int) block { return t.curvePanel(s, "images/s", &t.speed, w, h) },
	(*training).nowPanel,
	(*training).logPanel,
}

// trainTab is the first tab: how the run goes.
type trainTab struct{ still }

func (*trainTab) draw(t *training, s surface, w, h int) block {
	if t.big > 0 {
		return bigPanels[t.big-1](t, s, w, h)
	}
	switch {
	case w >= wideW && s.h >= wideH-1:
		return t.drawWide(s, w, h)
	case w >= mediumW && s.h >= mediumH-1:
		return t.drawMedium(s, w, h)
	}
	return t.drawCompact(s, w, h)
}

func (*trainTab) table(t *training) []binding {
	elsewhere := map[string]int{"S": tabSampler, "e": tabConfig, "v": tabRuns, "/": tabLogs}
	return []binding{
		{keys: []string{"z", "esc"}, help: "one panel over the whole tab, the next one; all of them", with: func(key string) tea.Cmd {
			if t.big = (t.big + 1) % (len(bigPanels) + 1); key == "esc" {
				t.big = 0
			}
			return nil
		}},
		{keys: []string{"S", "e", "v", "/"}, help: "draw samples, edit, compare runs, filter the log", with: func(key string) tea.Cmd {
			cmd := t.show(elsewhere[key])
			if key == "/" {
				t.places[tabLogs].(*logsTab).writing = true
			}
			return cmd
		}},
		{keys: []string{"y"}, help: "logarithmic or linear loss axis", do: func() tea.Cmd { t.logScale = !t.logScale; return nil }},
		{keys: []string{"g"}, help: "lines across the loss chart", do: func() tea.Cmd { t.guides = !t.guides; return nil }},
		{keys: []string{"+", "=", "-", "f", "left", "h", "right", "l"}, label: "+ - f ← →", help: "loss of fewer, more, all steps; earlier, later", with: func(key string) tea.Cmd {
			switch key {
			case "-":
				t.zoom, t.pan = max(0, t.zoom-1), t.pan/2
			case "f":
				t.zoom, t.pan = 0, 0
			case "left", "h":
				t.pan++
			case "right", "l":
				t.pan--
			default:
				t.zoom, t.pan = min(10, t.zoom+1), t.pan*2
			}
			t.pan = max(0, min(4*(1<<t.zoom-1), t.pan))
			return nil
		}},
		{keys: []string{"up", "k", "down", "j"}, label: "↑ ↓", help: "scroll the log", with: func(key string) tea.Cmd {
			return t.scrolled(key == "up" || key == "k", 1)
		}},
		{keys: []string{"pgup", "pgdown"}, label: "pgup pgdn", help: "scroll it by pages", with: func(key string) tea.Cmd {
			return t.scrolled(key == "pgup", max(1, t.page-1))
		}},
	}
}

// scrolled scrolls the log.
func (t *training) scrolled(back bool, n int) tea.Cmd {
	if !back {
		n = -n
	}
	t.scroll = max(0, t.scroll+n)
	return nil
}

// zoomed are the points of a series that the loss chart shows.
func (t *training) zoomed(series *chart.Series) []chart.Point {
	if t.zoom == 0 {
		return series.Points()
	}
	from, to := t.zoomSpan()
	return chart.Between(series.Points(), from, to)
}

// zoomSpan is the steps that the loss chart shows: the last 1/2^zoom of them, moved back by quarters of that.
func (t *training) zoomSpan() (from, to float64) {
	points := t.loss.Points()
	if len(points) == 0 {
		return 0, 0
	}
	first, last := points[0].X, points[len(points)-1].X
	wide := (last - first) / float64(int(1)<<t.zoom)
	to = last - float64(t.pan)*wide/4
	return to - wide, to
}

// readingBlock says how far reading the images is.
func (t *training) readingBlock(th theme, w, h int) block {
	r := t.reading
	words := "reading images: " + count(int64(r.Done)) + " of " + count(int64(r.Total))
	if r.Skipped > 0 {
		words += ", " + count(int64(r.Skipped)) + " skipped"
	}
	bar := max(1, min(w-2, 40))
	inside := max(min(w, width(words)), bar)
	pad := strings.Repeat(" ", (inside-bar)/2)
	return centre(text(inside, min(h, 2), words, pad+chart.Progress(float64(r.Done)/max(1, float64(r.Total)), bar, th.accent, th.border)), w, h)
}
