package tui

import (
	"context"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// RunTraining shows a run until the person leaves it. It returns nil when the run had ended, and ErrLeft when it had not. The end of
// ctx asks the trainer to stop and leaves when it has.
func RunTraining(ctx context.Context, src Source, opt Options) error {
	t := newTraining(src, opt)
	if err := show(ctx, t, opt); err != nil {
		return err
	}
	if !t.closed {
		return ErrLeft
	}
	return nil
}

// The tabs of the training screen.
const (
	tabTrain = iota
	tabPictures
	tabLog
	tabs
)

var tabNames = [tabs]string{"Train", "Pictures", "Log"}

// training is the training screen.
type training struct {
	src    Source
	next   []string
	title  string
	opened time.Time
	progress

	tab      int
	logScale bool // the loss axis
	scroll   int  // lines the log is scrolled back
	page     int  // lines of the log that were shown

	captions map[string]string
	frames   map[string]int64 // step by name
	readOnly bool             // it is watched and no more
	closed   bool             // the source has ended
	asking   bool             // how to stop
	stopping bool             // we asked for the end
	exit     bool             // and leave when it has come
	pictures []Frame          // new, not hung yet
}

func newTraining(src Source, opt Options) *training {
	t := &training{src: src, readOnly: opt.ReadOnly, title: clean(opt.Title), logScale: true, opened: time.Now(), captions: map[string]string{}, frames: map[string]int64{}}
	for _, n := range opt.Next {
		t.next = append(t.next, clean(n))
	}
	return t
}

// tickMsg moves the clock of a screen.
type tickMsg struct{}

func tick(d time.Duration) tea.Cmd {
	return tea.Tick(d, func(time.Time) tea.Msg { return tickMsg{} })
}

// sentMsg is how sending a command went.
type sentMsg struct {
	command run.Command
	err     error
}

func (t *training) init() tea.Cmd {
	cmds := []tea.Cmd{gather(t.src.Events()), tick(time.Second / 8)}
	if f := t.src.Frames(); f != nil {
		cmds = append(cmds, gather(f))
	}
	return tea.Batch(cmds...)
}

func (t *training) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case batchMsg[run.Event]:
		for _, e := range msg.items {
			t.apply(e)
		}
		if !msg.closed {
			return gather(t.src.Events())
		}
		return t.ended()
	case batchMsg[Frame]:
		t.pictures = append(t.pictures, msg.items...)
		if !msg.closed {
			return gather(t.src.Frames())
		}
	case tickMsg:
		switch {
		case t.closed:
			return nil
		case t.steps == 0:
			return tick(time.Second / 8) // a spinner turns
		}
		return tick(time.Second)
	case sentMsg:
		if msg.err != nil {
			t.note(time.Now(), "error", fmt.Sprintf("%s: %s", msg.command.Name, clean(msg.err.Error())))
			if msg.command == run.Stop {
				t.stopping, t.exit = false, false
			}
		}
	}
	return nil
}

// ended is called when the source is closed: the screen stays, unless the person has asked to leave.
func (t *training) ended() tea.Cmd {
	t.closed, t.asking = true, false
	if t.exit {
		return quit
	}
	now := time.Now()
	if t.end == nil {
		t.state = "ended"
		t.note(now, "warn", "the trainer has gone without a word")
	}
	for _, n := range t.next {
		t.note(now, "next", n)
	}
	t.scroll = 0
	return nil
}

func (t *training) send(c run.Command) tea.Cmd {
	if t.closed {
		return nil
	}
	return func() tea.Msg { return sentMsg{c, t.src.Send(c)} }
}

// leave leaves a trainer in another process to itself. One in this process it asks to save and stop, and leaves when it has; a
// second key leaves at once.
func (t *training) leave(byKey bool) tea.Cmd {
	if t.closed || t.remote() != nil || t.stopping && byKey {
		return quit
	}
	if t.stopping {
		return nil
	}
	return t.stop()
}

func (t *training) typing() bool { return false }

func (t *training) notice() string {
	if t.stopping && !t.closed {
		return "saving a checkpoint, then leaving ... q again leaves at once"
	}
	return ""
}

// hang gives new frames to the gallery.
func (t *training) hang(g *gallery) {
	for _, f := range t.pictures {
		if f.Image == nil {
			continue
		}
		g.set(f.Name, picture.Sheet{Image: f.Image, Rows: f.Rows, Cols: f.Cols}, false)
		t.captions[f.Name], t.frames[f.Name] = clean(f.Caption), f.Step
	}
	t.pictures = t.pictures[:0]
}

func (t *training) table() []binding {
	if t.asking {
		return t.answers()
	}
	open := func(tab int) func() tea.Cmd {
		return func() tea.Cmd { t.tab = tab; return nil }
	}
	ask := func(c run.Command) func() tea.Cmd { return func() tea.Cmd { return t.send(c) } }
	back := func(n int) func() tea.Cmd {
		return func() tea.Cmd { t.scroll = max(0, t.scroll+n); return nil }
	}
	var keys []binding
	if !t.closed && !t.readOnly {
		pause := "pause"
		if t.state == "paused" {
			pause = "go on"
		}
		keys = append(keys,
			binding{keys: []string{"p"}, name: pause, help: "pause, or go on", do: ask(run.Pause)},
			binding{keys: []string{"s"}, name: "sample", help: "make samples now", do: ask(run.SampleNow)},
			binding{keys: []string{"c"}, name: "checkpoint", help: "save a checkpoint now", do: ask(run.SaveCheckpoint)},
			binding{keys: []string{"Q"}, help: "stop training (asks)", do: t.ask},
		)
	}
	quits, leaving := "quit", "save a checkpoint and leave; twice leaves at once"
	switch {
	case t.closed:
		leaving = "leave"
	case t.remote() != nil:
		quits, leaving = "detach", "leave; training goes on"
	}
	return append(keys,
		binding{keys: []string{"tab"}, name: "next tab", help: "next tab", do: func() tea.Cmd { t.tab = (t.tab + 1) % tabs; return nil }},
		binding{keys: []string{"shift+tab"}, help: "tab before", do: func() tea.Cmd { t.tab = (t.tab + tabs - 1) % tabs; return nil }},
		binding{keys: []string{"1"}, help: "training", do: open(tabTrain)},
		binding{keys: []string{"2"}, help: "pictures, large", do: open(tabPictures)},
		binding{keys: []string{"3"}, help: "the whole log", do: open(tabLog)},
		binding{keys: []string{"y"}, name: "log axis", help: "logarithmic or linear loss axis", do: func() tea.Cmd { t.logScale = !t.logScale; return nil }},
		binding{keys: []string{"up", "k"}, help: "scroll the log back", do: back(1)},
		binding{keys: []string{"down", "j"}, help: "scroll the log on", do: back(-1)},
		binding{keys: []string{"pgup"}, help: "a page back", do: func() tea.Cmd { return back(max(1, t.page-1))() }},
		binding{keys: []string{"pgdown"}, help: "a page on", do: func() tea.Cmd { return back(-max(1, t.page-1))() }},
		binding{keys: []string{"q"}, name: quits, help: leaving, do: func() tea.Cmd { return t.leave(true) }},
	)
}
