package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// onTab is a shell of 120x40 with a tab in view, and its screen.
func onTab(t *testing.T, n int) (*shell, *training) {
	t.Helper()
	m := atTab(n)().(*training)
	return testShell(t, m, Options{}, 120, 40), m
}

// shows fails unless the frame has all of the words, and none that begins with a bang.
func shows(t *testing.T, s *shell, words ...string) {
	t.Helper()
	check(t, s)
	frame := stripSGR(s.View().Content)
	for _, w := range words {
		gone, not := strings.CutPrefix(w, "!")
		if strings.Contains(frame, gone) == not {
			t.Errorf("%q in\n%s", w, frame)
		}
	}
}

// do presses a key and does what follows from it, as the program would.
func do(s *shell, m *training, key string) {
	if b, ok := find(s.table(), key); ok && !m.typing() {
		follow(m, b.run(key))
	} else {
		follow(m, m.update(keyMsg(key)))
	}
	s.render()
	encode(s)
}

// write types keys one by one.
func write(s *shell, m *training, text string) {
	for _, r := range text {
		do(s, m, string(r))
	}
}

func ctrl(r rune) tea.KeyPressMsg { return tea.KeyPressMsg{Code: r, Mod: tea.ModCtrl} }

// An edit is typed, looked at, and applied; what makes no sense is refused at once.
func TestConfigTab(t *testing.T) {
	s, m := onTab(t, tabConfig)
	shows(t, s, "learning rate  0.0005", "optimizer.lr", "step 300", "!apply")
	do(s, m, "e")
	follow(m, m.update(ctrl('u')))
	write(s, m, "fast")
	do(s, m, "enter")
	shows(t, s, `"fast" is not a number`)
	follow(m, m.update(ctrl('u')))
	write(s, m, "1e-4")
	do(s, m, "enter")
	shows(t, s, "0.0005 → 0.0001", "not applied yet", "review", "a apply")
	do(s, m, "down")
	do(s, m, "down")
	do(s, m, "e")
	follow(m, m.update(ctrl('u')))
	write(s, m, "2m")
	do(s, m, "enter")
	shows(t, s, "every 2m0s")
	do(s, m, "a")
	sent := <-m.src.(*fakeSource).sent
	if e := sent.Edit; e == nil || *e.LR != 1e-4 || e.EMADecay != nil || *e.PreviewSeconds != 120 {
		t.Fatalf("sent %+v", sent)
	}
	shows(t, s, "!not applied yet")
	send(s, batchMsg[run.Event]{items: []run.Event{{V: 1, Time: testTime, Step: 301, Edit: sent.Edit}}})
	shows(t, s, "learning rate  0.0001", "step 301", "every 2m0s")
	do(s, m, "e")
	do(s, m, "esc")
	if m.typing() {
		t.Error("still typing")
	}
}

// The log is narrowed to words and levels.
func TestLogsTab(t *testing.T) {
	s, m := onTab(t, tabLogs)
	shows(t, s, "saved runs/a/step-300", "warning evil")
	do(s, m, "/")
	write(s, m, "SAVED step")
	shows(t, s, "filter", "saved runs/a/step-300", "!evil")
	do(s, m, "enter")
	do(s, m, "w")
	shows(t, s, "no line")
	do(s, m, "esc")
	do(s, m, "w")
	shows(t, s, "warning evil", "!saved runs")
}

// Older and newer samples, and the raw ones beside them when they come.
func TestSamplesTab(t *testing.T) {
	s, m := onTab(t, tabSamples)
	encode(s)
	shows(t, s, "step 300", "2 of 2", "raw weights", "nearest training images", "of 2,048", "EMA")
	do(s, m, "[")
	shows(t, s, "step 200", "1 of 2", "!raw weights")
	do(s, m, "[")
	shows(t, s, "1 of 2")
	shot := func(step int64, raw string) run.Event {
		return run.Event{V: 1, Time: testTime, Step: step, Preview: &run.Preview{Samples: "p.png", Raw: raw, Trajectory: "gone.png", Rows: 4, Cols: 4, Sampler: "ddim", Steps: 50}}
	}
	send(s, batchMsg[run.Event]{items: []run.Event{shot(400, "")}})
	shows(t, s, "step 200", "1 of 3") // what one looks at stays
	b, _ := find(s.table(), "b")
	b.run("b")()
	if c := <-m.src.(*fakeSource).sent; c != run.SampleBoth {
		t.Errorf("sent %+v", c)
	}
	for _, e := range []run.Event{shot(410, "raw.png"), shot(420, "")} {
		m.apply(e)
	}
	follow(m, m.places[tabSamples].open(m))
	s.render()
	shows(t, s, "it �[31mfailed", "raw weights", "!nearest") // one of its files is not there, which is said
	m.apply(shot(430, ""))                                   // it stays in view
	follow(m, m.places[tabSamples].open(m))
	s.render()
	shows(t, s, "raw weights")
	do(s, m, "space")
	shows(t, s, "!EMA ")
}

