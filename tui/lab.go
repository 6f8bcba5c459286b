package tui

import (
	"context"
	"errors"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab/experiment"
)

// RunLab shows the lab: the list of experiments, or at once the one that is not nil, with parameters p. It returns when the person
// leaves; what was being trained then has a checkpoint. Where the terminal is lost instead, a trainer in another process goes on.
func RunLab(ctx context.Context, l *experiment.Lab, e *experiment.Experiment, p experiment.Params, opt Options) error {
	m := newLabScreen(l, p)
	if e != nil {
		m.open(e)
	}
	err := show(ctx, m, opt)
	if m.left {
		m.stop()
	} else {
		m.end(experiment.ErrLeave) // the terminal is gone
	}
	return err
}

// longestHistory is how many moments one can step back.
const longestHistory = 1200

// labScreen is the screen of the lab: the list, or one experiment that runs beside it.
type labScreen struct {
	lab    *experiment.Lab
	run    func(context.Context, *experiment.Experiment, experiment.Params, func(experiment.Frame)) (*experiment.Result, error)
	chosen experiment.Params // by flags and keys; zero is the experiment's default
	at     int               // in the list
	e      *experiment.Experiment
	p      experiment.Params // complete
	job    *labJob
	began  time.Time
	show   labShow
	paused bool
	left   bool // the person did
	err    error
}

// labShow is what an experiment has shown so far.
type labShow struct {
	phase       string
	done, total int64
	pictures    []experiment.Picture // of the newest frame that had some
	figures     []experiment.Figure
	charts      []experiment.Chart
	history     []experiment.Frame // moments
	back        int                // moments before the newest that are looked at
	picture     int                // the one that comes first
	chart       int
	over        bool
	fresh       bool // the pictures are not hung yet
}

// A labJob is an experiment at work.
type labJob struct {
	frames chan experiment.Frame
	cancel context.CancelCauseFunc
	ended  chan struct{}
	err    error // once ended is closed
}

// labFrames are new frames of a job.
type labFrames struct {
	job *labJob
	batchMsg[experiment.Frame]
}

func newLabScreen(l *experiment.Lab, p experiment.Params) *labScreen {
	return &labScreen{lab: l, run: l.Run, chosen: p}
}

func (m *labScreen) init() tea.Cmd {
	if m.job != nil {
		return tea.Batch(m.job.next(), tick(time.Second))
	}
	return tick(time.Second)
}

// open begins an experiment. One that was at work is stopped first; it has saved what it trained when open returns.
func (m *labScreen) open(e *experiment.Experiment) tea.Cmd {
	m.stop()
	m.e, m.show, m.paused, m.err, m.began = e, labShow{phase: "starting"}, false, nil, time.Now()
	if m.p, m.err = e.Complete(m.chosen); m.err != nil {
		m.show.over = true
		return nil
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	j := &labJob{frames: make(chan experiment.Frame), cancel: cancel, ended: make(chan struct{})}
	m.job = j
	p, run := m.p, m.run
	go func() {
		defer close(j.ended)
		defer close(j.frames)
		_, j.err = run(ctx, e, p, func(f experiment.Frame) {
			select {
			case j.frames <- f: // a screen that is paused takes none, and the work waits
			case <-ctx.Done():
			}
		})
	}()
	return j.next()
}

// next waits for frames.
func (j *labJob) next() tea.Cmd {
	wait := gather(j.frames)
	return func() tea.Msg { return labFrames{j, wait().(batchMsg[experiment.Frame])} }
}

// stop ends the job and waits for it.
func (m *labScreen) stop() { m.end(nil) }

func (m *labScreen) end(cause error) {
	if m.job == nil {
		return
	}
	m.job.cancel(cause)
	for range m.job.frames {
	}
	<-m.job.ended
	m.job = nil
}

func (m *labScreen) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case labFrames:
		if msg.job != m.job {
			return nil // of an experiment that was left
		}
		for _, f := range msg.items {
			m.show.take(f)
		}
		if msg.closed {
			<-m.job.ended
			m.err, m.show.over, m.job = m.job.err, true, nil
			if errors.Is(m.err, context.Canceled) {
				m.err = nil
			}
			return nil
		}
		if m.paused && !m.elsewhere() {
			return nil
		}
		return m.job.next()
	case tickMsg:
		return tick(time.Second)
	}
	return nil
}

