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

// A SampleFrame is one step of sampling. The images are grids of Rows by Cols tiles, edge to edge.
type SampleFrame struct {
	Step, Steps int // steps done, of how many
	T           int // the timestep reached, 1..T on the screen; 0 is the image
	Xt, X0      image.Image
	Rows, Cols  int    // of tiles; 0 is one picture
	Done        bool   // the last frame
	Saved       string // the file, once it is written
	Err         error  // sampling has failed
	ImagesPerS  float64
}

// RunSampling shows sampling as it happens, and stays after its end until the person leaves. It returns ErrLeft if the person left
// before the end, so that the command can cancel the work. The end of ctx leaves at once.
func RunSampling(ctx context.Context, frames <-chan SampleFrame, opt Options) error {
	m := newSampling(frames, opt)
	if err := show(ctx, m, opt); err != nil {
		return err
	}
	if !m.over() {
		return ErrLeft
	}
	return nil
}

// What the sampling screen shows.
const (
	viewBoth = iota // x_t beside x_0
	viewXt
	viewX0
	views
)

const (
	pictureXt = "x_t"
	pictureX0 = "x_0"
)

// sampling is the sampling screen.
type sampling struct {
	frames <-chan SampleFrame
	title  string
	next   []string
	opened time.Time
	first  time.Time // of the first frame
	last   SampleFrame
	any    bool // a frame has come
	hung   bool // its pictures are in the gallery
	saved  string
	err    error
	closed bool
	view   int
}

func newSampling(frames <-chan SampleFrame, opt Options) *sampling {
	m := &sampling{frames: frames, title: clean(opt.Title), opened: time.Now()}
	for _, n := range opt.Next {
		m.next = append(m.next, clean(n))
	}
	return m
}

func (m *sampling) over() bool { return m.closed || m.last.Done || m.err != nil }

func (m *sampling) init() tea.Cmd { return tea.Batch(gather(m.frames), tick(time.Second/8)) }

func (m *sampling) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case batchMsg[SampleFrame]:
		for _, f := range msg.items {
			m.take(f)
		}
		if !msg.closed {
			return gather(m.frames)
		}
		m.closed = true
	case tickMsg:
		switch {
		case m.over():
			return nil
		case !m.any:
			return tick(time.Second / 8)
		}
		return tick(time.Second)
	}
	return nil
}

// take keeps the newest of everything: a frame may bring only a picture, or only the name of the file.
func (m *sampling) take(f SampleFrame) {
	if !m.any {
		m.any, m.first = true, time.Now()
	}
	if f.Xt == nil {
		f.Xt, f.X0, f.Rows, f.Cols = m.last.Xt, m.last.X0, m.last.Rows, m.last.Cols
	} else {
		m.hung = false
	}
	if f.Done {
		m.hung = false // again, as a picture that stays
	}
	f.Done = f.Done || m.last.Done
	if f.Steps == 0 {
		f.Step, f.Steps, f.T = m.last.Step, m.last.Steps, m.last.T
	}
	if f.Saved != "" {
		m.saved = clean(f.Saved)
	}
	if f.Err != nil {
		m.err = f.Err
	}
	m.last = f
}

// pace is that of its pictures: four a second.
func (m *sampling) pace() time.Duration { return time.Second / 4 }

func (m *sampling) typing() bool       { return false }
func (m *sampling) notice() string     { return "" }
func (m *sampling) leave(bool) tea.Cmd { return quit }

func (m *sampling) table() []binding {
	stop := binding{keys: []string{"q"}, name: "stop", help: "stop sampling and leave", do: func() tea.Cmd { return quit }}
	if m.over() {
		stop.name, stop.help = "quit", "leave"
	}
	return []binding{
		{keys: []string{"x"}, name: "x_t / x_0", help: "the noisy image x_t, the image predicted from it x_0, or both", do: func() tea.Cmd {
			m.view = (m.view + 1) % views
			return nil
		}},
		stop,
	}
}

