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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTraining(src, opt)
	t.ctx = ctx
	if err := show(ctx, t, opt); err != nil {
		return err
	}
	if !t.closed {
		return ErrLeft
	}
	return nil
}

// training is the training screen.
type training struct {
	ctx    context.Context // ends with the screen
	src    Source
	desk   Desk
	next   []string
	title  string
	opened time.Time
	progress

	tab      int
	places   [tabs]tab
	logScale bool // the loss axis
	guides   bool // lines across the charts
	zoom     int  // the loss chart shows the last 1/2^zoom of the steps
	pan      int  // how far the chart is moved back, in quarters of what it shows
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
	now      chan struct{}    // what is known of the steps is to be shown now
	panels   map[string]drawnPanel
	big      int  // the panel that has the whole tab, 0 is none
	small    bool // there was no room for tabs
	crowded  bool // nor for their names
}

func newTraining(src Source, opt Options) *training {
	t := &training{
		ctx: context.Background(), src: src, readOnly: opt.ReadOnly, title: clean(opt.Title), logScale: true, opened: time.Now(),
		captions: map[string]string{}, frames: map[string]int64{}, now: make(chan struct{}, 1),
		places: [tabs]tab{&trainTab{}, &samplesTab{}, &samplerTab{}, &systemTab{}, &runsTab{}, &logsTab{}, &configTab{}},
	}
	if opt.Desk != nil {
		t.desk = *opt.Desk
	}
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
	cmds := []tea.Cmd{gatherEvents(t.src.Events(), t.now), tick(time.Second / 8)}
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
		var news tea.Cmd
		if t.tab == tabSamples {
			news = t.places[tabSamples].open(t)
		}
		if !msg.closed {
			return tea.Batch(gatherEvents(t.src.Events(), t.now), news)
		}
		return tea.Batch(t.ended(), news)
	case batchMsg[Frame]:
		t.pictures = append(t.pictures, msg.items...)
		select {
		case t.now <- struct{}{}: // one frame for both
		default:
		}
		if !msg.closed {
			return gather(t.src.Frames())
		}
	case tickMsg:
		if !t.closed && t.steps == 0 {
			return tick(time.Second / 8) // a spinner turns
		}
	case sentMsg:
		if msg.err != nil {
			t.note(time.Now(), "error", fmt.Sprintf("%s: %s", msg.command.Name, clean(msg.err.Error())))
			if msg.command == run.Stop {
				t.stopping, t.exit = false, false
			}
		}
	default:
		return t.toTabs(msg)
	}
	return nil
}

// toTabs gives a message to the tabs that it may be for: keys to the one in view, news to all.
func (t *training) toTabs(msg tea.Msg) tea.Cmd {
	switch msg.(type) {
	case tea.KeyPressMsg, tea.PasteMsg:
		return t.places[t.tab].update(t, msg)
	}
	var cmds []tea.Cmd
	for _, p := range t.places {
		cmds = append(cmds, p.update(t, msg))
	}
	return tea.Batch(cmds...)
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

func (t *training) typing() bool { return !t.asking && t.places[t.tab].typing() }

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

// commands says whether this screen can ask the trainer for something.
func (t *training) commands() bool { return !t.closed && !t.readOnly }

func (t *training) table() []binding {
	if t.asking {
		return t.answers()
	}
	ask := func(c run.Command) func() tea.Cmd { return func() tea.Cmd { return t.send(c) } }
	if t.typing() {
		return t.places[t.tab].table(t)
	}
	keys := t.places[t.tab].table(t)
	if t.commands() {
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
	keys = append(keys, t.tabKeys()...)
	return append(keys,
		binding{keys: []string{"q"}, name: quits, help: leaving, do: func() tea.Cmd { return t.leave(true) }},
	)
}
