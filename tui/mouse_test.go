package tui

import (
	"fmt"
	"image"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// place is the cell where words begin on the screen.
func place(t *testing.T, s *shell, words string) image.Point {
	t.Helper()
	for y, l := range strings.Split(stripSGR(s.content), "\n") {
		if before, _, ok := strings.Cut(l, words); ok {
			return image.Pt(width(before), y)
		}
	}
	t.Fatalf("no %q in\n%s", words, stripSGR(s.content))
	return image.Point{}
}

// clickOn clicks on words of the screen.
func clickOn(t *testing.T, s *shell, words string) {
	t.Helper()
	at := place(t, s, words)
	send(s, tea.MouseClickMsg{X: at.X, Y: at.Y, Button: tea.MouseLeft})
	check(t, s)
}

// The mouse is the terminal's own until it is asked for; then tabs, keys and lists can be clicked, and the wheel scrolls.
func TestMouse(t *testing.T) {
	s := testShell(t, screens()["training"](), Options{}, 100, 30)
	m := s.in.(*training)
	if s.View().MouseMode != tea.MouseModeNone {
		t.Error("the mouse is taken unasked")
	}
	clickOn(t, s, "4 System")
	if m.tab != tabTrain {
		t.Error("a click does something before the mouse is wanted")
	}
	press(s, "m")
	if s.View().MouseMode != tea.MouseModeCellMotion {
		t.Error("m does not ask for the mouse")
	}
	for i, name := range tabNames {
		clickOn(t, s, fmt.Sprintf("%d %s", i+1, name))
		if m.tab != i {
			t.Errorf("a click on %s opens tab %d", name, m.tab)
		}
	}
	press(s, "1")
	clickOn(t, s, "? help")
	if !s.help {
		t.Error("a click on a key of the footer is not that key")
	}
	clickOn(t, s, "keys")
	if s.help {
		t.Error("a click does not close the help")
	}
	send(s, tea.MouseWheelMsg{Button: tea.MouseWheelUp})
	if m.scroll != 1 {
		t.Errorf("the wheel scrolls the log by %d", m.scroll)
	}

	runs := []RunInfo{{Name: "one", Dir: "runs/one"}, {Name: "two", Dir: "runs/two"}, {Name: "three", Dir: "runs/three"}}
	h := newHome(runs, nil)
	s = testShell(t, h, Options{}, 80, 24)
	press(s, "m")
	clickOn(t, s, "three")
	if h.at != 3 || h.choice.Action != ActionQuit {
		t.Errorf("%d is chosen, %+v", h.at, h.choice)
	}
	clickOn(t, s, "three")
	if h.choice.Action != ActionOpen || h.choice.Run.Name != "three" {
		t.Errorf("%+v", h.choice)
	}
	p := &pick{runs: runs}
	s = testShell(t, p, Options{}, 80, 24)
	press(s, "m")
	clickOn(t, s, "two")
	clickOn(t, s, "two")
	if p.at != 1 || !p.chosen {
		t.Errorf("%d, %v", p.at, p.chosen)
	}
	s = testShell(t, screens()["tab runs"](), Options{}, 100, 30)
	press(s, "m")
	r := s.in.(*training).places[tabRuns].(*runsTab)
	clickOn(t, s, strings.Repeat("日本", 5))
	if r.at != 1 {
		t.Errorf("run %d is chosen", r.at)
	}
}

// One panel can have the whole tab; a zoomed chart can be moved back; pictures can be put away and come back as they were.
func TestLookCloser(t *testing.T) {
	s := testShell(t, screens()["training"](), Options{Images: "blocks"}, 120, 40)
	m := s.in.(*training)
	for _, title := range []string{"loss", "samples", "x_t", "loss by timestep over time", "loss by timestep", "gradient norm", "images/s", "now", "log"} {
		press(s, "z")
		check(t, s)
		if lines := strings.Split(stripSGR(s.content), "\n"); !strings.HasPrefix(lines[2], "╭─ "+title) || strings.Contains(lines[3], "╭") || !strings.HasPrefix(lines[38], "╰") || strings.Count(lines[38], "╰") != 1 {
			t.Errorf("not %s alone:\n%s", title, stripSGR(s.content))
		}
	}
	press(s, "z")
	if m.big != 0 {
		t.Error("the way round does not end with all panels")
	}
	press(s, "z", "esc")
	if m.big != 0 {
		t.Error("esc does not bring all panels back")
	}
	press(s, "left", "+", "+", "left", "left", "left", "left")
	from, to := m.zoomSpan()
	if first, last := m.loss.Points()[0].X, m.loss.Points()[len(m.loss.Points())-1].X; to != last-(last-first)/4 || from != last-(last-first)/2 {
		t.Errorf("steps %v to %v", from, to)
	}
	if !strings.Contains(stripSGR(s.content), "steps 150 to 225") {
		t.Errorf("it is not said which steps:\n%s", stripSGR(s.content))
	}
	for range 30 {
		press(s, "left")
	}
	if from, _ := m.zoomSpan(); from != 1 || m.pan != 12 {
		t.Errorf("it goes back to step %v, %d", from, m.pan)
	}
	press(s, "f")
	if m.pan != 0 || m.zoom != 0 {
		t.Error("f does not show all steps")
	}
	press(s, "I")
	if s.gallery.mode != picture.None || !strings.Contains(s.content, "mean  dev  min  max") {
		t.Error("I does not put the pictures away")
	}
	press(s, "I")
	if s.gallery.mode != picture.HalfBlocks {
		t.Errorf("I brings back %v", s.gallery.mode)
	}
}

// A new run begins with a look at its data: enter looks, and starts only what was looked at.
func TestFormLooks(t *testing.T) {
	h := newHome(nil, []string{"tiny", "avatars32"})
	h.desk = *testDesk()
	s := testShell(t, h, Options{}, 100, 40)
	press(s, "enter")
	look := func() {
		t.Helper()
		of := h.form.request()
		info, err := h.desk.Look(t.Context(), of.preset, of.data, func(int, int, int) {})
		send(s, lookMsg{of, info, err})
		check(t, s)
	}
	has := func(words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(stripSGR(s.content), w) {
				t.Errorf("no %q in\n%s", w, stripSGR(s.content))
			}
		}
	}
	has("enter looks at the data first", "enter look")
	press(s, "tab", "g", "o", "n", "e", "enter")
	has("looking at the data")
	look()
	has("error it �[31mfailed")
	if h.choice.Action != ActionQuit {
		t.Fatalf("%+v", h.choice)
	}
	press(s, "backspace", "enter")
	old := lookMsg{of: request{"avatars32", "gone"}, info: DataInfo{Count: 99}}
	send(s, old) // which nobody waits for any more
	has("looking at the data")
	look()
	has("1,234", "64x64", "skipped", "truncated", "enter starts the run", "some of them", "enter start")
	press(s, "x")
	has("enter looks at the data first")
	press(s, "backspace", "enter")
	if h.choice.Action != ActionNew || h.choice.Data != "gon" || h.choice.Preset != "avatars32" {
		t.Errorf("%+v", h.choice)
	}
}