func (m *sampling) state(th theme) (string, chart.Ink) {
	switch {
	case m.err != nil:
		return "FAILED", th.bad
	case m.last.Done:
		return "DONE", th.good
	case m.closed:
		return "STOPPED", th.warn
	case !m.any:
		return "STARTING", th.accent
	}
	return "SAMPLING", th.good
}

func (m *sampling) fraction() float64 {
	if m.last.Steps <= 0 {
		return 0
	}
	return float64(m.last.Step) / float64(m.last.Steps)
}

// left is the time left, from the time the steps so far have taken.
func (m *sampling) left(now time.Time) string {
	f := m.fraction()
	if f <= 0 || f >= 1 || m.over() {
		return ""
	}
	return span(now.Sub(m.first).Seconds()/f*(1-f)) + " left"
}

func (m *sampling) draw(s surface) block {
	m.hang(s.g)
	th := s.th
	word, ink := m.state(th)
	parts := []string{badge(ink, word)}
	if m.last.Steps > 0 {
		parts = append(parts, fmt.Sprintf("step %d/%d", m.last.Step, m.last.Steps), fmt.Sprintf("t = %d", m.last.T))
	}
	if l := m.left(s.now); l != "" {
		parts = append(parts, l)
	}
	if m.last.ImagesPerS > 0 {
		parts = append(parts, chart.Label(m.last.ImagesPerS)+" images/s")
	}
	if !m.any && !m.closed {
		parts = append(parts, span(s.now.Sub(m.opened).Seconds()))
	}
	if s.w < 30 || s.h < 8 {
		return text(s.w, s.h, append(parts, m.endLines(th)...)...)
	}
	head := text(s.w, 2,
		headerLine(th, m.title, parts, s.g.mode.String(), s.w),
		" "+chart.Progress(m.fraction(), s.w-2, th.accent, th.border))
	var foot []block
	footH := 0
	if lines := m.endLines(th); len(lines) > 0 {
		footH = min(len(lines), s.h-7)
		foot = append(foot, text(s.w, footH, lines...))
	}
	body := m.pictures(s, s.w, s.h-2-footH)
	return stack(append([]block{head, body}, foot...)...)
}

// pictures is one panel or two. On a screen too narrow for two the view of both is x_0, which says more than x_t.
func (m *sampling) pictures(s surface, w, h int) block {
	one := func(name, title string, w int) block {
		return panel(s.th, title, "", w, h, func(w, h int) block { return s.g.draw(s.th, name, w, h, "the first step is on its way") })
	}
	noisy, predicted := "x_t", "x_0 as predicted"
	if m.last.Done {
		noisy = "samples"
	}
	hasX0 := m.last.X0 != nil
	switch {
	case m.view == viewXt || !hasX0 || m.last.Done && m.view == viewBoth:
		return one(pictureXt, noisy, w)
	case m.view == viewX0 || w < 2*s.cols(h-2)*2/3:
		return one(pictureX0, predicted, w)
	}
	return beside(one(pictureXt, noisy, w/2), one(pictureX0, predicted, w-w/2))
}

func (m *sampling) hang(g *gallery) {
	if m.hung || m.last.Xt == nil {
		return
	}
	m.hung = true
	g.set(pictureXt, picture.Sheet{Image: m.last.Xt, Rows: m.last.Rows, Cols: m.last.Cols}, m.last.Done)
	if m.last.X0 != nil {
		g.set(pictureX0, picture.Sheet{Image: m.last.X0, Rows: m.last.Rows, Cols: m.last.Cols}, m.last.Done)
	}
}

// endLines say what came out of it and what one can do next.
func (m *sampling) endLines(th theme) []string {
	var lines []string
	if m.err != nil {
		lines = append(lines, " "+bold(th.bad).Paint("error ")+clean(strings.TrimSpace(m.err.Error())))
	}
	if m.saved != "" {
		lines = append(lines, " "+bold(th.good).Paint("saved ")+m.saved)
	}
	if m.over() {
		for _, n := range m.next {
			lines = append(lines, " "+bold(th.good).Paint("> ")+n)
		}
	}
	return lines
}
