package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A refusal is a command that the program must refuse: with this exit code, naming all of these on its standard error.
type refusal struct {
	name string
	args []string
	code int
	want []string
}

// check runs a command that must be refused, and sees to it that nothing was done.
func (r refusal) check(t *testing.T) {
	t.Run(r.name, func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		got := invoke(t, dir, r.args...)
		if got.code != r.code {
			t.Errorf("%q: exit code %d, want %d", r.args, got.code, r.code)
		}
		if got.stdout != "" {
			t.Errorf("%q: it began to work: %s", r.args, got.stdout)
		}
		line, ok := strings.CutPrefix(got.stderr, "ddpm-tui: ")
		if !ok || strings.Count(line, "\n") != 1 || len(line) < 10 {
			t.Errorf("%q: want one line of error, got %q", r.args, got.stderr)
		}
		for _, want := range r.want {
			if !strings.Contains(line, want) {
				t.Errorf("%q: %q does not name %q", r.args, line, want)
			}
		}
		if runs := run.List(filepath.Join(dir, runsDir)); len(runs) > 0 {
			t.Errorf("%q: it left a run behind: %s", r.args, runs[0].Dir)
		}
	})
}

// What is wrong on the command line ends with exit code 2.
func TestUsage(t *testing.T) {
	long(t)
	model := trained()
	for _, r := range []refusal{
		{"a command that there is not", []string{"trian"}, exitUsage, []string{`"trian"`, "--help"}},
		{"a flag that there is not", []string{"train", "--sise", "3"}, exitUsage, []string{"--sise", "train --help"}},
		{"a flag of the program that there is not", []string{"--frobnicate"}, exitUsage, []string{"--frobnicate"}},
		{"home without a terminal", nil, exitUsage, []string{"terminal", "--help"}},
		{"train: a preset that there is not", []string{"train", "--preset", "huge"}, exitUsage, []string{`"huge"`, "tiny, avatars32"}},
		{"train: two sets of images", []string{"train", "a", "b"}, exitUsage, []string{"at most one"}},
		{"train: a preset and a file", []string{"train", "--preset", "tiny", "--config", "x"}, exitUsage, []string{"--preset", "--config"}},
		{"train: a size that does not halve", []string{"train", "--preset", "tiny", "--size", "17"}, exitUsage, []string{"size", "17"}},
		{"train: no size", []string{"train", "--preset", "tiny", "--size", "0"}, exitUsage, []string{"size", "0"}},
		{"train: an empty batch", []string{"train", "--preset", "tiny", "--batch", "0"}, exitUsage, []string{"batch", "0", "1 to 1048576"}},
		{"train: a negative batch", []string{"train", "--preset", "tiny", "--batch", "-3"}, exitUsage, []string{"batch", "-3"}},
		{"train: no steps", []string{"train", "--preset", "tiny", "--steps", "0"}, exitUsage, []string{"steps", "0"}},
		{"train: steps that are no number", []string{"train", "--preset", "tiny", "--steps", "many"}, exitUsage, []string{"--steps", `"many"`}},
		{"train: a negative seed", []string{"train", "--preset", "tiny", "--seed", "-1"}, exitUsage, []string{"--seed", "-1"}},
		{"train: a backend that there is not", []string{"train", "--preset", "tiny", "--backend", "abacus"}, exitUsage, []string{`"abacus"`, "auto or cpu or vulkan"}},
		{"train: negative threads", []string{"train", "--preset", "tiny", "--threads", "-1"}, exitUsage, []string{"--threads", "-1"}},
		{"train: a run has its preset", []string{"train", "--run", model, "--preset", "tiny"}, exitUsage, []string{model, "--preset"}},
		{"train: a run has its batch", []string{"train", "--run", model, "--batch", "8"}, exitUsage, []string{model, "--batch"}},
		{"train: a run has its images", []string{"train", pictures(), "--run", model}, exitUsage, []string{model, "DATA"}},
		{"train: a run with no steps", []string{"train", "--run", model, "--steps", "0"}, exitUsage, []string{"steps", "0"}},
		{"train: a run with negative steps", []string{"train", "--run", model, "--steps", "-5"}, exitUsage, []string{"steps", "-5"}},
		{"sample: nothing to sample from", []string{"sample"}, exitUsage, []string{"one argument", "sample --help"}},
		{"sample: a sampler that there is not", []string{"sample", model, "--sampler", "magic"}, exitUsage, []string{`"magic"`, "ddim", "ddpm"}},
		{"sample: eta with ddpm", []string{"sample", model, "--sampler", "ddpm", "--eta", "0.5"}, exitUsage, []string{"--eta", "ddpm"}},
		{"sample: eta above one", []string{"sample", model, "--eta", "2"}, exitUsage, []string{"eta", "2", "0 to 1"}},
		{"sample: more steps than there are", []string{"sample", model, "--sampling-steps", "1001"}, exitUsage, []string{"1001", "1000"}},
		{"sample: negative steps", []string{"sample", model, "--sampling-steps", "-1"}, exitUsage, []string{"--sampling-steps", "-1"}},
		{"sample: no images", []string{"sample", model, "-n", "0"}, exitUsage, []string{"-n 0"}},
		{"sample: an empty batch", []string{"sample", model, "--batch", "0"}, exitUsage, []string{"--batch 0"}},
		{"sample: pictures that no terminal has", []string{"sample", model, "--images", "oil"}, exitUsage, []string{"oil", "sixel"}},
		{"data: too large", []string{"data", "--size", "5000"}, exitUsage, []string{"size", "5000"}},
		{"bench: a mode that there is not", []string{"bench", "--mode", "slow"}, exitUsage, []string{`"slow"`, "train, fwd, op or replay"}},
		{"bench: no iterations", []string{"bench", "--iters", "0"}, exitUsage, []string{"--iters 0"}},
		{"bench: a negative batch", []string{"bench", "--batch", "-1"}, exitUsage, []string{"batch", "-1"}},
		{"bench: threads", []string{"bench", "--threads", "5000"}, exitUsage, []string{"--threads", "5000"}},
		{"presets takes nothing", []string{"presets", "tiny"}, exitUsage, []string{"no arguments"}},
		{"devices takes nothing", []string{"devices", "cpu"}, exitUsage, []string{"no arguments"}},
		{"version takes nothing", []string{"version", "1"}, exitUsage, []string{"no arguments"}},
	} {
		r.check(t)
	}
}

