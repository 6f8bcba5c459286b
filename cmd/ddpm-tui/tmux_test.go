//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi/kitty"
	"github.com/creack/pty"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
)

// Inside of a real tmux in a terminal that says that it is kitty, pictures pass through tmux and stand where their placeholders are; where
// tmux does not let them through they are half blocks.
func TestTmux(t *testing.T) {
	long(t)
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("tmux is not here: apt-get install tmux")
	}
	p := newPlayer(t, false)
	p.server.Show(socket.Frame{Name: "samples", Step: 1, Image: numbered(5), Rows: 1, Cols: 1})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, pass := range []string{"on", "off"} {
		dir := t.TempDir()
		conf := filepath.Join(dir, "conf")
		if err := os.WriteFile(conf, []byte("set -g allow-passthrough "+pass+"\nset -g default-terminal tmux-256color\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		socketName := filepath.Join(dir, "s")
		c := exec.Command(tmux, "-u", "-S", socketName, "-f", conf, "new-session", self, "attach", p.folder.Dir(), "--watch")
		c.Env = append(os.Environ(), asProgram+"=1", "TERM=xterm-256color", "COLORTERM=truecolor", "NO_COLOR=", "TMUX=", "LC_ALL=C.UTF-8")
		master, err := pty.StartWithSize(c, &pty.Winsize{Rows: 40, Cols: 120, X: 960, Y: 640})
		if err != nil {
			t.Fatal(err)
		}
		end := func() {
			exec.Command(tmux, "-S", socketName, "kill-server").Run()
			master.Close()
			c.Wait()
		}
		var seen bytes.Buffer
		chunks := make(chan []byte)
		go func() {
			defer close(chunks)
			for {
				b := make([]byte, 32<<10)
				n, err := master.Read(b)
				if err != nil {
					return
				}
				if bytes.Contains(b[:n], []byte("\x1b[>q")) || bytes.Contains(b[:n], []byte("\x1b[>0q")) {
					io.WriteString(master, "\x1bP>|kitty(0.35.2)\x1b\\")
				}
				if bytes.Contains(b[:n], []byte("\x1b[c")) {
					io.WriteString(master, "\x1b[?62;c")
				}
				chunks <- b[:n]
			}
		}()
		want := []string{"\x1b_Ga=T,U=1,f=100,q=2,i=16", string(kitty.Placeholder) + string(kitty.Diacritic(0))}
		if pass == "off" {
			want = []string{"▀"}
		}
		fault := ""
		for deadline := time.After(patience); ; {
			missing := ""
			for _, w := range want {
				if !bytes.Contains(seen.Bytes(), []byte(w)) {
					missing = w
				}
			}
			if missing == "" {
				break
			}
			select {
			case b, ok := <-chunks:
				seen.Write(b)
				if ok {
					continue
				}
				fault = fmt.Sprintf("it ended without %q", missing)
			case <-deadline:
				fault = fmt.Sprintf("there is no %q", missing)
			}
			break
		}
		go func() { // what is still to come
			for range chunks {
			}
		}()
		end()
		if fault != "" {
			s := seen.String()
			t.Fatalf("passthrough %s: %s in %q", pass, fault, s[max(0, len(s)-2000):])
		}
		if pass == "off" && strings.Contains(seen.String(), "\x1b_Ga=T") {
			t.Error("it sends kitty's pictures through a tmux that does not let them through")
		}
	}
}
