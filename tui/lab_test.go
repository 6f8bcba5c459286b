package tui

import (
	"context"
	"fmt"
	"image"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/lab/experiment"
)

// idleLab is the list, where no experiment does more than show a picture.
func idleLab() *labScreen {
	m := newLabScreen(nil, experiment.Params{})
	m.run = func(ctx context.Context, e *experiment.Experiment, p experiment.Params, emit func(experiment.Frame)) (*experiment.Result, error) {
		emit(experiment.Frame{Phase: "drawing", Done: 1, Total: 2, Pictures: []experiment.Picture{{Name: "x", Image: tiles(1, 2), Rows: 1, Cols: 2}}})
		return nil, errTest
	}
	return m
}

// labMoments is a screen that has been shown n moments of denoising.
func labMoments(n int) *labScreen {
	m := idleLab()
	m.e, _ = experiment.Find("denoise")
	m.p, _ = m.e.Complete(experiment.Params{})
	for i := range n {
		m.show.take(experiment.Frame{
			Phase: "denoising", Done: int64(i), Total: int64(n), Moment: true,
			Pictures: []experiment.Picture{{Name: "xt", Caption: fmt.Sprintf("moment %d", i), Image: image.NewRGBA(image.Rect(0, 0, 32, 16)), Rows: 1, Cols: 2}},
			Figures:  []experiment.Figure{{Name: "t", Value: fmt.Sprint(n - i), Note: "a note that is rather long, so that it hardly fits"}},
		})
	}
	m.show.take(experiment.Frame{Charts: []experiment.Chart{{Name: "loss", X: "t", Y: "loss", LogX: true, LogY: true, Lines: []experiment.Line{
		{Name: "one", X: []float64{1, 2, 4}, Y: []float64{0, 2, 3}}, {Name: "two", X: []float64{1, 2, 4}, Y: []float64{1, 1, 1}},
	}}}})
	return m
}

// One can step back through the moments and on again, no further than there are.
func TestLabStepsBack(t *testing.T) {
	m := labMoments(5)
	seen := func() string {
		p, _ := m.show.seen()
		return p[0].Caption
	}
	for _, c := range []struct {
		step int
		want string
	}{{0, "moment 4"}, {1, "moment 3"}, {2, "moment 1"}, {9, "moment 0"}, {-1, "moment 1"}, {-99, "moment 4"}} {
		if m.show.step(c.step); seen() != c.want {
			t.Errorf("after %d: %s, want %s", c.step, seen(), c.want)
		}
	}
	m.show.step(2)
	m.show.take(experiment.Frame{Moment: true, Pictures: []experiment.Picture{{Caption: "new"}}})
	if seen() != "moment 2" {
		t.Errorf("who looks back sees %s after a new moment, want moment 2", seen())
	}
}

// The screen fills exactly what it is given, at any size, with and without an experiment.
func TestLabFits(t *testing.T) {
	list := idleLab()
	for _, m := range []*labScreen{list, labMoments(3), func() *labScreen { m := labMoments(0); m.show.charts = nil; return m }()} {
		for _, size := range [][2]int{{80, 23}, {120, 39}, {200, 59}, {39, 10}, {41, 13}, {10, 3}, {1, 1}} {
			for _, mono := range []bool{false, true} {
				s := surface{w: size[0], h: size[1], th: newTheme(themeSafe, true, mono, nil), g: &gallery{cellW: 8, cellH: 16}, now: time.Now()}
				b := m.draw(s)
				if len(b.lines) != size[1] {
					t.Errorf("%v: %d lines", size, len(b.lines))
				}
				for _, l := range b.lines {
					if width(l) != size[0] {
						t.Errorf("%v: a line of %d cells: %q", size, width(l), l)
						break
					}
				}
			}
		}
	}
}

// The keys of an experiment are those of its knobs; a change that does not fit is not made.
func TestLabKnobs(t *testing.T) {
	m := newLabScreen(nil, experiment.Params{})
	m.e, _ = experiment.Find("scattered")
	m.p, _ = m.e.Complete(experiment.Params{})
	for _, k := range []string{"g", "G", "o", "s", "q", "esc"} {
		if _, ok := find(m.table(), k); !ok {
			t.Errorf("no key %s", k)
		}
	}
	if _, ok := find(m.table(), "t"); ok {
		t.Error("scattered has a key for T")
	}
	if got := m.settings(); !strings.Contains(got, "group 16") || !strings.Contains(got, "order random") {
		t.Errorf("settings %q", got)
	}
	if got := after([]int{1, 4, 16}, 16, 1); got != 1 {
		t.Errorf("after the last comes %d", got)
	}
	if got := after([]int{1, 4, 16}, 1, -1); got != 16 {
		t.Errorf("before the first comes %d", got)
	}
}