// take keeps the newest of everything.
func (v *labShow) take(f experiment.Frame) {
	if f.Phase != "" {
		v.phase, v.done, v.total = f.Phase, f.Done, f.Total
	}
	if len(f.Figures) > 0 {
		v.figures = f.Figures
	}
	if len(f.Charts) > 0 {
		v.charts = f.Charts
		v.chart = min(v.chart, len(f.Charts)-1)
	}
	if len(f.Pictures) == 0 {
		return
	}
	if f.Moment {
		if v.history = append(v.history, f); len(v.history) > longestHistory {
			v.history = v.history[1:]
		}
		if v.back > 0 { // who looks back goes on to look at the same moment
			v.back = min(v.back+1, len(v.history)-1)
		}
	}
	v.pictures, v.fresh = f.Pictures, true
	v.picture = min(v.picture, len(v.pictures)-1)
}

// seen are the pictures and figures that are looked at: the newest, or those of a moment before.
func (v *labShow) seen() ([]experiment.Picture, []experiment.Figure) {
	if v.back == 0 || v.back >= len(v.history) {
		return v.pictures, v.figures
	}
	f := v.history[len(v.history)-1-v.back]
	figures := v.figures
	if len(f.Figures) > 0 {
		figures = f.Figures
	}
	return f.Pictures, figures
}

// step looks n moments further back, or on.
func (v *labShow) step(n int) {
	v.back = max(0, min(v.back+n, len(v.history)-1))
	v.fresh = true
}

func (m *labScreen) typing() bool   { return false }
func (m *labScreen) notice() string { return "" }

func (m *labScreen) leave(byKey bool) tea.Cmd {
	m.left = byKey
	return quit
}

func (m *labScreen) table() []binding {
	leave := binding{keys: []string{"q"}, name: "quit", help: "leave; what is being trained is saved", do: func() tea.Cmd { return m.leave(true) }}
	if m.e == nil {
		all := experiment.All()
		move := func(n int) func() tea.Cmd {
			return func() tea.Cmd { m.at = min(len(all)-1, max(0, m.at+n)); return nil }
		}
		return []binding{
			{keys: []string{"up", "k"}, help: "the experiment before", do: move(-1)},
			{keys: []string{"down", "j"}, help: "the next experiment", do: move(1)},
			{keys: []string{"enter"}, name: "open", help: "run the experiment", do: func() tea.Cmd { return m.open(all[m.at]) }},
			leave,
		}
	}
	table := []binding{{keys: []string{"esc"}, name: "all", help: "back to the list of experiments", do: func() tea.Cmd { m.stop(); m.e = nil; return nil }}}
	if m.job != nil {
		name := "pause"
		if m.paused {
			name = "go on"
		}
		table = append(table, binding{keys: []string{"space"}, name: name, help: "pause the work, or go on", do: m.pause})
	}
	if len(m.show.history) > 1 {
		table = append(table,
			binding{keys: []string{"left"}, name: "back", help: "a moment back", do: func() tea.Cmd { m.show.step(1); return nil }},
			binding{keys: []string{"right"}, name: "on", help: "a moment on", do: func() tea.Cmd { m.show.step(-1); return nil }},
			binding{keys: []string{"home"}, help: "the first moment", do: func() tea.Cmd { m.show.step(longestHistory); return nil }},
			binding{keys: []string{"end"}, help: "the newest", do: func() tea.Cmd { m.show.step(-longestHistory); return nil }})
	}
	if len(m.show.pictures) > 1 {
		table = append(table, binding{keys: []string{"tab"}, name: "picture", help: "the next picture", do: func() tea.Cmd {
			m.show.picture, m.show.fresh = (m.show.picture+1)%len(m.show.pictures), true
			return nil
		}})
	}
	if len(m.show.charts) > 1 {
		table = append(table, binding{keys: []string{"c"}, name: "chart", help: "the next chart", do: func() tea.Cmd {
			m.show.chart = (m.show.chart + 1) % len(m.show.charts)
			return nil
		}})
	}
	return append(append(table, m.knobs()...), leave)
}