// Samples are drawn with what was chosen, gone back and forth in, and saved.
func TestSamplerTab(t *testing.T) {
	s, m := onTab(t, tabSampler)
	p := m.places[tabSampler].(*samplerTab)
	if len(p.kept) != 3 || p.drawing {
		t.Fatalf("%d frames kept, drawing %v", len(p.kept), p.drawing)
	}
	shows(t, s, "ddim", "step 3/3", "t = 300", "x_t", "x_0 as predicted")
	do(s, m, "[")
	shows(t, s, "step 2/3", "t = 600")
	do(s, m, "]")
	do(s, m, "]")
	shows(t, s, "step 3/3")
	do(s, m, "right")
	do(s, m, "down")
	do(s, m, "e")
	follow(m, m.update(ctrl('u')))
	write(s, m, "0")
	do(s, m, "enter")
	shows(t, s, "is not a number from 1")
	write(s, m, "x")
	do(s, m, "esc")
	do(s, m, "right")
	if r := p.request; r.Sampler != "heun" || r.Steps != 55 {
		t.Errorf("%+v", r)
	}
	do(s, m, "w")
	shows(t, s, "saved heun-55-seed1.png")
	do(s, m, "x")
	shows(t, s, "!x_0 as predicted")
}

// The runs' losses are in one chart, and what differs between configurations is listed.
func TestRunsTab(t *testing.T) {
	s, m := onTab(t, tabRuns)
	shows(t, s, "loss, averaged", "RUNNING", "900/900", "64 → 32", "not set → yyy", "!optimizer.lr")
	do(s, m, "v")
	if r := m.places[tabRuns].(*runsTab); r.shown["a"] || !r.shown["b"] {
		t.Errorf("%v", r.shown)
	}
	do(s, m, "down")
	do(s, m, "down")
	shows(t, s, "error it �[31mfailed")
}

func TestSystemTab(t *testing.T) {
	s, _ := onTab(t, tabSystem)
	shows(t, s, "AVX-512", "1.2 GiB planned", "conv2d", "40x", "300.0 ms", "60.0%", "arena", "1.0 GiB", "weights", "data wait")
}

func TestSystemTabRanks(t *testing.T) {
	s, m := onTab(t, tabSystem)
	shows(t, s, "!ranks")
	start := m.start
	start.Ranks = []run.Rank{{Host: "one", Images: 17, PlanBytes: 1 << 30, FreeBytes: 8 << 30}, {Host: "evil\x1b[2J", Images: 15, PlanBytes: 1 << 30, FreeBytes: 1 << 29, Short: true}}
	tell := func(e run.Event) {
		e.V, e.Time = 1, testTime
		send(s, batchMsg[run.Event]{items: []run.Event{e}})
	}
	tell(run.Event{Step: 300, Start: &start})
	shows(t, s, "2 ranks", "17 images", "not yet measured", "too little memory", "!evil\x1b")
	tell(run.Event{Step: 301, Metrics: &run.Metrics{Loss: 1, Ranks: 2, CommShare: .125, PerRank: []run.RankWork{{ImagesPerS: 50, CommShare: .1, Hidden: .75}, {ImagesPerS: 40, CommShare: .3}}}})
	tell(run.Event{Step: 302, Metrics: &run.Metrics{Loss: 1, Ranks: 2, CommShare: .125}})
	shows(t, s, "12.5%", "waits 10.0%, 75% of the sums hidden", "waits 30.0%")
}

// Keys of the loss chart, and the themes.
func TestTrainTab(t *testing.T) {
	s, m := onTab(t, tabTrain)
	do(s, m, "+")
	do(s, m, "+")
	shows(t, s, "the last 1/4", "loss by timestep over time")
	if p := m.zoomed(&m.ema); len(p) == 0 || p[0].X < 220 {
		t.Errorf("%d points from %v", len(p), p)
	}
	do(s, m, "f")
	shows(t, s, "!the last 1/")
	before := s.View().Content
	do(s, m, "g")
	shows(t, s, "┈")
	press(s, "T")
	if now := s.View().Content; now == before || s.th.accent == newTheme(themeSafe, true, false, nil).accent {
		t.Error("the theme is the same")
	}
}

// Every theme has all inks, on dark and on light.
func TestThemes(t *testing.T) {
	for kind := range themes {
		for _, dark := range []bool{true, false} {
			th := newTheme(kind, dark, false, nil)
			seen := map[chart.Ink]bool{}
			for _, i := range []chart.Ink{th.dim, th.border, th.accent, th.raw, th.good, th.warn, th.bad} {
				if i == "" || seen[i] {
					t.Errorf("theme %s, dark %v: the ink %q is none or there twice", themeNames[kind], dark, i)
				}
				seen[i] = true
			}
		}
	}
}
