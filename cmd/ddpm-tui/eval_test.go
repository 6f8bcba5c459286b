package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// evals are the results that eval --json printed.
func evals(t *testing.T, out string) map[string]run.Eval {
	t.Helper()
	list := map[string]run.Eval{}
	for line := range strings.Lines(out) {
		var e run.Eval
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if e.Metric != "" {
			list[e.Metric] = e
		}
	}
	return list
}

// An evaluation says each metric with its error and number of images, keeps its work, and notes its results in the run's log.
func TestEval(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "train", "--preset", "tiny", "--steps", "8", "--holdout", "40", "--run", "run", "--headless", "--threads", "1")
	args := []string{"eval", "run", "--metrics", "loss,bits,swd,nearest", "-n", "32", "--sampling-steps", "3", "--held", "12", "--bits-steps", "20", "--threads", "1", "--json"}
	first := must(t, dir, args...)
	got := evals(t, first)
	for name, n := range map[string]int{"loss": 12, "bits": 12, "swd": 32, "nearest": 32, "memorised": 32} {
		e, ok := got[name]
		if !ok || e.N != n || !(e.Err > 0) || e.About == "" || e.Against == "" || e.Checkpoint != "checkpoints/step-00000008" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if got["loss"].Against != "held-out images" || len(got["loss"].Parts) != 20 || got["swd"].SamplingSteps != 3 {
		t.Errorf("loss %+v, swd %+v", got["loss"], got["swd"])
	}
	if p := got["nearest"].File; len(read(t, filepath.Join(dir, "run"), p)) == 0 {
		t.Errorf("no picture at %q", p)
	}
	again := must(t, dir, args...)
	for name, e := range evals(t, again) {
		if e.Value != got[name].Value || e.Err != got[name].Err {
			t.Errorf("%s: %v, then %v", name, got[name].Value, e.Value)
		}
	}
	if !strings.Contains(again, `"percent":100,"task":"samples`) {
		t.Errorf("the samples were not kept:\n%s", again)
	}
	events, _, err := run.ReadEvents(filepath.Join(dir, "run"), 0)
	if err != nil {
		t.Fatal(err)
	}
	noted := 0
	for _, e := range events {
		if e.Eval != nil {
			noted++
			if e.Step != 8 || e.Eval.Value != got[e.Eval.Metric].Value {
				t.Errorf("step %d: %+v", e.Step, e.Eval)
			}
		}
	}
	if noted != 10 {
		t.Errorf("%d results in the log, want 10", noted)
	}
	must(t, dir, "resume", "run", "--steps", "9", "--headless", "--threads", "1") // the log is as good as before
}

// An evaluation that is stopped says so, and goes on where it was.
func TestEvalStops(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "train", "--preset", "tiny", "--steps", "2", "--run", "run", "--headless", "--threads", "1")
	args := []string{"eval", "run", "--metrics", "swd", "-n", "1024", "--sampling-steps", "60", "--threads", "1", "--json"}
	c := program(t, dir, args...)
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kept := func() int {
		files, _ := filepath.Glob(filepath.Join(dir, "run", "eval", "samples-*", "*.chunk"))
		return len(files)
	}
	for start := time.Now(); kept() < 1; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("no samples were kept")
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := c.Wait()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(errs.String(), "goes on from there") {
		t.Errorf("%v: %s", err, errs.String())
	}
	n := kept()
	if n < 1 || n >= 32 {
		t.Fatalf("%d chunks are kept", n)
	}
	out := must(t, dir, "eval", "run", "--metrics", "swd", "-n", "32", "--sampling-steps", "60", "--threads", "1", "--json")
	if !strings.Contains(out, `"percent":100,"task":"samples`) {
		t.Errorf("the samples were made again:\n%s", out)
	}
}

func TestEvalRefuses(t *testing.T) {
	long(t)
	for args, want := range map[string]string{
		"--metrics fid":         `metric "fid" is unknown, want all, or some of loss,bits,swd,frechet,kernel,precision,nearest`,
		"-n 3":                  "-n 3: want 16",
		"--bits-steps 30":       "--bits-steps 30: want a multiple of 20",
		"--variance small":      `--variance "small"`,
		"--sampler none":        `sampler "none" is unknown`,
		"--checkpoint step-123": "there is no run or checkpoint",
	} {
		r := invoke(t, t.TempDir(), append([]string{"eval", trained()}, strings.Fields(args)...)...)
		if r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %q", args, r.code, r.stderr, want)
		}
	}
}