// pause lets the work wait, or go on: while no frame is taken, none can be made here.
func (m *labScreen) pause() tea.Cmd {
	if m.elsewhere() {
		select {
		case m.lab.Pauses <- struct{}{}:
			m.paused = !m.paused
		default: // the trainer has not seen the last one yet
		}
		return nil
	}
	m.paused = !m.paused
	if m.paused || m.job == nil {
		return nil
	}
	return m.job.next()
}

// elsewhere reports whether another process is training, which pauses when it is told to; what it has said until then is still taken.
func (m *labScreen) elsewhere() bool {
	return m.lab != nil && m.lab.Train != nil && m.show.phase == experiment.Training
}

// knobs are the keys that change a parameter, which begins the experiment anew.
func (m *labScreen) knobs() []binding {
	var out []binding
	knob := func(name, help string, change func(p *experiment.Params), keys ...string) {
		out = append(out, binding{keys: keys, name: name, help: help, do: func() tea.Cmd {
			before := m.chosen
			change(&m.chosen)
			if _, err := m.e.Complete(m.chosen); err != nil { // as a group that does not fit the order
				m.chosen = before
				return nil
			}
			return m.open(m.e)
		}})
	}
	for _, k := range m.e.Knobs {
		switch k {
		case experiment.KnobGroup:
			sizes := []int{1, 4, 16, 64, 256}
			knob("group", "the next group size", func(p *experiment.Params) { p.Group = after(sizes, m.p.Group, 1) }, "g")
			knob("", "the group size before", func(p *experiment.Params) { p.Group = after(sizes, m.p.Group, -1) }, "G")
		case experiment.KnobOrder:
			knob("order", "the next order", func(p *experiment.Params) { p.Order = after(lab.Orders(), m.p.Order, 1) }, "o")
		case experiment.KnobT:
			counts := []int{50, 100, 300, 1000}
			knob("T", "more timesteps", func(p *experiment.Params) { p.T = after(counts, m.p.T, 1) }, "t")
			knob("", "fewer timesteps", func(p *experiment.Params) { p.T = after(counts, m.p.T, -1) }, "T")
		case experiment.KnobSchedule:
			knob("schedule", "the next schedule", func(p *experiment.Params) { p.Schedule = after(ddpm.Kinds(), m.p.Schedule, 1) }, "d")
		case experiment.KnobHead:
			knob("head", "the next head", func(p *experiment.Params) { p.Head = after([]lab.Head{lab.MSE, lab.L1}, m.p.Head, 1) }, "h")
		case experiment.KnobSeed:
			knob("seed", "the next seed", func(p *experiment.Params) { p.Seed++ }, "s")
		}
	}
	return out
}

// after is the value n places behind v, around the end.
func after[V comparable](list []V, v V, n int) V {
	for i, w := range list {
		if w == v {
			return list[(i+n+len(list))%len(list)]
		}
	}
	return list[0]
}

// settings are the parameters that keys change, for the head of the screen.
func (m *labScreen) settings() string {
	var parts []string
	for _, b := range m.e.Knobs {
		switch b {
		case experiment.KnobGroup:
			parts = append(parts, "group "+count(int64(m.p.Group)))
		case experiment.KnobOrder:
			parts = append(parts, "order "+string(m.p.Order))
		case experiment.KnobT:
			parts = append(parts, "T "+count(int64(m.p.T)))
		case experiment.KnobSchedule:
			parts = append(parts, m.p.Schedule)
		case experiment.KnobHead:
			parts = append(parts, "head "+string(m.p.Head))
		case experiment.KnobSeed:
			parts = append(parts, "seed "+count(int64(m.p.Seed)))
		}
	}
	return strings.Join(parts, ", ")
}
