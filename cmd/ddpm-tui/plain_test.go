//go:build unix

package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A training told in lines: nothing but printable text is ever written, the state is in words, samples are numbers, a letter and Enter
// controls it, and leaving leaves it running.
func TestPlain(t *testing.T) {
	long(t)
	dir := t.TempDir()
	term := open(t, dir, true, "train", pictures(), "--preset", "tiny", "--run", "r", "--steps", "100000", "--threads", "1", "--plain")
	term.heard("type a letter and Enter", "state: running", "loss")
	underway(t, filepath.Join(dir, "r"))
	term.press("p\n")
	term.heard("state: paused")
	term.press("p\ns\n")
	term.heard("sample 4: mean", "deviation", "minimum")
	term.press("q\n")
	term.heard("training goes on (process", "ddpm-tui attach r")
	term.end(exitOK)
	raw := term.raw.String()
	if bad := regexp.MustCompile(`[^\x20-\x7e\r\n]`).FindString(raw); bad != "" {
		t.Errorf("%q was written: %q", bad, raw)
	}
	for _, after := range strings.Split(raw, "\r")[1:] { // a line is never written over
		if !strings.HasPrefix(after, "\n") {
			t.Fatalf("a line is written over by %.40q", after)
		}
	}

	// Another one, through a terminal that says itself that it can do no more.
	cmd := program(t, dir, "attach", "r", "--take")
	cmd.Env = append(cmd.Env, "TERM=dumb")
	again := openCommand(t, cmd, true)
	again.heard("step", "average", "left")
	again.press("Q\n")
	again.heard("state: stopped", "next: ddpm-tui sample r")
	again.end(exitOK)
	if strings.Contains(again.raw.String(), "\x1b") {
		t.Errorf("a dumb terminal got %q", again.raw.String())
	}

	out := must(t, dir, "sample", "r", "-n", "2", "--sampling-steps", "2", "-o", "g.png", "--plain")
	if !strings.Contains(out, "sample 2: mean 0.") || strings.Contains(out, "sample 3") {
		t.Errorf("the samples in numbers are %q", out)
	}
	if out := must(t, dir, "--plain"); !strings.Contains(out, "there are no runs in runs") || !strings.Contains(out, "train --plain") {
		t.Errorf("home is %q", out)
	}
}
