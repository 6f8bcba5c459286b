//go:build unix

package tui

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/creack/pty"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A rig is a program in a pseudo terminal with an emulator at the other end.
type rig struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	mu     sync.Mutex
	e      *emulator
	seen   time.Time // of the last output
	raw    strings.Builder
}

func newRig(t *testing.T, w, h int) *rig {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	r := &rig{t: t, master: master, slave: slave, e: newEmulator(w, h, 8, 16), seen: time.Now()}
	r.setSize(w, h)
	r.e.reply = func(answer string) { go fmt.Fprint(master, answer) }
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.e.write(string(buf[:n]))
			r.raw.Write(buf[:n])
			r.seen = time.Now()
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() { master.Close(); slave.Close() })
	return r
}

func (r *rig) setSize(w, h int) {
	if err := pty.Setsize(r.slave, &pty.Winsize{Cols: uint16(w), Rows: uint16(h), X: uint16(8 * w), Y: uint16(16 * h)}); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for something to be true of the emulator.
func (r *rig) until(what string, ok func(e *emulator) bool) {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		done := ok(r.e)
		r.mu.Unlock()
		if done {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Fatalf("no %s on\n%s", what, r.e.text())
}

// quiet waits until nothing has been written for a while.
func (r *rig) quiet() {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		since := time.Since(r.seen)
		r.mu.Unlock()
		if since > 160*time.Millisecond {
			return
		}
	}
}

func (r *rig) has(s string) func(e *emulator) bool {
	return func(e *emulator) bool { return strings.Contains(e.text(), s) }
}

func (r *rig) options() Options {
	return Options{Title: "a run", In: r.slave, Out: r.slave, Env: []string{"TERM=xterm-256color", "COLORTERM=truecolor"}}
}

// A whole run in a terminal: the first frame comes before the terminal has answered anything, pictures are upgraded when it does, q
// saves and leaves, and the screen before is back.
func TestTrainingInATerminal(t *testing.T) {
	r := newRig(t, 100, 30)
	src := newSource()
	done := make(chan error, 1)
	go func() { done <- RunTraining(t.Context(), src, r.options()) }()

	r.until("first frame", r.has("STARTING"))
	r.until("query", func(e *emulator) bool { return e.queries > 0 })
	go func() {
		for _, e := range history(40) {
			src.events <- e
		}
		src.frames <- frames()[0]
	}()
	r.until("facts", r.has("40/20k"))
	r.until("half blocks", r.has("▀▀"))
	fmt.Fprint(r.master, "\x1b[6;16;8t\x1b[?1;0;256S\x1b[?63;1;2;4;22c")
	r.until("sixel", func(e *emulator) bool { return e.pictures > 0 && strings.Contains(e.text(), "#####") })

	fmt.Fprint(r.master, "?")
	r.until("help", r.has("save a checkpoint now"))
	r.until("no picture over the help", func(e *emulator) bool { return !strings.Contains(e.text(), "#") })
	fmt.Fprint(r.master, "?")
	r.until("picture again", r.has("#####"))

	fmt.Fprint(r.master, "q")
	r.until("notice", r.has("saving a checkpoint"))
	if c := <-src.sent; c != run.Stop {
		t.Errorf("sent %s", c)
	}
	close(src.events)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it does not end")
	}
	r.until("screen before", func(e *emulator) bool { return !e.alt })
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.ContainsFunc(r.raw.String(), picture.IsPlaceholder) {
		t.Error("a placeholder reached the terminal")
	}
	if len(r.e.unknown) > 0 {
		t.Errorf("the terminal did not understand %q", r.e.unknown)
	}
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := RunData(t.Context(), DataInfo{}, Options{In: f, Out: f}); err == nil {
		t.Error("a screen without a terminal")
	}
}

func TestContextEnds(t *testing.T) {
	r := newRig(t, 80, 24)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- RunSampling(ctx, make(chan SampleFrame), r.options()) }()
	r.until("first frame", r.has("STARTING"))
	cancel()
	if err := <-done; err != ErrLeft {
		t.Error(err)
	}
}

// probe asks the shell for its frame.
type probe chan frameSeen

type frameSeen struct {
	content string
	pics    []picture.Placement
	busy    bool // pictures are being made
}

// probed is a screen that answers probes.
type probed struct {
	screen
	shell *shell
}

