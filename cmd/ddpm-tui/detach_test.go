//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// detachedTraining opens the screen of a training in a process of its own, which does not end by itself but with the test.
func detachedTraining(t *testing.T) (*terminal, *run.Folder) {
	t.Helper()
	dir := t.TempDir()
	term := open(t, dir, false, "train", pictures(), "--preset", "tiny", "--run", "r", "--steps", "100000", "--threads", "1")
	term.until("RUNNING", "loss by timestep", "detach")
	return term, underway(t, filepath.Join(dir, "r"))
}

// underway is a run whose trainer must not outlive the test.
func underway(t *testing.T, dir string) *run.Folder {
	t.Helper()
	f, err := run.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.Signal(os.Kill) // it has ended, if all went well
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if _, running := f.Locked(); !running {
				return
			}
		}
	})
	return f
}

// goesOn fails unless a run is being trained, by the process that began it, and does more steps.
func goesOn(t *testing.T, f *run.Folder, pid int) {
	t.Helper()
	now, ok := f.Locked()
	if !ok || now != pid {
		t.Fatalf("trained by process %d (%v), want %d", now, ok, pid)
	}
	step := f.Info().Step
	for end := time.Now().Add(patience); f.Info().Step < step+3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it stays at step %d: %+v", step, f.Info())
		}
	}
}

func trainerOf(t *testing.T, f *run.Folder) int {
	t.Helper()
	pid, ok := f.Locked()
	if !ok || pid == os.Getpid() {
		t.Fatalf("trained by process %d (%v)", pid, ok)
	}
	return pid
}

// q leaves the run training, attach comes back to its whole history, Q stops it.
func TestDetachAttachStop(t *testing.T) {
	t.Parallel()
	term, f := detachedTraining(t)
	pid := trainerOf(t, f)
	if pid == term.cmd.Process.Pid {
		t.Error("the screen's process trains")
	}
	if sid, err := syscall.Getpgid(pid); err != nil || sid != pid {
		t.Errorf("the trainer is in the process group %d", sid)
	}
	term.press("q")
	term.end(exitOK)
	for _, want := range []string{"training goes on (process " + strconv.Itoa(pid) + ")", "ddpm-tui attach r", "ddpm-tui stop r"} {
		if !strings.Contains(term.String(), want) {
			t.Errorf("the shell does not say %q:\n%s", want, term)
		}
	}
	goesOn(t, f, pid)
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil { // as when the session's leader goes
		t.Fatal(err)
	}
	goesOn(t, f, pid)

	term = open(t, filepath.Dir(f.Dir()), false, "attach", "r")
	term.until("RUNNING", "samples at step", "▀▀▀▀", "detach")
	term.press("p")
	term.until("PAUSED")
	before := f.Info().Step
	term.press("c")
	term.until("checkpoints/step-" + pad8(before))

	// Another screen watches, and says why, until it takes control.
	other := open(t, filepath.Dir(f.Dir()), false, "attach", f.Dir())
	other.until("PAUSED", "process "+strconv.Itoa(term.cmd.Process.Pid), "has control")
	other.press("q")
	other.end(exitOK)
	other = open(t, filepath.Dir(f.Dir()), false, "attach", "--take", f.Dir())
	term.until("has taken control")
	other.until("PAUSED")
	other.press("p")
	other.until("RUNNING")
	other.press("q")
	other.end(exitOK)
	term.until("this screen has control now")

	term.press("Q")
	term.until("stop training?", "kill", "cancel")
	term.press("s")
	term.end(exitOK)
	if _, running := f.Locked(); running {
		t.Error("it is still being trained")
	}
	checkRun(t, f.Dir(), last(t, filepath.Dir(f.Dir())), "stopped")
	if _, err := os.Lstat(f.Path(run.SocketName)); err == nil {
		t.Error("the socket is left")
	}
}

// Whatever happens to the screen, the training goes on; stop ends it.
func TestScreenIsLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*terminal){
		"killed":          func(term *terminal) { term.signal(syscall.SIGKILL) },
		"terminal closed": func(term *terminal) { term.pty.Close() },
		"hung up":         func(term *terminal) { term.signal(syscall.SIGHUP) },
		"terminated":      func(term *terminal) { term.signal(syscall.SIGTERM) },
		"ctrl+c":          func(term *terminal) { term.press("\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			term, f := detachedTraining(t)
			pid := trainerOf(t, f)
			lose(term)
			giveUp := time.AfterFunc(patience, func() { term.cmd.Process.Kill() })
			defer giveUp.Stop()
			term.cmd.Wait() // how it ends nobody sees
			goesOn(t, f, pid)
			out := must(t, filepath.Dir(f.Dir()), "stop", "r")
			if !strings.Contains(out, "r: stopped at step ") {
				t.Errorf("stop says %q", out)
			}
			checkRun(t, f.Dir(), last(t, filepath.Dir(f.Dir())), "stopped")
		})
	}
}

