//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A trainer is a training process in the background.
type trainer struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner // of its standard output, which is JSON
	stderr bytes.Buffer
	step   int64 // of the last line
}

// background starts a training. The caller adds no --json.
func background(t *testing.T, dir string, prepare func(*exec.Cmd), args ...string) *trainer {
	t.Helper()
	tr := &trainer{t: t, cmd: program(t, dir, append([]string{"train", "--json", "--threads", "1"}, args...)...)}
	tr.cmd.Stderr = &tr.stderr
	out, err := tr.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(tr.cmd)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tr.lines = bufio.NewScanner(out)
	return tr
}

// next reads a line, and reports whether there was one.
func (tr *trainer) next() bool {
	tr.t.Helper()
	if !tr.lines.Scan() {
		return false
	}
	var l stepLine
	if err := json.Unmarshal(tr.lines.Bytes(), &l); err != nil {
		tr.t.Fatalf("%q: %v", tr.lines.Bytes(), err)
	}
	tr.step = l.Step
	return true
}

// until reads until a step is done.
func (tr *trainer) until(step int64) {
	tr.t.Helper()
	for tr.step < step {
		if !tr.next() {
			tr.t.Fatalf("it ended after step %d: %s", tr.step, tr.stderr.String())
		}
	}
}

// end sends a signal, reads the rest and returns the exit code, -1 after a signal that kills.
func (tr *trainer) end(s os.Signal) int {
	tr.t.Helper()
	if err := tr.cmd.Process.Signal(s); err != nil {
		tr.t.Fatal(err)
	}
	return tr.wait()
}

func (tr *trainer) wait() int {
	tr.t.Helper()
	giveUp := time.AfterFunc(patience, func() { tr.cmd.Process.Kill() })
	defer giveUp.Stop()
	for tr.next() {
	}
	tr.cmd.Wait() // the exit code says it
	if crash.MatchString(tr.stderr.String()) {
		tr.t.Errorf("it crashed: %s", tr.stderr.String())
	}
	return tr.cmd.ProcessState.ExitCode()
}

// A signal that asks for the end gets a checkpoint of the last step that was shown, and the run goes on from there. While it trains
// nobody else may.
func TestSignalSavesACheckpoint(t *testing.T) {
	for name, signal := range map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tr := background(t, dir, nil, pictures(), "--config", quick(), "--run", "r", "--steps", "100000")
			tr.until(2)

			for _, args := range [][]string{{"--run", "r", "--steps", "9"}, {"--run", filepath.Join(dir, "r")}} {
				r := invoke(t, dir, append([]string{"train", "--headless"}, args...)...)
				if r.code != run.FaultBusy.Exit || !strings.Contains(r.stderr, strconv.Itoa(tr.cmd.Process.Pid)) || r.stdout != "" {
					t.Errorf("a second trainer: exit code %d, it should name process %d\n%s%s", r.code, tr.cmd.Process.Pid, r.stdout, r.stderr)
				}
			}

			if code := tr.end(signal); code != 0 || tr.stderr.Len() > 0 {
				t.Errorf("exit code %d, %s", code, tr.stderr.String())
			}
			checkRun(t, filepath.Join(dir, "r"), tr.step, "stopped")
			steps := strconv.FormatInt(tr.step+2, 10)
			checkSteps(t, must(t, dir, "train", "--run", "r", "--steps", steps, "--threads", "1", "--json"), tr.step+1, tr.step+2)
		})
	}
}

// A trainer that is killed loses what came after its last checkpoint and nothing else.
func TestKillThenContinue(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--config", quick(), "--run", "whole", "--steps", "8", "--threads", "1", "--json")
	must(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "4", "--threads", "1", "--json")
	tr := background(t, dir, nil, "--run", "r", "--steps", "100000")
	tr.until(6)
	if code := tr.end(os.Kill); code != -1 {
		t.Errorf("exit code %d after a kill", code)
	}
	checkSteps(t, must(t, dir, "train", "--run", "r", "--steps", "8", "--threads", "1", "--json"), 5, 8)
	checkRun(t, filepath.Join(dir, "r"), 8, "done")
	for _, name := range weights {
		if !bytes.Equal(read(t, dir, "whole", "checkpoints", "latest", name), read(t, dir, "r", "checkpoints", "latest", name)) {
			t.Errorf("%s differs from that of the run that was not killed", name)
		}
	}
}

// A stop before the first step ends in a word that a person understands, and leaves no run behind in which nothing was trained.
func TestSignalAtTheStart(t *testing.T) {
	long(t)
	dir := t.TempDir()
	for i := range 5 {
		name := "r" + strconv.Itoa(i)
		made := filepath.Join(dir, name)
		tr := background(t, dir, nil, "--preset", "tiny", "--run", name, "--steps", "100000")
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // until it is at work
			if _, err := os.Lstat(made); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("it does not begin")
			}
		}
		time.Sleep(time.Duration(i) * 30 * time.Millisecond) // what is met then is chance
		code, said := tr.end(os.Interrupt), tr.stderr.String()
		if _, err := os.Lstat(made); err == nil {
			if code != 0 || said != "" {
				t.Errorf("interrupted: exit code %d, %q", code, said)
			}
			checkRun(t, made, tr.step, "stopped")
		} else if code != 1 || !strings.Contains(said, "stopped") {
			t.Errorf("interrupted before it could train: exit code %d, %q", code, said)
		}
	}
}

// When the reader of the output goes away the run is saved, as after Ctrl-C: its steps are worth more than its words.
func TestClosedPipe(t *testing.T) {
	long(t)
	for _, how := range []string{"--json", "--headless"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := program(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "100000", "--threads", "1", how)
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			out.Close()
			giveUp := time.AfterFunc(patience, func() { c.Process.Kill() })
			defer giveUp.Stop()
			c.Wait() // how it ends is up to it
			list := events(t, filepath.Join(dir, "r"))
			if e := list[len(list)-1]; e.End == nil || e.End.Reason != "stopped" {
				t.Fatalf("%v, the log ends with %+v", c.ProcessState, e)
			}
			checkRun(t, filepath.Join(dir, "r"), list[len(list)-1].Step, "stopped")
		})
	}
}

// An output that takes no more, such as a log on a full disk, is no reason to end.
func TestFullOutput(t *testing.T) {
	long(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	dir := t.TempDir()
	c := program(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "5", "--threads", "1", "--json")
	c.Stdout = full
	if err := c.Run(); err != nil {
		t.Error(err)
	}
	checkRun(t, filepath.Join(dir, "r"), 5, "done")
}

// What nohup started outlives the terminal.
func TestNohup(t *testing.T) {
	long(t)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	tr := background(t, dir, func(c *exec.Cmd) {
		c.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, c.Path}, c.Args[1:]...)
		c.Path = sh
	}, pictures(), "--config", quick(), "--run", "r", "--steps", "100000")
	tr.until(2)
	if err := tr.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	tr.until(tr.step + 20) // more than a pipe holds back
	if code := tr.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Sampling that is interrupted leaves no file, and says so.
func TestSignalWhileSampling(t *testing.T) {
	long(t)
	dir := t.TempDir()
	c := program(t, dir, "sample", trained(), "-n", "64", "--sampler", "ddpm", "--json")
	out, err := c.StdoutPipe()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := errors.Join(err, c.Start()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, r) // until it ends
	c.Wait()               // the exit code says it
	if said := stderr.String(); c.ProcessState.ExitCode() != 1 || !strings.Contains(said, "nothing was written") {
		t.Errorf("%v: %q", c.ProcessState, said)
	}
	absent(t, filepath.Join(dir, "grid.png"))
}
