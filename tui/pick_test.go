package tui

import (
	"strings"
	"testing"
)

// The list keeps to the run that is chosen, wherever it moves, and survives that there is none left.
func TestPick(t *testing.T) {
	runs := []RunInfo{{Name: "one", Dir: "1"}, {Name: "two", Dir: "2"}, {Name: "three", Dir: "3"}}
	p := &pick{list: func() []RunInfo { return runs }, title: "runs", runs: runs}
	s := testShell(t, p, Options{}, 80, 24)
	press(s, "down", "down", "down")
	send(s, pickedMsg{runs[2], runs[0]})
	if p.runs[p.at].Name != "three" {
		t.Errorf("it is at %s", p.runs[p.at].Name)
	}
	press(s, "enter")
	if !p.chosen {
		t.Error("nothing is chosen")
	}
	p.chosen = false
	send(s, pickedMsg{})
	press(s, "up", "down", "enter")
	check(t, s)
	if p.chosen || !strings.Contains(s.content, "no runs here yet") {
		t.Errorf("an empty list: %v\n%s", p.chosen, s.content)
	}
}

// Who only watches has no keys that change a run, and none that would ask to.
func TestReadOnly(t *testing.T) {
	src := newSource()
	m := newTraining(src, Options{ReadOnly: true})
	s := testShell(t, m, Options{}, 80, 24)
	for _, e := range history(5) {
		m.apply(e)
	}
	press(s, "p", "s", "c", "Q", "e")
	check(t, s)
	if m.asking || len(src.sent) > 0 {
		t.Error("a key of control does something")
	}
}
