package tui

import (
	"context"
	"fmt"
	"image"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// RunInfo is a run as the home screen lists it.
type RunInfo struct {
	Name, Dir   string
	Preset      string
	State       string // in a word
	Step, Steps int64
	Loss        []float64 // its history, for the sparkline
	LossAt      []int64   // the steps of Loss, where they are known
	LossEMA     float64
	Sample      string // the last samples, a picture of the run's; "" is none
	SampleRows  int    // of tiles
	SampleCols  int
	Updated     time.Time
}

// An Action is what a person chose.
type Action string

// The actions of the home screen.
const (
	ActionQuit   Action = "quit"
	ActionOpen   Action = "open"   // watch or resume Run
	ActionSample Action = "sample" // from Run
	ActionNew    Action = "new"    // with Preset and Data
)

// A Choice is what the home screen ended with.
type Choice struct {
	Action Action
	Run    RunInfo // for open and sample
	Preset string  // for new
	Data   string  // for new: a path, "" for the images in the program
}

// RunHome lists the runs and returns what the person chose. Leaving is ActionQuit.
func RunHome(ctx context.Context, runs []RunInfo, presets []string, opt Options) (Choice, error) {
	h := newHome(runs, presets)
	if opt.Desk != nil {
		h.desk = *opt.Desk
	}
	if err := show(ctx, h, opt); err != nil {
		return Choice{Action: ActionQuit}, err
	}
	return h.choice, nil
}

// home is the home screen: a list whose first entry is a new run, and the form behind that entry.
type home struct {
	runs   []RunInfo // names as they are; cleaned where they are drawn
	at     int       // 0 is the new run
	form   *form
	forms  func() *form
	choice Choice

	list list

	desk  Desk
	wants string       // the folder of the run whose samples are being read, or were
	shown string       // whose are in the gallery
	fresh *homeShotMsg // not hung yet
}

// homeShotMsg brings the last samples of a run.
type homeShotMsg struct {
	run RunInfo
	m   image.Image
}

// homeShot is the picture of the chosen run's samples.
const homeShot = "last samples"

// look reads the samples of the chosen run.
func (h *home) look() tea.Cmd {
	if h.at == 0 || h.desk.Last == nil {
		return nil
	}
	r := h.runs[h.at-1]
	if r.Sample == "" || r.Dir == h.wants {
		return nil
	}
	h.wants = r.Dir
	return func() tea.Msg {
		m, err := h.desk.Last(r)
		if err != nil {
			return nil // it is gone: there is nothing to show
		}
		return homeShotMsg{r, m}
	}
}

func newHome(runs []RunInfo, presets []string) *home {
	h := &home{runs: runs, choice: Choice{Action: ActionQuit}}
	h.forms = func() *form {
		f := newForm(presets)
		f.looks = h.desk.Look != nil
		return f
	}
	if len(runs) > 0 {
		h.at = 1
	}
	return h
}

func (h *home) init() tea.Cmd  { return h.look() }
func (h *home) typing() bool   { return h.form != nil }
func (h *home) notice() string { return "" }

func (h *home) leave(bool) tea.Cmd {
	h.choice = Choice{Action: ActionQuit}
	return quit
}

func (h *home) update(msg tea.Msg) tea.Cmd {
	if m, ok := msg.(homeShotMsg); ok {
		if m.run.Dir == h.wants {
			h.fresh, h.shown = &m, m.run.Dir
		}
		return nil
	}
	if h.form == nil {
		return nil
	}
	switch msg := msg.(type) {
	case lookMsg:
		h.form.take(msg)
		return nil
	case tickMsg:
		if h.form.busy {
			return tick(time.Second / 8)
		}
		return nil
	}
	switch h.form.update(msg) {
	case formLook:
		return h.form.look(h.desk)
	case formBack:
		h.form.leave()
		h.form = nil
	case formDone:
		h.choice = Choice{Action: ActionNew, Preset: h.form.preset(), Data: h.form.data()}
		return quit
	}
	return nil
}

func (h *home) table() []binding {
	if h.form != nil {
		return h.form.table()
	}
	move := func(n int) func() tea.Cmd {
		return func() tea.Cmd { h.at = min(len(h.runs), max(0, h.at+n)); return h.look() }
	}
	return []binding{
		{keys: []string{"up", "k"}, name: "", help: "the run before", do: move(-1)},
		{keys: []string{"down", "j"}, name: "", help: "the next run", do: move(1)},
		{keys: []string{"enter"}, name: "open", help: "watch or go on with the run, or make a new one", do: h.open},
		{keys: []string{"s"}, name: "sample", help: "make samples from the run", do: h.sample},
		{keys: []string{"n"}, name: "new run", help: "a new run", do: func() tea.Cmd { h.form = h.forms(); return nil }},
		{keys: []string{"q", "esc"}, name: "quit", help: "leave", do: func() tea.Cmd { return h.leave(true) }},
	}
}

func (h *home) open() tea.Cmd {
	if h.at == 0 {
		h.form = h.forms()
		return nil
	}
	h.choice = Choice{Action: ActionOpen, Run: h.runs[h.at-1]}
	return quit
}

func (h *home) sample() tea.Cmd {
	if h.at == 0 {
		return nil
	}
	h.choice = Choice{Action: ActionSample, Run: h.runs[h.at-1]}
	return quit
}

func (h *home) draw(s surface) block {
	th := s.th
	if h.form != nil {
		return h.form.draw(s)
	}
	h.list.top = 0
	if s.h < 6 || s.w < 24 {
		return text(s.w, s.h, h.rows(s, s.w, s.h)...)
	}
	h.list.top = 2
	what := fmt.Sprintf("%d runs", len(h.runs))
	if len(h.runs) == 1 {
		what = "1 run"
	}
	head := text(s.w, 1, headerLine(th, "", []string{bold("").Paint("Denoising diffusion in the terminal")}, what, s.w))
	if h.fresh != nil {
		s.g.set(homeShot, picture.Sheet{Image: h.fresh.m, Rows: h.fresh.run.SampleRows, Cols: h.fresh.run.SampleCols}, true)
		h.fresh = nil
	}
	shotH := 0
	if h.at > 0 && h.shown == h.runs[h.at-1].Dir && s.h >= 20 {
		shotH = min((s.h-1)/2, s.h-1-5)
	}
	list := panel(th, "runs", "", s.w, s.h-1-shotH, func(w, hh int) block { return text(w, hh, h.rows(s, w, hh)...) })
	if shotH == 0 {
		return stack(head, list)
	}
	r := h.runs[h.at-1]
	last := panel(th, "its last samples", th.dim.Paint("step "+brief(r.Step)+" of "+brief(r.Steps)), s.w, shotH, func(w, h int) block { return s.g.draw(th, homeShot, w, h, "") })
	return stack(head, list, last)
}

// rows are the entries that fit, with the chosen one among them.
func (h *home) rows(s surface, w, n int) []string {
	lines := []string{h.row(s, w, 0, "+ new run", "", "", "", nil, time.Time{})}
	if len(h.runs) == 0 {
		lines = append(lines, "", s.th.dim.Paint("   no runs here yet: enter starts one on the images in the program"))
	}
	for i, r := range h.runs {
		progress := brief(r.Step)
		if r.Steps > 0 {
			progress += "/" + brief(r.Steps)
		}
		lines = append(lines, h.row(s, w, i+1, clean(r.Name), strings.ToUpper(clean(r.State)), progress, number(r.LossEMA), r.Loss, r.Updated))
	}
	h.list.first = 0
	if skip := h.at - n/2; len(lines) > n && skip > 0 {
		h.list.first = min(skip, len(lines)-n)
	}
	lines = lines[h.list.first:]
	h.list.lines = min(n, len(lines))
	return lines
}

// click implements clickable: a click chooses a run, one on the chosen run opens it.
func (h *home) click(_, y int) tea.Cmd {
	at, ok := h.list.at(y)
	switch {
	case !ok || at > len(h.runs):
		return nil
	case at == h.at:
		return h.open()
	}
	h.at = at
	return h.look()
}

// row is one entry. Columns leave from the right on a narrow screen.
func (h *home) row(s surface, w, i int, name, state, progress, loss string, history []float64, updated time.Time) string {
	th := s.th
	mark, paint := "  ", func(s string) string { return s }
	if i == h.at {
		mark, paint = "> ", th.chosen.Paint
	}
	nameW := max(8, min(40, w-60))
	line := mark + paint(pad(" "+name, nameW))
	if i == 0 {
		return line
	}
	stateInk := th.dim
	switch state {
	case "RUNNING", "DONE":
		stateInk = th.good
	case "FAILED":
		stateInk = th.bad
	case "PAUSED", "STOPPED":
		stateInk = th.warn
	}
	sparkW := max(0, min(40, w-nameW-46))
	return line + "  " + bold(stateInk).Paint(pad(state, 9)) + pad(progress, 13) + pad(loss, 9) +
		chart.Spark(chart.Log(sample(history, sparkW)), max(1, sparkW), 1, th.accent)[0] + " " + th.dim.Paint(ago(updated, s.now))
}

// sample takes n of the values, evenly.
func sample(v []float64, n int) []float64 {
	if n <= 0 {
		return nil
	}
	if len(v) <= n {
		return v
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = v[(i+1)*len(v)/n-1]
	}
	return out
}
