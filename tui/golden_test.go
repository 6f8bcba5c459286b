package tui

import (
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/exp/golden"
	"github.com/charmbracelet/x/exp/teatest/v2"
)

func init() { time.Local = time.UTC } // what the log says of testTime is the same everywhere

// TestGolden: every screen is as it was when somebody looked at it. What is compared is what a terminal shows after the program has
// written, in testdata/TestGolden. After a change that is meant, look at the difference and run the test with -update.
func TestGolden(t *testing.T) {
	type shown struct {
		size [2]int
		keys string
	}
	for name, make := range screens() {
		all := []shown{{[2]int{80, 24}, ""}}
		if name == "training" {
			all = append(all, shown{[2]int{120, 40}, ""}, shown{[2]int{200, 60}, ""}, shown{[2]int{80, 24}, "?"}, shown{[2]int{40, 10}, ""})
		}
		for _, c := range all {
			t.Run(strings.TrimSpace(name+" "+size(c.size)+" "+strings.ReplaceAll(c.keys, "?", "help")), func(t *testing.T) {
				t.Parallel()
				in := &watchedScreen{screen: make()}
				in.shell = testShell(t, in, Options{Images: "ascii"}, c.size[0], c.size[1])
				tm := teatest.NewTestModel(t, in.shell, teatest.WithInitialTermSize(c.size[0], c.size[1]), teatest.WithProgramOptions(tea.WithColorProfile(colorprofile.TrueColor)))
				tm.Type(c.keys)
				for deadline := time.Now().Add(30 * time.Second); !in.settled(tm.Send); time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("its pictures are not drawn")
					}
				}
				if err := tm.Quit(); err != nil {
					t.Fatal(err)
				}
				out, err := io.ReadAll(tm.FinalOutput(t, teatest.WithFinalTimeout(30*time.Second)))
				if err != nil {
					t.Fatal(err)
				}
				text := string(out)
				if i := strings.LastIndex(text, "\x1b[?1049l"); i >= 0 { // the end gives the terminal back
					text = text[:i]
				}
				e := newEmulator(c.size[0], c.size[1], 8, 16)
				e.write(strings.ReplaceAll(text, "\n", "\r\n")) // without a terminal of its own the program leaves that to the terminal
				golden.RequireEqual(t, e.text())
			})
		}
	}
}

func size(s [2]int) string { return count(int64(s[0])) + "x" + count(int64(s[1])) }

// A watchedScreen is one whose shell can be looked at while a program runs it.
type watchedScreen struct {
	screen
	shell *shell
}

// lookIn is called with the shell, by the event loop.
type lookIn func(*shell)

func (w *watchedScreen) update(msg tea.Msg) tea.Cmd {
	if f, ok := msg.(lookIn); ok {
		f(w.shell)
		return nil
	}
	return w.screen.update(msg)
}

// settled reports whether all pictures are drawn that the last frame wanted.
func (w *watchedScreen) settled(send func(tea.Msg)) bool {
	answer := make(chan bool, 1)
	send(lookIn(func(s *shell) {
		ok := true
		for _, a := range s.gallery.art {
			ok = ok && (!a.wanted || !a.busy && a.made == a.want)
		}
		answer <- ok
	}))
	return <-answer
}
