//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// An sshServer is OpenSSH's sshd on the loopback interface, for this user and with keys of its own.
type sshServer struct {
	dir, port string
}

// startSSH starts one, or skips the test where there is no OpenSSH.
func startSSH(t *testing.T) *sshServer {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd" // not in the path of most users
	}
	for _, name := range []string{sshd, "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("skipped: there is no %s here", name)
		}
	}
	if os.Getuid() == 0 { // sshd wants it, and only its service would make it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Skipf("skipped: %v", err)
		}
	}
	s := &sshServer{dir: t.TempDir()}
	for _, name := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, name)).CombinedOutput(); err != nil {
			t.Skipf("skipped: no key: %v: %s", err, out)
		}
	}
	if err := os.Rename(filepath.Join(s.dir, "user.pub"), filepath.Join(s.dir, "authorized")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free, most likely a moment later too
	if err != nil {
		t.Fatal(err)
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	config := write(t, filepath.Join(s.dir, "config"), fmt.Sprintf(`ListenAddress 127.0.0.1
Port %s
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
`, s.port, filepath.Join(s.dir, "host"), filepath.Join(s.dir, "authorized")))
	server := exec.Command(sshd, "-D", "-e", "-f", config)
	var log bytes.Buffer
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Skipf("skipped: %v", err)
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	t.Cleanup(func() { _ = server.Process.Kill(); <-ended })
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+s.port); err == nil {
			c.Close()
			break
		}
		select {
		case <-ended:
			t.Skipf("skipped: sshd does not run here: %s", log.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatal("sshd does not listen")
		}
	}
	if out, err := s.command(t, false, "true").CombinedOutput(); err != nil {
		t.Skipf("skipped: sshd lets nobody in here: %v: %s%s", err, out, log.String())
	}
	return s
}

// command is a command of the shell at the other end, with a terminal there or without.
func (s *sshServer) command(t *testing.T, tty bool, line string) *exec.Cmd {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-F", "none", "-p", s.port, "-i", filepath.Join(s.dir, "user"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
	}
	if tty {
		args = append(args, "-tt")
	}
	c := exec.CommandContext(t.Context(), "ssh", append(args, u.Username+"@127.0.0.1", line)...)
	c.Env = append(os.Environ(), "TERM=xterm-256color")
	return c
}

// program is the command line that runs the program in dir, at the other end.
func (s *sshServer) program(t *testing.T, dir, args string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("cd '%s' && exec env %s=1 '%s' %s", dir, asProgram, self, args)
}

// The SSH client is killed, and its connection with it: training goes on, and over another one the run is watched and stopped.
func TestSSHClientIsKilled(t *testing.T) {
	long(t)
	s := startSSH(t)
	dir := t.TempDir()
	line := s.program(t, dir, "train '"+pictures()+"' --preset tiny --run r --steps 100000 --threads 1")
	term := openCommand(t, s.command(t, true, line), false)
	term.until("RUNNING", "loss by timestep", "detach")
	f := underway(t, filepath.Join(dir, "r"))
	pid := trainerOf(t, f)
	term.signal(syscall.SIGKILL)
	term.cmd.Wait() // how it ends nobody sees
	goesOn(t, f, pid)

	term = openCommand(t, s.command(t, true, s.program(t, dir, "attach r")), false)
	term.until("RUNNING", "loss by timestep", "detach")
	term.press("q")
	term.end(exitOK)
	if !strings.Contains(term.String(), "training goes on") {
		t.Errorf("the shell shows %s", term)
	}
	goesOn(t, f, pid)
	if out, err := s.command(t, false, s.program(t, dir, "stop r")).CombinedOutput(); err != nil || !strings.Contains(string(out), "stopped at step") {
		t.Errorf("%v: %s", err, out)
	}
	if i := f.Info(); i.State != run.Stopped {
		t.Errorf("%+v", i)
	}
}