// A watcher that is stopped costs the trainer nothing, and sees all when it goes on.
func TestWatcherIsStopped(t *testing.T) {
	long(t)
	term, f := detachedTraining(t)
	pid := trainerOf(t, f)
	steps := func() int64 { // in a while
		before := f.Info().Step
		time.Sleep(1500 * time.Millisecond)
		return f.Info().Step - before
	}
	awake := steps()
	term.signal(syscall.SIGSTOP)
	asleep := steps() + steps() + steps() + steps() + steps() // longer than a viewer may sleep
	t.Logf("%d steps while it watched, %.1f while it was stopped", awake, float64(asleep)/5)
	if float64(asleep)/5 < float64(awake)/3 { // other tests run beside it
		t.Errorf("%d steps while the screen watched, %.1f while it was stopped", awake, float64(asleep)/5)
	}
	goesOn(t, f, pid)
	term.signal(syscall.SIGCONT)
	term.press("p")
	term.until("PAUSED") // it is connected again, once it has caught up
	term.press("c")
	term.until("checkpoints/step-" + pad8(f.Info().Step))
	term.press("Q")
	term.until("stop training?")
	term.press("k")
	term.until("ENDED", "without a word")
	term.press("q")
	term.end(exitOK)
	if i := f.Info(); i.State != run.Interrupted {
		t.Errorf("%+v", i)
	}
}

// What goes wrong before the first step reaches the screen and the shell; a run of which nothing came is not left behind.
func TestDetachedCannotBegin(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"nothing"}, "is empty", exitFail},
		{[]string{"--batch", "1000000"}, "not enough memory", run.FaultMemory.Exit},
	} {
		term := open(t, dir, false, append([]string{"train", "--preset", "tiny"}, c.args...)...)
		term.until("FAILED", c.want)
		term.press("q")
		term.end(c.code)
		if said := strings.ReplaceAll(term.String(), "\n", ""); !strings.Contains(said, "ddpm-tui: ") || !strings.Contains(said, c.want) {
			t.Errorf("the shell shows %s", term)
		}
		absent(t, filepath.Join(dir, "runs", "tiny"))
	}

	// Somebody else trains it: there is no screen to begin with.
	tr := background(t, dir, nil, pictures(), "--preset", "tiny", "--run", "r", "--steps", "100000")
	tr.until(1)
	term := open(t, dir, false, "resume", "r")
	term.end(run.FaultBusy.Exit)
	if !strings.Contains(strings.ReplaceAll(term.String(), "\n", ""), "process "+strconv.Itoa(tr.cmd.Process.Pid)) {
		t.Errorf("the shell shows %s", term)
	}

	// But it can be watched, and stopped, though it has no screen of its own.
	watcher := open(t, dir, false, "attach", "r", "--watch")
	watcher.until("RUNNING")
	watcher.press("p")
	watcher.until("only watches")
	out := must(t, dir, "stop", "r")
	if !strings.Contains(out, "stopped at step") {
		t.Error(out)
	}
	watcher.until("STOPPED", "ddpm-tui resume r")
	watcher.press("q")
	watcher.end(exitOK)
	if code := tr.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := invoke(t, dir, "stop", "r"); r.code != exitFail || !strings.Contains(r.stderr, "not being trained") {
		t.Errorf("%+v", r)
	}

	// A run that has ended can be looked at.
	if out := must(t, dir, "attach", "r", "--json"); len(decode[stepLine](t, out)) < 1 {
		t.Error(out)
	}
	term = open(t, dir, false, "attach", "r")
	term.until("STOPPED", "loss by timestep")
	term.press("q")
	term.end(exitOK)
}

// Killed at once: the last checkpoint is there, and resume says what happened.
func TestStopKill(t *testing.T) {
	long(t)
	dir := t.TempDir()
	tr := background(t, dir, nil, pictures(), "--preset", "tiny", "--run", "r", "--steps", "100000", "--checkpoint-every", "2")
	tr.until(5)
	if out := must(t, dir, "stop", "--kill", "r"); !strings.Contains(out, "interrupted at step") {
		t.Error(out)
	}
	tr.wait()
	if got := checkpoints(t, dir, "r"); len(got) == 0 {
		t.Error("no checkpoint")
	}
	out := must(t, dir, "resume", "r", "--steps", "100", "--headless", "--threads", "1")
	if want := "process " + strconv.Itoa(tr.cmd.Process.Pid) + ", which trained this run before, ended without a word"; !strings.Contains(out, want) {
		t.Errorf("it does not say %q:\n%s", want, out)
	}
}

// Without a socket, as on another machine that shares the disk, a run is watched from its log alone.
func TestAttachToTheLogAlone(t *testing.T) {
	long(t)
	dir := t.TempDir()
	tr := background(t, dir, nil, pictures(), "--preset", "tiny", "--run", "r", "--steps", "100000")
	tr.until(1)
	if err := os.RemoveAll(filepath.Join(dir, "r", run.SocketName)); err != nil {
		t.Fatal(err)
	}
	term := open(t, dir, false, "attach", "r")
	term.until("RUNNING", "samples at step", "▀▀▀▀", "loss by timestep")
	term.press("p")
	term.until("no trainer listens here")
	if out := must(t, dir, "stop", "r"); !strings.Contains(out, "stopped at step") { // with a signal
		t.Error(out)
	}
	term.until("STOPPED")
	term.press("q")
	term.end(exitOK)
	if code := tr.wait(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
