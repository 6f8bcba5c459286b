//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A host is a server of the program, and keys of people who come with OpenSSH's client.
type host struct {
	t    *testing.T
	dir  string
	port string
	cmd  *exec.Cmd
	mu   sync.Mutex
	said strings.Builder
}

// client is a tool of OpenSSH's, without which the test is skipped.
func client(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not here: apt-get install openssh-client", name)
	}
	return path
}

// keyOf makes a key pair and returns its public line.
func keyOf(t *testing.T, dir, name string) string {
	t.Helper()
	out, err := exec.Command(client(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(dir, name)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	line, err := os.ReadFile(filepath.Join(dir, name+".pub"))
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

// startHost serves a folder: ann's key watches, bob's controls, eve's is not in the file.
func startHost(t *testing.T, root string, more ...string) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	keys := "# the team\n" + keyOf(t, h.dir, "ann") + "control " + keyOf(t, h.dir, "bob")
	keyOf(t, h.dir, "eve")
	if err := os.WriteFile(filepath.Join(h.dir, "keys"), []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"serve", root, "--listen", "127.0.0.1:0", "--authorized-keys", "keys", "--host-key", "host"}, more...)
	h.cmd = program(t, h.dir, args...)
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.cmd.Stderr = h
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	form := regexp.MustCompile(`serving .* on 127\.0\.0\.1:(\d+);`)
	for h.port == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("it does not serve: %s%s", line, h)
		}
		if m := form.FindStringSubmatch(line); m != nil {
			h.port = m[1]
		}
	}
	read := make(chan struct{})
	go func() { defer close(read); io.Copy(h, lines) }()
	t.Cleanup(func() {
		h.cmd.Process.Signal(syscall.SIGTERM)
		giveUp := time.AfterFunc(patience, func() { h.cmd.Process.Kill() })
		defer giveUp.Stop()
		<-read
		h.cmd.Wait() // a test that wants its exit code has it
	})
	return h
}

func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.Write(p)
}

func (h *host) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.String()
}

// ssh is OpenSSH's client as somebody.
func (h *host) ssh(who string, args ...string) *exec.Cmd {
	all := append([]string{"-p", h.port, "-i", filepath.Join(h.dir, who), "-F", "none", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "-o", "UserKnownHostsFile=" + filepath.Join(h.dir, "known")}, args...)
	c := exec.CommandContext(h.t.Context(), client(h.t, "ssh"), all...)
	c.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=")
	c.WaitDelay = time.Second
	return c
}

func (h *host) refused(who, words string, args ...string) {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), patience)
	defer stop()
	like := h.ssh(who, args...)
	c := exec.CommandContext(ctx, like.Path, like.Args[1:]...)
	c.Env, c.WaitDelay, c.Stdin = like.Env, like.WaitDelay, strings.NewReader("ls\n")
	out, err := c.CombinedOutput()
	if ctx.Err() != nil { // what the server was doing
		h.cmd.Process.Signal(syscall.SIGQUIT)
		h.cmd.Wait()
		h.t.Fatalf("ssh %v as %s hangs, %q: %s", args, who, out, h)
	}
	if err == nil || !strings.Contains(string(out), words) {
		h.t.Errorf("ssh %v as %s: %v, %q, want %q", args, who, err, out, words)
	}
}

// Through OpenSSH's own client: who has a key sees the runs and one of them, who controls it can, and nothing else is there.
func TestServe(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	run := filepath.Join(root, "one")
	trainer := program(t, root, "train", pictures(), "--preset", "tiny", "--run", run, "--steps", "100000", "--threads", "1", "--headless")
	if err := trainer.Start(); err != nil {
		t.Fatal(err)
	}
	h := startHost(t, root)

	for name, perm := range map[string]os.FileMode{"host": 0o600} {
		info, err := os.Stat(filepath.Join(h.dir, name))
		if err != nil || info.Mode().Perm() != perm {
			t.Errorf("%s: %v %v, want %v", name, info, err, perm)
		}
	}
	ann := openCommand(t, h.ssh("ann", "localhost"), false)
	ann.until("runs of", "one", "RUNNING", "1 run")
	ann.press("\r")
	ann.until("[1 Train]", "RUNNING", "loss by timestep", "detach", "!pause", "!checkpoint")
	ann.press("?")
	ann.until("training goes on", "!save a checkpoint now", "!stop training")
	ann.press("?pcsQ") // keys of those who control
	bob := openCommand(t, h.ssh("bob", "localhost"), false)
	bob.until("RUNNING", "1 run")
	bob.press("\r")
	bob.until("[1 Train]", "pause", "checkpoint", "loss by timestep")
	bob.press("p")
	bob.until("PAUSED")
	ann.until("PAUSED") // and nobody else has pressed p
	bob.press("p")
	ann.until("RUNNING")
	bob.press("q")
	bob.until("runs of")
	bob.press("q")
	bob.end(exitOK)

	h.refused("eve", "Permission denied", "-tt", "localhost")
	h.refused("ann", "needs a terminal", "-T", "localhost")
	h.refused("ann", "there are no commands here", "localhost", "cat", "/etc/passwd")
	h.refused("bob", "there are no commands here", "-tt", "localhost", "sh")
	h.refused("bob", "subsystem request failed", "-s", "localhost", "sftp")
	h.refused("bob", "stdio forwarding failed", "-o", "LogLevel=INFO", "-W", "127.0.0.1:"+h.port, "localhost")
	h.refused("bob", "remote port forwarding failed", "-N", "-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=INFO", "localhost")

	// A key that is taken out of the file is not welcome any more.
	keys, err := os.ReadFile(filepath.Join(h.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "keys"), bytes.Split(keys, []byte("control "))[0], 0o600); err != nil {
		t.Fatal(err)
	}
	h.refused("bob", "Permission denied", "-tt", "localhost")

	// The end of the server leaves terminals as they were, and training alone.
	h.cmd.Process.Signal(syscall.SIGTERM)
	ann.until("the server ends; training goes on")
	ann.end(exitOK) // ssh says 255 if the connection was closed before it had read how the session ended
	if trainer.ProcessState != nil {
		t.Error("the trainer has ended")
	}
	trainer.Process.Signal(syscall.SIGTERM)
	giveUp := time.AfterFunc(patience, func() { trainer.Process.Kill() })
	defer giveUp.Stop()
	trainer.Wait() // other tests say how
	if said := h.String(); crash.MatchString(said) || !strings.Contains(said, "ann watches\n") || !strings.Contains(said, "bob watches and controls") {
		t.Errorf("the server said %s", said)
	}
}