// What is wrong with a file or a folder ends with exit code 1 and names it.
func TestBadInput(t *testing.T) {
	long(t)
	dir := t.TempDir()
	file := func(name, text string) string { return write(t, filepath.Join(dir, name), text) }
	folder := func(name string, files ...string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			write(t, filepath.Join(path, f), "\x89PNG\r\n\x1a\nno picture at all")
		}
		return path
	}
	// damaged is a copy of a run in which a file was changed.
	damaged := func(name, file, text string) string {
		path := filepath.Join(dir, name)
		if err := os.CopyFS(path, os.DirFS(trained())); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(path, file), text)
		return path
	}
	good := strings.SplitN(must(t, dir, "presets", "--json"), "\n", 2)[0]
	changed := func(name, from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("%s is not in %s", from, good)
		}
		return file(name, strings.Replace(good, from, to, 1))
	}
	missing, empty, broken := filepath.Join(dir, "missing"), folder("empty"), folder("broken", "one.png", "two.png")
	torn := file("torn.json", good[:100])
	unknown := changed("unknown.json", `"flip"`, `"flop":1,"flip"`)
	unknownNet := changed("unknown-net.json", `"in_channels"`, `"zork":1,"in_channels"`)
	newer := changed("newer.json", `"version":1`, `"version":99`)
	value := changed("value.json", `"batch":16`, `"batch":0`)
	kind := changed("kind.json", `"kind":"cosine"`, `"kind":"cozy"`)
	list := file("list.json", "[]")
	tornNet := file("net.json", `{"sample_size": 16,`)
	noConfig, noLatest := damaged("no-config", "config.json", "{"), damaged("no-checkpoint", "config.json", good)
	if err := os.RemoveAll(filepath.Join(noLatest, "checkpoints", "step-00000008")); err != nil {
		t.Fatal(err)
	}
	tornState := damaged("torn-state", filepath.Join("checkpoints", "step-00000008", "state.json"), "{")

	for _, r := range []refusal{
		{"train: no such images", []string{"train", missing, "--preset", "tiny"}, exitFail, []string{missing}},
		{"train: an empty folder", []string{"train", empty, "--preset", "tiny", "--headless"}, exitFail, []string{empty, "is empty"}},
		{"train: no pictures", []string{"train", broken, "--preset", "tiny", "--headless"}, exitFail, []string{broken, "2 files were skipped", "one.png"}},
		{"train: no such file", []string{"train", "--config", missing}, exitFail, []string{missing}},
		{"train: a torn file", []string{"train", "--config", torn}, exitFail, []string{torn, "unexpected end"}},
		{"train: a field that there is not", []string{"train", "--config", unknown}, exitFail, []string{unknown, `"flop"`}},
		{"train: a field that the network has not", []string{"train", "--config", unknownNet}, exitFail, []string{unknownNet, `"zork"`}},
		{"train: a file of a later program", []string{"train", "--config", newer}, run.FaultNewer.Exit, []string{newer, "99", "newer ddpm-tui"}},
		{"train: a value that cannot be", []string{"train", "--config", value}, exitFail, []string{value, "batch"}},
		{"train: a schedule that there is not", []string{"train", "--config", kind}, exitFail, []string{kind, "cozy", "cosine"}},
		{"train: a list", []string{"train", "--config", list}, exitFail, []string{list}},
		{"train: a file for a run", []string{"train", "--preset", "tiny", "--run", list, "--headless"}, exitFail, []string{list}},
		{"train: a run with a torn configuration", []string{"train", "--run", noConfig, "--headless"}, exitFail, []string{filepath.Join(noConfig, "config.json")}},
		{"train: too large a batch", []string{"train", "--preset", "tiny", "--batch", "1048576", "--headless"}, run.FaultMemory.Exit, []string{"memory", "--batch"}},
		{"sample: nothing there", []string{"sample", missing, "--headless"}, exitFail, []string{missing}},
		{"sample: a file", []string{"sample", list, "--headless"}, exitFail, []string{list, "is a file"}},
		{"sample: no run", []string{"sample", empty, "--headless"}, exitFail, []string{empty, "run"}},
		{"sample: no checkpoint yet", []string{"sample", noLatest, "--headless"}, exitFail, []string{noLatest, "no checkpoint"}},
		{"sample: a torn state", []string{"sample", tornState, "--headless"}, exitFail, []string{tornState, "state.json"}},
		{"sample: nowhere to write", []string{"sample", trained(), "-n", "1", "-o", filepath.Join(missing, "x.png"), "--headless"}, exitFail, []string{missing}},
		{"sample: nowhere for the animation", []string{"sample", trained(), "-n", "1", "--gif", filepath.Join(missing, "x.gif"), "--headless"}, exitFail, []string{missing}},
		{"data: nothing there", []string{"data", missing}, exitFail, []string{missing}},
		{"data: an empty folder", []string{"data", empty}, exitFail, []string{empty, "is empty"}},
		{"data: no pictures", []string{"data", broken}, exitFail, []string{broken, "2 files were skipped", "one.png"}},
		{"bench: no such file", []string{"bench", "--config", missing}, exitFail, []string{missing}},
		{"bench: a torn file", []string{"bench", "--config", tornNet}, exitFail, []string{tornNet}},
		{"bench: a run's configuration", []string{"bench", "--config", value}, exitFail, []string{value, "unknown field"}},
	} {
		r.check(t)
	}
}
