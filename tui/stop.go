package tui

import (
	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A Remote source is a run in another process: leaving the screen leaves it running.
type Remote interface {
	Source
	// Kill ends the trainer at once, without saving.
	Kill() error
}

// remote is the source as a Remote, nil if the trainer is in this process.
func (t *training) remote() Remote {
	r, _ := t.src.(Remote)
	return r
}

// ask opens the question how to stop.
func (t *training) ask() tea.Cmd {
	t.asking = !t.closed
	return nil
}

// stop asks the trainer to save and stop, and leaves when it has.
func (t *training) stop() tea.Cmd {
	t.asking, t.stopping, t.exit = false, true, true
	return t.send(run.Stop)
}

// kill ends the trainer without saving.
func (t *training) kill() tea.Cmd {
	t.asking = false
	r := t.remote()
	return func() tea.Msg { return sentMsg{run.Command{Name: "kill"}, r.Kill()} }
}

// answers are the keys while the question is open.
func (t *training) answers() []binding {
	keys := []binding{{keys: []string{"s"}, name: "save and stop", help: "save a checkpoint, stop training, leave", do: t.stop}}
	if t.remote() != nil {
		keys = append(keys, binding{keys: []string{"k"}, name: "kill", help: "stop at once: what came after the last checkpoint is lost", do: t.kill})
	}
	return append(keys, binding{keys: []string{"esc", "c", "q", "Q"}, name: "cancel", help: "go on training", do: func() tea.Cmd { t.asking = false; return nil }})
}

// question is the box that asks.
func (t *training) question(s surface) block {
	b := tableBlock(s.th, "stop training?", t.answers(), nil, s.w, s.h)
	if b.w < 4 || b.h < 3 {
		return text(s.w, s.h, "stop training?")
	}
	return b
}
