//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A run knows when its images are not those that it was started with.
func TestDataChanged(t *testing.T) {
	long(t)
	dir := t.TempDir()
	set := filepath.Join(dir, "set")
	if err := os.CopyFS(set, os.DirFS(pictures())); err != nil {
		t.Fatal(err)
	}
	must(t, dir, "train", "set", "--preset", "tiny", "--run", "r", "--steps", "2", "--threads", "1", "--json")
	must(t, dir, "resume", "r", "--steps", "3", "--threads", "1", "--json") // nothing changed
	if err := os.Rename(filepath.Join(set, "a.png"), filepath.Join(set, "zz.png")); err != nil {
		t.Fatal(err)
	}
	before := read(t, dir, "r", "checkpoints", "latest", "model.safetensors")
	for range 2 {
		r := invoke(t, dir, "resume", "r", "--steps", "4", "--headless")
		if r.code != run.FaultData.Exit || !strings.Contains(r.stderr, set) || !strings.Contains(r.stderr, run.FaultData.Message) {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
	}
	if i := run.List(dir); len(i) != 1 || i[0].State != run.Failed || !strings.Contains(i[0].Problem, "changed since") {
		t.Errorf("%+v", i)
	}
	if !bytes.Equal(before, read(t, dir, "r", "checkpoints", "latest", "model.safetensors")) {
		t.Error("the weights changed")
	}
	r := invoke(t, dir, "resume", "r", "--steps", "4", "--threads", "1", "--json", "--allow-data-change")
	if r.code != 0 || !strings.Contains(r.stderr, "the images changed") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	checkSteps(t, r.stdout, 4, 4)
	must(t, dir, "resume", "r", "--steps", "5", "--threads", "1", "--json") // those are its images now
}

// A resume takes the decoded images that are in the run, so that it computes with those of the start also where a file has changed
// since without a change of its size; a cache that is damaged is named and made anew.
func TestDecodedImages(t *testing.T) {
	long(t)
	dir := t.TempDir()
	set := filepath.Join(dir, "set")
	if err := os.CopyFS(set, os.DirFS(pictures())); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"r", "whole"} {
		must(t, dir, "train", "set", "--config", quick(), "--run", name, "--steps", "2", "--threads", "1", "--json")
	}
	must(t, dir, "resume", "whole", "--steps", "8", "--threads", "1", "--json")
	for name, p := range map[string][]byte{"a.png": read(t, set, "b.png"), "b.png": []byte("junk")} {
		was := len(read(t, set, name))
		write(t, filepath.Join(set, name), string(append(p, make([]byte, was)...)[:was]))
	}
	out := must(t, dir, "resume", "r", "--steps", "8", "--threads", "1", "--headless")
	if !strings.Contains(out, "24 decoded images from images.safetensors") || strings.Contains(out, "skipped") {
		t.Errorf("it says %s", out)
	}
	for _, name := range weights {
		if !bytes.Equal(read(t, dir, "r", "checkpoints", "latest", name), read(t, dir, "whole", "checkpoints", "latest", name)) {
			t.Errorf("%s is not the unbroken run's", name)
		}
	}

	cache := filepath.Join(dir, "r", run.ImagesName)
	p := read(t, cache)
	p[len(p)-1]++
	write(t, cache, string(p))
	r := invoke(t, dir, "resume", "r", "--steps", "9", "--threads", "1", "--headless")
	if r.code != 0 || !strings.Contains(r.stderr, "decoded anew") || !strings.Contains(r.stderr, "images.safetensors is damaged") || !strings.Contains(r.stderr, "skipped b.png") {
		t.Errorf("%+v", r)
	}
	r = invoke(t, dir, "resume", "r", "--steps", "10", "--threads", "1", "--headless")
	if r.code != 0 || !strings.Contains(r.stdout, "22 decoded images from") || strings.Contains(r.stderr, "anew") {
		t.Errorf("%+v", r)
	}
}

// What a newer program wrote is refused, not guessed at.
func TestNewer(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--preset", "tiny", "--run", "r", "--steps", "1", "--threads", "1", "--json")
	refused := func(what string) {
		t.Helper()
		r := invoke(t, dir, "resume", "r", "--steps", "2", "--headless")
		for _, want := range []string{what, "version 99", run.FaultNewer.Message} {
			if r.code != run.FaultNewer.Exit || !strings.Contains(r.stderr, want) {
				t.Errorf("%s: exit code %d, %q does not say %q", what, r.code, r.stderr, want)
			}
		}
	}
	write(t, filepath.Join(dir, "r", "checkpoints", "step-00000001", "state.json"), `{"version": 99, "all": "else"}`)
	refused("state.json")
	write(t, filepath.Join(dir, "r", "config.json"), strings.Replace(string(read(t, dir, "r", "config.json")), `"version": 1`, `"version": 99`, 1))
	refused("config.json")
}

// A trainer that was stopped for a while, as when a machine sleeps, says what is left as if it had not been.
func TestClock(t *testing.T) {
	long(t)
	tr := background(t, t.TempDir(), nil, pictures(), "--config", quick(), "--run", "r", "--steps", "100000")
	left := func(step int64) float64 {
		t.Helper()
		tr.until(step - 1)
		tr.lines.Scan()
		var l stepLine
		if err := json.Unmarshal(tr.lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		tr.step = l.Step
		return float64(l.ETAS)
	}
	before := left(40)
	if err := tr.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if err := tr.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	after := left(tr.step + 200) // a pipe holds some lines of before
	t.Logf("%.0f s left before, %.0f s after", before, after)
	if after > 4*before {
		t.Errorf("%.0f s were left, %.0f s are after a pause of three", before, after)
	}
	if code := tr.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
