package tui

import (
	"io"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// The clock of bubbletea's frames is where we look for it, and goes slowly while nothing changes. If this fails after an upgrade, screens
// work as before and cost more.
func TestFrameClock(t *testing.T) {
	in := &watchedScreen{screen: newData(DataInfo{})}
	s, err := newShell(t.Context(), in, picture.NewScreen(io.Discard), Options{}, picture.NoColours)
	if err != nil {
		t.Fatal(err)
	}
	in.shell = s
	keys, typed := io.Pipe()
	p := newPaced(s, false, Options{}, tea.WithInput(keys), tea.WithWindowSize(80, 24))
	ended := make(chan error, 1)
	go func() { ended <- finish(p) }()
	look := func() frameClock {
		clock := make(chan frameClock, 1)
		p.Send(lookIn(func(s *shell) { clock <- *s.frames }))
		return <-clock
	}
	until := func(what string, ok func(frameClock) bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(look()); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("not so: ", what)
			}
		}
	}
	if look().ticker == nil {
		t.Fatal("bubbletea keeps its clock elsewhere")
	}
	resting := func(c frameClock) bool { return !c.fast }
	until("it rests", resting)
	p.Send(keyMsg("?"))
	until("it rests again", resting)
	p.Send(quitMsg{})
	typed.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
