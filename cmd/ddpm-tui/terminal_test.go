//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// A terminal is the program on a pseudo terminal of 80x24, with an emulator at the other end that knows what a person would see.
type terminal struct {
	t   *testing.T
	cmd *exec.Cmd
	pty *os.File

	mu     sync.Mutex
	screen *vt.Emulator
	raw    strings.Builder
	gone   chan struct{} // closed when the output has ended
}

// open starts the program with arguments on a terminal. One that is deaf answers no question of the program's, as some do.
func open(t *testing.T, dir string, deaf bool, args ...string) *terminal {
	t.Helper()
	return openCommand(t, program(t, dir, args...), deaf)
}

// openCommand starts any command on a terminal.
func openCommand(t *testing.T, c *exec.Cmd, deaf bool) *terminal {
	t.Helper()
	term := &terminal{t: t, cmd: c, screen: vt.NewEmulator(80, 24), gone: make(chan struct{})}
	term.cmd.Env = append(term.cmd.Env, "COLORTERM=truecolor")
	var err error
	if term.pty, err = pty.StartWithSize(term.cmd, &pty.Winsize{Rows: 24, Cols: 80, X: 640, Y: 384}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		term.pty.Close()
		term.screen.InputPipe().(io.Closer).Close() // ends the goroutine below
	})
	go func() { // the emulator blocks until its answers are read
		buf := make([]byte, 1024)
		for {
			n, err := term.screen.Read(buf)
			if err != nil {
				return
			}
			if !deaf {
				term.pty.Write(buf[:n])
			}
		}
	}()
	go func() {
		defer close(term.gone)
		io.Copy(term, term.pty) // ends with an error, when the program does
	}()
	return term
}

// Write takes the program's output.
func (term *terminal) Write(p []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	term.raw.Write(p)
	return term.screen.Write(p)
}

// lines are what is on the screen.
func (term *terminal) lines() []string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return strings.Split(term.screen.String(), "\n")
}

func (term *terminal) String() string { return strings.Join(term.lines(), "\n") }

// press types keys.
func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := io.WriteString(term.pty, keys); err != nil {
		term.t.Fatal(err)
	}
}

// until waits until all of the words are on the screen, and none that begins with a bang.
func (term *terminal) until(words ...string) {
	term.t.Helper()
	end := time.Now().Add(patience)
	for {
		all, now := true, term.String()
		for _, w := range words {
			gone, not := strings.CutPrefix(w, "!")
			all = all && strings.Contains(now, gone) != not
		}
		if all {
			return
		}
		over := time.Now().After(end)
		select {
		case <-term.gone: // nothing more will come: one more look
			over = over || now == term.String()
		case <-time.After(5 * time.Millisecond):
		}
		if over {
			term.t.Fatalf("%q is not on the screen:\n%s", words, now)
		}
	}
}

// heard waits until all of the words have been written, whether they are still on the screen or not.
func (term *terminal) heard(words ...string) {
	term.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		term.mu.Lock()
		raw := term.raw.String()
		term.mu.Unlock()
		missing := ""
		for _, w := range words {
			if !strings.Contains(raw, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			term.t.Fatalf("%q was not written: %q", missing, raw)
		}
	}
}

// frame looks at a whole screen: the program's line above, its keys below, as the screen is 80x24.
func (term *terminal) frame(top, bottom string) {
	term.t.Helper()
	lines := term.lines()
	if len(lines) != 24 || !strings.Contains(lines[0], top) || !strings.Contains(lines[23], bottom) {
		term.t.Errorf("want 24 lines from %q to %q:\n%s", top, bottom, strings.Join(lines, "\n"))
	}
}

// end waits for the program and expects one of the exit codes and the terminal as it was before.
func (term *terminal) end(codes ...int) {
	term.t.Helper()
	giveUp := time.AfterFunc(patience, func() { term.cmd.Process.Kill() })
	defer giveUp.Stop()
	term.cmd.Wait() // the exit code says it
	select {
	case <-term.gone:
	case <-time.After(patience):
		term.t.Fatal("the terminal stays open")
	}
	term.mu.Lock()
	defer term.mu.Unlock()
	raw := term.raw.String()
	if got := term.cmd.ProcessState.ExitCode(); !slices.Contains(codes, got) {
		term.t.Errorf("exit code %d, want %d: %q", got, codes, raw[max(0, len(raw)-400):])
	}
	if crash.MatchString(raw) {
		term.t.Errorf("it crashed: %s", raw)
	}
	if term.screen.IsAltScreen() || term.screen.CursorHidden() {
		term.t.Error("the terminal is not as it was: the other screen, or no cursor")
	}
}

// signal sends a signal to the program.
func (term *terminal) signal(s syscall.Signal) {
	term.t.Helper()
	if err := term.cmd.Process.Signal(s); err != nil {
		term.t.Fatal(err)
	}
}