// Connections that say nothing do not keep anybody out, and sessions have a limit and an end.
func TestServeFlood(t *testing.T) {
	t.Parallel()
	h := startHost(t, t.TempDir(), "--max-sessions", "2", "--idle", "100h")
	var idle []net.Conn
	for range 3 * maxVisitors {
		c, err := net.Dial("tcp", "127.0.0.1:"+h.port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	first := openCommand(t, h.ssh("ann", "localhost"), false)
	first.until("no runs here yet")
	second := openCommand(t, h.ssh("bob", "localhost"), false)
	second.until("no runs here yet")
	h.refused("ann", "2 sessions are open", "-tt", "localhost")
	first.press("q")
	first.end(exitOK)
	third := openCommand(t, h.ssh("ann", "localhost"), false)
	third.until("no runs here yet")
	third.press("q")
	third.end(exitOK)
	open := 0
	for _, c := range idle {
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		for b := make([]byte, 256); ; {
			if _, err := c.Read(b); err != nil {
				if os.IsTimeout(err) {
					open++
				}
				break
			}
		}
	}
	if open > maxVisitors {
		t.Errorf("%d connections without a session are open, more than %d", open, maxVisitors)
	}
}

// What waits for a client that reads nothing ends soon after its session: its connection is closed.
func TestInsist(t *testing.T) {
	here, there := net.Pipe() // which nobody reads
	defer there.Close()
	ctx, cancel := context.WithCancel(t.Context())
	insist(ctx, time.Millisecond, here, func() {
		cancel()
		if _, err := here.Write([]byte("read this")); err == nil {
			t.Error("somebody has read it")
		}
	})
	here, there = net.Pipe()
	defer there.Close()
	ctx, cancel = context.WithCancel(t.Context())
	insist(ctx, time.Hour, here, func() {})
	cancel()
	go there.Read(make([]byte, 1))
	if _, err := here.Write([]byte("x")); err != nil {
		t.Errorf("a session that ends in time loses its connection: %v", err)
	}
}

// A session in which no key is pressed ends, though its terminal answers all the time.
func TestServeIdle(t *testing.T) {
	long(t)
	h := startHost(t, t.TempDir(), "--idle", "1s")
	term := openCommand(t, h.ssh("ann", "localhost"), false)
	term.until("no key was pressed for 1s: the session ends, training goes on")
	term.end(exitOK)
}

// What serve refuses to start with.
func TestServeRefuses(t *testing.T) {
	long(t)
	dir := t.TempDir()
	line := keyOf(t, dir, "ann")
	write := func(name, text string, perm os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), perm); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", line, 0o600)
	for _, c := range []struct {
		code  int
		words string
		args  []string
	}{
		{exitFail, "does not exist, so nobody could come", []string{"--authorized-keys", "none"}},
		{exitFail, "has no keys", []string{"--authorized-keys", write("empty", "# nobody\n", 0o600)}},
		{exitFail, "line 2: no public key", []string{"--authorized-keys", write("broken", line+"ssh-ed25519 nonsense\n", 0o600)}},
		{exitFail, `the option "from=\"10.0.0.0/8\"" is not known`, []string{"--authorized-keys", write("from", `from="10.0.0.0/8" `+line, 0o600)}},
		{exitFail, "can be changed by others", []string{"--authorized-keys", write("open", line, 0o666)}},
		{exitFail, "can be read by others", []string{"--authorized-keys", good, "--host-key", write("readable", "", 0o644)}},
		{exitUsage, "is every address of this machine", []string{"--authorized-keys", good, "--listen", ":2323"}},
		{exitUsage, "want ADDRESS:PORT", []string{"--authorized-keys", good, "--listen", "localhost"}},
		{exitUsage, "--max-sessions 0", []string{"--max-sessions", "0"}},
		{exitUsage, "--idle -1s", []string{"--idle", "-1s"}},
	} {
		args := append([]string{"serve", dir, "--host-key", filepath.Join(dir, "host")}, c.args...)
		r := invoke(t, dir, args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.words) {
			t.Errorf("%v: code %d, %q, want %q", c.args, r.code, r.stderr, c.words)
		}
	}
	// Options that forbid what is not there are no reason.
	keys, err := readKeys(write("strict", fmt.Sprintf("restrict,control %sno-agent-forwarding %s", line, line), 0o600))
	if err != nil || len(keys) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
}
