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
)

// training opens the screen of a training in the same process, which does not end by itself.
func training(t *testing.T, dir string) *terminal {
	t.Helper()
	term := open(t, dir, false, "train", pictures(), "--preset", "tiny", "--run", "r", "--steps", "100000", "--threads", "1", "--no-detach")
	term.until("RUNNING", "loss by timestep", "samples", "quit")
	return term
}

// last is the step of the last line of a run's log.
func last(t *testing.T, dir string) int64 {
	t.Helper()
	list := events(t, filepath.Join(dir, "r"))
	return list[len(list)-1].Step
}

// What the keys do, in the order in which a curious person tries them.
func TestScreenTrain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	term := training(t, dir)
	term.frame("ddpm-tui", "help")

	term.press("p")
	term.until("PAUSED", "!RUNNING", "go on")
	before := last(t, dir)
	time.Sleep(200 * time.Millisecond) // several steps
	if after := last(t, dir); after != before {
		t.Errorf("it is paused, and went from step %d to %d", before, after)
	}

	term.press("?")
	term.until("keys", "save a checkpoint now", "ctrl+c leaves from anywhere")
	term.press("?")
	term.until("!ctrl+c leaves from anywhere", "PAUSED")
	term.press("c")
	term.until("checkpoints/step-" + pad8(before))
	term.press("2")
	term.until("[2 Samples]")
	term.press("6")
	term.until("[6 Logs]", "checkpoints/step-"+pad8(before))
	term.press("1p")
	term.until("[1 Train]", "RUNNING")
	term.frame("ddpm-tui", "quit")
	term.press("s")
	term.until("samples at step", "▀▀▀▀")
	term.press("q")
	term.end(exitOK)
	checkRun(t, filepath.Join(dir, "r"), last(t, dir), "stopped")
}

func pad8(step int64) string {
	s := strconv.FormatInt(step, 10)
	return strings.Repeat("0", max(0, 8-len(s))) + s
}

// A training that ends stays on the screen and says what to do next.
func TestScreenTrainToTheEnd(t *testing.T) {
	long(t)
	dir := t.TempDir()
	term := open(t, dir, false, "train", "--preset", "tiny", "--steps", "30")
	term.until("DONE", "30/30", "ddpm-tui sample runs/tiny", "▀▀▀▀") // the log has few lines here: what it says before may be gone
	term.frame("tiny", "quit")
	term.press("q")
	term.end(exitOK)
	checkRun(t, filepath.Join(dir, "runs", "tiny"), 30, "done")
}

// However a training is asked to end, it ends with a checkpoint, exit code 0 and the terminal as it was.
func TestScreenTrainEnds(t *testing.T) {
	long(t)
	for name, ask := range map[string]func(*terminal){
		"ctrl+c":       func(term *terminal) { term.press("\x03") },
		"while paused": func(term *terminal) { term.press("p"); term.until("PAUSED"); term.press("q") },
		"TERM":         func(term *terminal) { term.signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			term := training(t, dir)
			ask(term)
			term.end(exitOK)
			checkRun(t, filepath.Join(dir, "r"), last(t, dir), "stopped")
		})
	}
}

// When the terminal is closed the run is saved.
func TestScreenTerminalCloses(t *testing.T) {
	long(t)
	dir := t.TempDir()
	term := training(t, dir)
	term.pty.Close()
	giveUp := time.AfterFunc(patience, func() { term.cmd.Process.Kill() })
	defer giveUp.Stop()
	term.cmd.Wait() // how it ends nobody sees
	checkRun(t, filepath.Join(dir, "r"), last(t, dir), "stopped")
}

// A training that cannot begin says why on the screen, and again where the shell shows it.
func TestScreenTrainFails(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	term := open(t, dir, false, "train", "nothing", "--preset", "tiny")
	term.until("FAILED", "is empty")
	term.press("q")
	term.end(exitFail)
	if said := term.String(); !strings.Contains(said, "ddpm-tui: ") || !strings.Contains(said, "is empty") {
		t.Errorf("the shell shows %q", said)
	}
}

// Home draws at once, on a terminal that answers nothing too, and leaves nothing behind.
func TestScreenHome(t *testing.T) {
	t.Parallel()
	for name, deaf := range map[string]bool{"answers": false, "deaf": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			term := open(t, dir, deaf)
			term.until("Denoising diffusion in the terminal", "+ new run", "no runs here yet", "quit")
			term.frame("ddpm-tui", "quit")
			term.press("?")
			term.until("keys", "ctrl+c leaves from anywhere")
			term.press("qq") // the help, then the program
			term.end(exitOK)
			if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
				t.Errorf("it left %v (%v)", list, err)
			}
		})
	}
}

// From home to a new run, and back to it.
func TestScreenHomeToTraining(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "-set"), os.DirFS(pictures())); err != nil { // what looks like a flag is a folder here
		t.Fatal(err)
	}
	term := open(t, dir, false)
	term.until("+ new run")
	term.press("\r")
	term.until("preset", "tiny", "avatars32", "enter looks at the data first")
	term.press("\x1b[C") // right of avatars32
	term.press("\t-none\r")
	term.until("error", "-none")
	term.press("\x15-set\r") // ctrl+u
	term.until("24", "20x20", "enter starts the run")
	term.press("\r")
	term.until("RUNNING", "step")
	term.press("Q")
	term.until("stop training?")
	term.press("s")
	term.end(exitOK)
	made := filepath.Join(dir, "runs", "tiny")
	list := events(t, made)
	checkRun(t, made, list[len(list)-1].Step, "stopped")

	term = open(t, dir, false)
	term.until("tiny", "STOPPED", "/400", "1 run")
	term.press("s") // sample from it
	term.until("DONE", "grid.png")
	term.press("q")
	term.end(exitOK)
	decodePNG(t, filepath.Join(made, "grid.png"))
}

// The sampling screen shows the way and the file, and can be left before.
func TestScreenSample(t *testing.T) {
	long(t)
	dir := t.TempDir()
	term := open(t, dir, false, "sample", trained(), "-n", "4", "-o", "here.png", "--gif", "here.gif")
	term.until("DONE", "saved", "here.png", "here.gif", "quit")
	term.frame("ddpm-tui", "quit")
	term.press("q")
	term.end(exitOK)
	decodePNG(t, filepath.Join(dir, "here.png"))

	term = open(t, dir, false, "sample", trained(), "-n", "64", "--sampler", "ddpm", "-o", "left.png")
	term.until("SAMPLING", "step ", "left")
	term.press("q")
	term.end(exitFail)
	if said := term.String(); !strings.Contains(said, "nothing was written") {
		t.Errorf("the shell shows %q", said)
	}
	absent(t, filepath.Join(dir, "left.png"))
}

func TestScreenData(t *testing.T) {
	long(t)
	term := open(t, t.TempDir(), false, "data", pictures())
	term.until("24", "20x20", "quit")
	term.press("q")
	term.end(exitOK)
}
