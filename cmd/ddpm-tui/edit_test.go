//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// edits are the edits in a run's log that were made, not met again.
func edits(t *testing.T, dir string) (list []run.Event) {
	t.Helper()
	for _, e := range events(t, dir) {
		if e.Edit != nil && !e.Edit.Again {
			list = append(list, e)
		}
	}
	return list
}

// A run is edited while it trains, killed, and resumed from before the edit: what comes out is to the last byte what an unbroken run
// gives that is edited at the same step.
func TestEditThenKill(t *testing.T) {
	long(t)
	dir := t.TempDir()
	tr := background(t, dir, nil, pictures(), "--config", quick(), "--run", "r", "--steps", "100000", "--checkpoint-every", "3", "--keep", "1000000")
	tr.until(4)
	if out := must(t, dir, "edit", "r", "--lr", "3e-3", "--ema-decay", "0.5"); !strings.Contains(out, "learning rate 0.003, EMA decay 0.5") {
		t.Errorf("it says %q", out)
	}
	if r := invoke(t, dir, "edit", "r", "--lr", "-1"); r.code != exitFail || !strings.Contains(r.stderr, "optimizer.lr") {
		t.Errorf("%+v", r)
	}
	made := edits(t, filepath.Join(dir, "r"))
	for len(made) == 0 {
		if !tr.next() {
			t.Fatalf("it ended: %s", tr.stderr.String())
		}
		made = edits(t, filepath.Join(dir, "r"))
	}
	at := made[0].Step
	tr.until(at + 3)
	tr.end(os.Kill)

	// Back to before the edit.
	for _, name := range checkpoints(t, dir, "r") {
		if name > "step-"+pad8(at-1) && strings.HasPrefix(name, "step-") {
			if err := os.RemoveAll(filepath.Join(dir, "r", "checkpoints", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	end := at + 5
	args := []string{"--threads", "2", "--json", "--checkpoint-every", "1000", "--steps", itoa(end)}
	must(t, dir, append([]string{"resume", "r"}, args...)...)
	checkRun(t, filepath.Join(dir, "r"), end, "done")

	// The unbroken run knows of the edit from the start.
	var config train.Config
	folder, err := run.Open(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.ReadConfig(&config); err != nil {
		t.Fatal(err)
	}
	whole := edited(t, filepath.Join(dir, "whole"), &config, made...)
	must(t, dir, append([]string{"resume", "whole"}, args...)...)
	for _, name := range append(weights, "state.json") {
		if got, want := read(t, dir, "r", "checkpoints", "latest", name), read(t, whole.Path("checkpoints", "latest", name)); !bytes.Equal(got, want) {
			t.Errorf("%s differs from that of the run that was not killed", name)
		}
	}

	// A run that is not trained is edited as it goes on.
	if r := invoke(t, dir, "edit", "r", "--lr", "1e-3"); r.code != exitFail || !strings.Contains(r.stderr, "ddpm-tui resume r") {
		t.Errorf("%+v", r)
	}
	must(t, dir, "resume", "r", "--steps", itoa(end+2), "--lr", "1e-5", "--preview-every", "1h", "--headless")
	if made := edits(t, filepath.Join(dir, "r")); len(made) != 2 || made[1].Step != end || *made[1].Edit.LR != 1e-5 || *made[1].Edit.PreviewSeconds != 3600 {
		t.Errorf("%+v", made)
	}
}

// edited makes a run whose log has edits of steps to come.
func edited(t *testing.T, dir string, config *train.Config, list ...run.Event) *run.Folder {
	t.Helper()
	folder, err := run.Create(dir, config)
	if err != nil {
		t.Fatal(err)
	}
	log, _, err := folder.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}
