//go:build unix

package tui

import (
	"math/rand/v2"
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

func TestStress(t *testing.T) {
	r := newRig(t, 120, 40)
	src := newSource()
	in := &probed{screen: newTraining(src, Options{Title: "a"})}
	opt := r.options()
	s, err := newShell(t.Context(), in, picture.NewScreen(r.slave), opt, picture.TrueColour)
	if err != nil {
		t.Fatal(err)
	}
	in.shell = s
	p := newProgram(s, r.slave, r.slave, colorprofile.TrueColor, opt)
	done := make(chan error, 1)
	go func() { _, err := p.Run(); done <- err }()
	p.Send(withSixel)

	h := history(60)
	next := 0
	steps := func(n int) {
		for range n {
			src.events <- h[next%len(h)]
			next++
		}
	}
	compare := func(what string) {
		t.Helper()
		r.touch()
		fault := ""
		for range 10 { // a busy machine may be late, but it gets there
			r.quiet()
			c := make(probe, 1)
			p.Send(c)
			seen := <-c
			if fault = r.differs(seen); fault == "" {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("after %s: %s", what, fault)
	}
	resize := func(w, h int) {
		r.quiet()
		r.setSize(w, h)
		r.mu.Lock()
		r.e.resize(w, h)
		r.mu.Unlock()
		p.Send(tea.WindowSizeMsg{Width: w, Height: h})
	}

	steps(20)
	for _, f := range frames() {
		src.frames <- f
	}
	compare("the first pictures")
	// The log scrolls, the charts move, the pictures stay.
	scroll := func() {
		t.Helper()
		before := r.pictures()
		for range 6 {
			src.events <- run.Event{V: 1, Log: &run.Log{Level: "info", Text: fmt.Sprint("line ", next)}}
			steps(3)
			time.Sleep(80 * time.Millisecond)
		}
		compare("many frames of text")
		if n := r.pictures() - before; n != 0 {
			t.Errorf("%d pictures drawn again with nothing new", n)
		}
	}
	scroll()

	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for i := range 120 {
		op := ""
		for range 1 + rnd.IntN(4) {
		switch rnd.IntN(5) {
		case 0:
			w, hh := 20+rnd.IntN(200), 6+rnd.IntN(60)
			op += fmt.Sprint(" resize ", w, hh)
			resize(w, hh)
		case 1:
			steps(1+rnd.IntN(20)); op += " steps"
		case 2:
			src.frames <- Frame{Name: Samples, Step: int64(i), Image: tiles(2+i%3, 3), Rows: 2 + i%3, Cols: 3}; op += " frame"
		case 3:
			src.frames <- Frame{Name: Trajectory, Step: int64(i), Image: tiles(1, 5+i%5), Rows: 1, Cols: 5+i%5}; op += " strip"
		default:
			k := []string{"?", "1", "2", "3", "i", "y", "tab"}[rnd.IntN(7)]
			if k == "i" { fmt.Fprint(r.master, "iiiii"[:1+rnd.IntN(5)]) } else { fmt.Fprint(r.master, k) }
			op += " " + k
		}
		if rnd.IntN(2) == 0 { time.Sleep(time.Duration(rnd.IntN(90)) * time.Millisecond) }
		}
		compare(op)
	}
	p.Send(quitMsg{})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