func (p *probed) update(msg tea.Msg) tea.Cmd {
	if c, ok := msg.(probe); ok {
		seen := frameSeen{content: p.shell.content, pics: p.shell.pics}
		for _, a := range p.shell.gallery.art {
			seen.busy = seen.busy || a.wanted && a.want != a.made
		}
		c <- seen
		return nil
	}
	return p.screen.update(msg)
}

// The terminal shows what the screen drew, cell by cell and picture by picture, after anything that may happen: no picture is missing,
// torn, shifted or left behind, and none was sent twice without need.
func TestNothingLeftBehind(t *testing.T) {
	t.Parallel()
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
		for end := time.Now().Add(time.Minute); time.Now().Before(end); { // a busy machine may be late, but it gets there
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
	for seen := (frameSeen{}); len(seen.pics) < len(frames()); { // what is sent to it comes through another goroutine
		c := make(probe, 1)
		p.Send(c)
		seen = <-c
		time.Sleep(10 * time.Millisecond)
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

	for i, key := range []string{"?", "?", "2", "1", "tab", "tab", "tab", "i", "i", "i", "i", "i", "y"} {
		fmt.Fprint(r.master, key)
		if i%4 == 3 {
			src.frames <- Frame{Name: Samples, Step: int64(i), Image: tiles(2+i%3, 3), Rows: 2 + i%3, Cols: 3}
		}
		compare("key " + key)
	}
	for _, size := range [][2]int{{80, 24}, {200, 60}, {60, 15}, {40, 10}, {100, 34}, {120, 40}} {
		resize(size[0], size[1])
		steps(5)
		compare(fmt.Sprint("resize to ", size))
		if size[0] == 80 {
			scroll()
		}
	}
	// And then anything at once, in any order.
	rnd := rand.New(rand.NewPCG(7, 7))
	for i := range 12 {
		what := ""
		for range 1 + rnd.IntN(4) {
			switch rnd.IntN(4) {
			case 0:
				w, h := 20+rnd.IntN(150), 6+rnd.IntN(45)
				resize(w, h)
				what += fmt.Sprintf(" resize %dx%d", w, h)
			case 1:
				steps(1 + rnd.IntN(20))
				what += " steps"
			case 2:
				src.frames <- Frame{Name: Samples, Step: int64(i), Image: tiles(2+i%3, 3), Rows: 2 + i%3, Cols: 3}
				what += " frame"
			default:
				key := []string{"?", "1", "2", "3", "i", "tab"}[rnd.IntN(6)]
				fmt.Fprint(r.master, key)
				what += " key " + key
			}
			time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
		}
		compare(what)
	}
	p.Send(quitMsg{})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// touch makes quiet wait for what is to come.
func (r *rig) touch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = time.Now()
}

func (r *rig) pictures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.e.pictures
}

// differs says how the terminal is not what the screen drew.
func (r *rig) differs(seen frameSeen) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.e.unknown) > 0 {
		return fmt.Sprintf("the terminal did not understand %q", r.e.unknown)
	}
	if seen.busy {
		return "pictures are still being made"
	}
	if got, want := strings.ReplaceAll(r.e.text(), "\u00a0", " "), expected(seen); got != want {
		return "the terminal shows\n" + got + "\nand not\n" + want + "\n" + firstDifference(got, want)
	}
	for _, p := range seen.pics {
		for y := range p.Picture.Rows {
			for x := range p.Picture.Cols {
				if r.e.cells[p.Y+y][p.X+x].pic != partAt(p.Picture, y) {
					return fmt.Sprintf("not the newest picture at %d,%d", p.X+x, p.Y+y)
				}
			}
		}
	}
	return ""
}

// partAt is the part of a picture that covers a row.
func partAt(e picture.Encoded, row int) string {
	at := ""
	for _, p := range e.Parts {
		if p.Row <= row {
			at = string(p.Data)
		}
	}
	return at
}

// firstDifference names a line that is not as it should be.
func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is %q\nand not %q", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines and not %d", len(a), len(b))
}

// expected is what the emulator's text should be.
func expected(seen frameSeen) string {
	var b strings.Builder
	for l := range strings.SplitSeq(seen.content, "\n") {
		for _, r := range stripSGR(l) {
			if picture.IsPlaceholder(r) {
				r = '#'
			}
			if unicode.Is(unicode.Mn, r) {
				continue // of the cell before
			}
			if r == '\u00a0' {
				r = ' '
			}
			b.WriteRune(r)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
