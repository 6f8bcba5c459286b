//go:build unix

package main

import (
	"path/filepath"
	"testing"
	"time"
)

// A lost terminal leaves the lab's training at work; the lab comes back to it, and going back to the list saves and stops it.
func TestLabTrainingOutlivesItsScreen(t *testing.T) {
	long(t)
	dir := t.TempDir()
	args := []string{"lab", "denoise", "--size", "8", "--steps", "100000", "--threads", "1"}
	term := open(t, dir, false, args...)
	term.until("RUNNING", "training", "of 100000")
	f := underway(t, filepath.Join(dir, runsDir, "lab-noise-8-cosine-300"))
	pid := trainerOf(t, f)
	term.pty.Close()
	giveUp := time.AfterFunc(patience, func() { term.cmd.Process.Kill() })
	defer giveUp.Stop()
	term.cmd.Wait() // how it ends nobody sees
	goesOn(t, f, pid)

	term = open(t, dir, false, args...)
	term.until("RUNNING", "training", "of 100000")
	if now := trainerOf(t, f); now != pid {
		t.Errorf("trained by process %d, want %d", now, pid)
	}
	term.press("\x1b")
	term.until("experiments", "oneshot")
	if pid, running := f.Locked(); running {
		t.Errorf("process %d trains", pid)
	}
	checkRun(t, f.Dir(), f.Info().Step, "stopped")
	term.press("q")
	term.end(exitOK)
}
