package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

func TestParseCadence(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]cadence{"5m": {seconds: 300}, "1h30m": {seconds: 5400}, "1000": {steps: 1000}, "1": {steps: 1}, "1.5s": {seconds: 1.5}} {
		if got, err := parseCadence(s); err != nil || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "5", "1ms", "-5m", "soon", "1e3", "NaN", "9999999h"} {
		if got, err := parseCadence(s); (err == nil) != (s == "5") {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

// checkpoints are the folders of a run's checkpoints.
func checkpoints(t *testing.T, dir ...string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(append(dir, "checkpoints", "step-*")...))
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i] = filepath.Base(list[i])
	}
	return list
}

// Checkpoints come as often as asked for and as many stay, also after resuming; a run whose steps are done says so.
func TestResume(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--preset", "tiny", "--run", "r", "--steps", "5", "--checkpoint-every", "2", "--keep", "2", "--threads", "1", "--json")
	if got := checkpoints(t, dir, "r"); !slices.Equal(got, []string{"step-00000004", "step-00000005"}) {
		t.Errorf("the checkpoints are %v", got)
	}
	checkSteps(t, must(t, dir, "resume", "r", "--steps", "9", "--threads", "1", "--json"), 6, 9)
	if got := checkpoints(t, dir, "r"); !slices.Equal(got, []string{"step-00000008", "step-00000009"}) {
		t.Errorf("the checkpoints are %v", got)
	}
	checkRun(t, filepath.Join(dir, "r"), 9, "done")
	if out := must(t, dir, "resume", "r", "--headless", "--keep", "1"); !strings.Contains(out, "all 9 steps are done: --steps gives the run more") {
		t.Errorf("it says %s", out)
	}

	for _, r := range []refusal{
		{"nothing", []string{"resume"}, exitUsage, []string{"one argument"}},
		{"no run", []string{"resume", dir, "--headless"}, exitFail, []string{dir, "not a run"}},
		{"nowhere", []string{"resume", "nowhere", "--headless"}, exitFail, []string{"nowhere"}},
		{"keep none", []string{"resume", filepath.Join(dir, "r"), "--keep", "0"}, exitUsage, []string{"--keep 0"}},
		{"never", []string{"resume", filepath.Join(dir, "r"), "--checkpoint-every", "never"}, exitUsage, []string{`"never"`, "5m", "1000"}},
	} {
		r.check(t)
	}
}

func TestRuns(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if out := must(t, dir, "runs"); !strings.Contains(out, "no runs") {
		t.Errorf("it says %s", out)
	}
	if out := must(t, dir, "runs", "--json"); out != "" {
		t.Errorf("it says %s", out)
	}
	must(t, dir, "train", pictures(), "--preset", "tiny", "--steps", "2", "--threads", "1", "--json")
	if err := os.CopyFS(filepath.Join(dir, "runs", "evil\x1b[31m"), os.DirFS(filepath.Join(dir, "runs", "tiny"))); err != nil {
		t.Fatal(err)
	}
	out := must(t, dir, "runs")
	for _, want := range []string{"RUN", "LOSS", filepath.Join("runs", "tiny"), "done", "2/2", "24"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("a raw escape: %q", out)
	}
	list := decode[runLine](t, must(t, dir, "runs", "--json"))
	if len(list) != 2 || list[0].State != run.Done || list[0].Step != 2 || list[0].Images != 24 || list[0].Updated == nil || !(list[0].LossEMA > 0) {
		t.Errorf("%+v", list)
	}
}
