package tui

import (
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// farSource is a run in another process.
type farSource struct {
	*fakeSource
	killed int
}

func (s *farSource) Kill() error { s.killed++; return nil }

// q leaves a run in another process to itself; Q asks, and can be taken back.
func TestDetach(t *testing.T) {
	src := &farSource{fakeSource: newSource()}
	m := newTraining(src, Options{})
	s := testShell(t, m, Options{}, 80, 24)
	send(s, batchMsg[run.Event]{items: history(5)})
	check(t, s)
	if !strings.Contains(stripSGR(s.content), "q detach") {
		t.Errorf("the footer does not say so:\n%s", s.content)
	}
	for _, byKey := range []bool{true, false} {
		if cmd := m.leave(byKey); cmd == nil || cmd() != (quitMsg{}) {
			t.Error("the screen stays")
		}
	}

	for _, back := range []string{"esc", "q", "Q", "c"} {
		press(s, "Q")
		check(t, s)
		for _, want := range []string{"stop training?", "save and stop", "kill", "cancel"} {
			if !strings.Contains(stripSGR(s.content), want) {
				t.Fatalf("no %q:\n%s", want, s.content)
			}
		}
		if back == "q" {
			press(s, "p") // nothing but an answer counts
		}
		press(s, back)
		if m.asking || strings.Contains(stripSGR(s.content), "stop training?") || len(src.sent) > 0 || src.killed > 0 {
			t.Errorf("%s does not go back", back)
		}
	}

	press(s, "Q")
	b, _ := find(s.table(), "k")
	if b.do()(); src.killed != 1 || m.asking {
		t.Error("not killed")
	}
	press(s, "Q")
	b, _ = find(s.table(), "s")
	b.do()()
	if got := <-src.sent; got != run.Stop || !m.stopping {
		t.Errorf("sent %s", got)
	}
	if cmd := m.update(batchMsg[run.Event]{closed: true}); cmd == nil || cmd() != (quitMsg{}) {
		t.Error("the run has ended, and the screen stays")
	}
}

// A run in this process cannot be killed alone, and the question goes when the run ends by itself.
func TestAskHere(t *testing.T) {
	var m *training
	for _, size := range [][2]int{{80, 24}, {20, 5}, {3, 2}} {
		m = newTraining(newSource(), Options{})
		s := testShell(t, m, Options{}, size[0], size[1])
		press(s, "Q")
		check(t, s)
		if _, ok := find(s.table(), "k"); ok {
			t.Error("it offers to kill")
		}
	}
	m.update(batchMsg[run.Event]{closed: true})
	if m.asking {
		t.Error("it still asks")
	}
}
