package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// trainTab is the first tab: how the run goes.
type trainTab struct{ still }

func (*trainTab) draw(t *training, s surface, w, h int) block {
	switch {
	case w >= wideW && s.h >= wideH-1:
		return t.drawWide(s, w, h)
	case w >= mediumW && s.h >= mediumH-1:
		return t.drawMedium(s, w, h)
	}
	return t.drawCompact(s, w, h)
}

func (*trainTab) table(t *training) []binding {
	return []binding{
		{keys: []string{"y"}, help: "logarithmic or linear loss axis", do: func() tea.Cmd { t.logScale = !t.logScale; return nil }},
		{keys: []string{"g"}, help: "lines across the loss chart", do: func() tea.Cmd { t.guides = !t.guides; return nil }},
		{keys: []string{"+", "=", "-", "f"}, label: "+ - f", help: "loss of fewer, more, all steps", with: func(key string) tea.Cmd {
			switch key {
			case "-":
				t.zoom = max(0, t.zoom-1)
			case "f":
				t.zoom = 0
			default:
				t.zoom = min(10, t.zoom+1)
			}
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
	points := series.Points()
	if t.zoom == 0 || len(points) == 0 {
		return points
	}
	first, last := points[0].X, points[len(points)-1].X
	return chart.Between(points, last-(last-first)/float64(int(1)<<t.zoom), last)
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
