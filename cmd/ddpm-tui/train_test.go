package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// weights are a checkpoint's files of tensors.
var weights = []string{"model.safetensors", "ema.safetensors", "optimizer.safetensors"}

// checkRun looks at the folder of a run that has ended: all that a later program, or person, needs is there.
func checkRun(t *testing.T, dir string, step int64, reason string) {
	t.Helper()
	var config train.Config
	if err := run.DecodeConfig("config.json", read(t, dir, "config.json"), &config); err != nil {
		t.Error(err)
	}
	var state struct {
		Step, Seed uint64
	}
	if err := json.Unmarshal(read(t, dir, "checkpoints", "latest", "state.json"), &state); err != nil || state.Step != uint64(step) || state.Seed != config.Seed {
		t.Errorf("state.json says %+v, want step %d and seed %d (%v)", state, step, config.Seed, err)
	}
	for _, name := range weights {
		if len(read(t, dir, "checkpoints", "latest", name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	list := events(t, dir)
	last := list[len(list)-1]
	if last.End == nil || last.End.Reason != reason || last.End.Error != "" || last.Step != step {
		t.Errorf("the log ends with %+v %+v, want the end at step %d, %s", last, last.End, step, reason)
	}
	if info := run.List(filepath.Dir(dir)); !slices.ContainsFunc(info, func(i run.Info) bool { return i.Name == filepath.Base(dir) && i.State == reason && i.Step == step }) {
		t.Errorf("the listing says %+v", info)
	}
}

// checkSteps looks at what --json prints: one whole line a step, from first to last.
func checkSteps(t *testing.T, out string, first, last int64) {
	t.Helper()
	lines := decode[stepLine](t, out)
	for i, l := range lines {
		if l.Step != first+int64(i) {
			t.Fatalf("line %d is of step %d, want %d", i+1, l.Step, first+int64(i))
		}
		for name, v := range map[string]run.Float{"loss": l.Loss, "loss_ema": l.LossEMA, "lr": l.LR, "grad_norm": l.GradNorm, "images_per_s": l.ImagesPerS} {
			if !(v > 0) || math.IsInf(float64(v), 0) {
				t.Errorf("step %d: %s is %v", l.Step, name, v)
			}
		}
		if !(l.ETAS >= 0) || (l.ETAS == 0) != (l.Step == last) {
			t.Errorf("step %d of %d: %v s left", l.Step, last, l.ETAS)
		}
		if l.Backend != "cpu" || l.Device == "" {
			t.Errorf("step %d: backend %q, device %q", l.Step, l.Backend, l.Device)
		}
	}
	if int64(len(lines)) != last-first+1 {
		t.Errorf("%d lines, want %d", len(lines), last-first+1)
	}
}

func TestTrainJSON(t *testing.T) {
	long(t)
	dir := t.TempDir()
	out := must(t, dir, "train", "--preset", "tiny", "--steps", "12", "--json")
	checkSteps(t, out, 1, 12)
	for line := range strings.Lines(out) {
		if got := keys(t, line); got != "backend device eta_s grad_norm images_per_s loss loss_ema lr ranks step" {
			t.Fatalf("a line has %s", got)
		}
	}
	for i, l := range decode[stepLine](t, out) { // a warm-up of 20 steps to 2e-3
		if want := 2e-3 * float64(i+1) / 20; math.Abs(float64(l.LR)-want) > 1e-6*want {
			t.Errorf("step %d: lr %v, want %v", l.Step, l.LR, want)
		}
	}
	made := filepath.Join(dir, "runs", "tiny")
	checkRun(t, made, 12, "done")
	for name, size := range map[string][2]int{"step-00000012.png": {64, 64}, "step-00000012-xt.png": {128, 16}} {
		if got := decodePNG(t, filepath.Join(made, "previews", name)).Bounds().Size(); got.X != size[0] || got.Y != size[1] {
			t.Errorf("%s is %v, want %v", name, got, size)
		}
	}
}

func TestTrainHeadless(t *testing.T) {
	long(t)
	dir := t.TempDir()
	out := must(t, dir, "train", pictures(), "--preset", "tiny", "--steps", "5", "--headless", "--threads", "1", "--seed", "3")
	for _, want := range []string{
		"runs/tiny", "24 images of 16x16", "batch 16", "1 threads", "step 1/5", "step 5/5", "0s left",
		"preview previews/step-00000005.png", "checkpoint checkpoints/step-00000005", "done at step 5",
	} {
		if !strings.Contains(filepath.ToSlash(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	made := filepath.Join(dir, "runs", "tiny")
	checkRun(t, made, 5, "done")

	// The configuration is the preset's but for what the flags said.
	var got train.Config
	if err := run.DecodeConfig("", read(t, made, "config.json"), &got); err != nil {
		t.Fatal(err)
	}
	want, _ := train.PresetConfig("tiny")
	want.Steps, want.Seed, want.Data = 5, 3, pictures()
	if want.DataHash = got.DataHash; len(want.DataHash) != 64 {
		t.Errorf("the hash of the images is %q", got.DataHash)
	}
	if c := got.Compute; c != nil && c.Backend != "cpu" { // auto finds no GPU here, software at most
		t.Errorf("it computes on %+v", c)
	}
	want.Compute = got.Compute
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the configuration is\n%+v, want\n%+v", got, want)
	}

	// The log has every step once, and begins and ends as it should.
	var steps []int64
	starts := 0
	for _, e := range events(t, made) {
		if e.Metrics != nil {
			steps = append(steps, e.Step)
		}
		if e.Start != nil {
			starts++
			if e.Start.Preset != "tiny" || e.Start.Images != 24 || e.Start.Steps != 5 || e.Start.Seed != 3 || e.Start.PlanBytes <= 0 {
				t.Errorf("the start is %+v", e.Start)
			}
		}
	}
	if !slices.Equal(steps, []int64{1, 2, 3, 4, 5}) || starts != 1 {
		t.Errorf("the log has steps %v and %d starts", steps, starts)
	}

	// The next run gets a folder of its own.
	must(t, dir, "train", pictures(), "--preset", "tiny", "--steps", "1", "--headless", "--threads", "1")
	checkRun(t, filepath.Join(dir, "runs", "tiny-2"), 1, "done")
}

// A run that was continued ends with the very bytes of one that was not interrupted, whatever the number of threads.
func TestContinue(t *testing.T) {
	long(t)
	dir := t.TempDir()
	start := func(name, steps, threads string) string {
		must(t, dir, "train", pictures(), "--config", quick(), "--seed", "7", "--run", name, "--steps", steps, "--threads", threads, "--json")
		return filepath.Join(dir, name)
	}
	whole, other := start("whole", "10", "1"), start("other", "10", "2")
	part := start("part", "6", "1")
	out := must(t, dir, "train", "--run", "part", "--steps", "10", "--threads", "2", "--json")
	checkSteps(t, out, 7, 10)
	checkRun(t, part, 10, "done")
	for _, name := range weights {
		want := read(t, whole, "checkpoints", "latest", name)
		for _, d := range []string{other, part} {
			if !bytes.Equal(want, read(t, d, "checkpoints", "latest", name)) {
				t.Errorf("%s: %s differs from that of the unbroken run on one thread", filepath.Base(d), name)
			}
		}
	}
	if got, want := read(t, part, "previews", "step-00000010.png"), read(t, whole, "previews", "step-00000010.png"); !bytes.Equal(got, want) {
		t.Error("the preview differs")
	}

	// A run that has all its steps has nothing to do: it says so and changes no weights.
	before := read(t, part, "checkpoints", "latest", "model.safetensors")
	if out := must(t, dir, "train", "--run", "part", "--headless"); !strings.Contains(out, "step 10") {
		t.Errorf("it says %q", out)
	}
	if !bytes.Equal(before, read(t, part, "checkpoints", "latest", "model.safetensors")) {
		t.Error("the weights changed")
	}
}

// What was asked for last counts: a run that was given more steps and stopped goes on to the new total.
func TestContinueKeepsTheTotal(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "2", "--threads", "1", "--json")
	must(t, dir, "train", "--run", "r", "--steps", "4", "--threads", "1", "--json")
	var config train.Config
	if err := run.DecodeConfig("config.json", read(t, dir, "r", "config.json"), &config); err != nil || config.Steps != 4 {
		t.Errorf("config.json says %d steps in all, want 4 (%v)", config.Steps, err)
	}
}

// A checkpoint that is damaged is named, and the one before it is used.
func TestDamagedCheckpoint(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "3", "--threads", "1", "--json")
	must(t, dir, "train", "--run", "r", "--steps", "5", "--threads", "1", "--json")
	if err := os.Truncate(filepath.Join(dir, "r", "checkpoints", "step-00000005", "ema.safetensors"), 1000); err != nil {
		t.Fatal(err)
	}
	named := filepath.Join("step-00000005", "ema.safetensors")

	r := invoke(t, dir, "sample", "r", "-n", "1", "--sampling-steps", "2", "--headless")
	if r.code != 0 || !strings.Contains(r.stderr, named) || !strings.Contains(r.stdout, "(step 3)") {
		t.Errorf("sampling: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = invoke(t, dir, "train", "--run", "r", "--steps", "6", "--threads", "1", "--json")
	if r.code != 0 || !strings.Contains(r.stderr, named) {
		t.Errorf("training: exit code %d, its standard error does not name %s: %q", r.code, named, r.stderr)
	}
	checkSteps(t, r.stdout, 4, 6)

	// The one that is asked for by name is not replaced by another.
	if err := os.Truncate(filepath.Join(dir, "r", "checkpoints", "step-00000006", "model.safetensors"), 1000); err != nil {
		t.Fatal(err)
	}
	r = invoke(t, dir, "sample", filepath.Join("r", "checkpoints", "step-00000006"), "--headless")
	if r.code != 1 || !strings.Contains(r.stderr, filepath.Join("step-00000006", "model.safetensors")) {
		t.Errorf("a checkpoint by its name: exit code %d, %q", r.code, r.stderr)
	}

	// The only one there is.
	if err := os.RemoveAll(filepath.Join(dir, "r", "checkpoints", "step-00000003")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"sample", "r", "--headless"}, {"train", "--run", "r", "--steps", "8", "--headless"}} {
		r := invoke(t, dir, args...)
		if r.code != 1 || !strings.Contains(r.stderr, "step-00000006") {
			t.Errorf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if info := run.List(dir); len(info) != 1 || info[0].State != run.Failed || !strings.Contains(info[0].Problem, "step-0000000") {
		t.Errorf("the listing says %+v", info)
	}
}

// writeWild writes a configuration whose weights soon are no numbers.
func writeWild(t *testing.T, path string) {
	t.Helper()
	c, err := train.PresetConfig("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.Batch, c.Optimizer.LR, c.Optimizer.Warmup, c.Optimizer.Decay, c.Preview.Images, c.Preview.Steps = 4, 10, 0, 10, 1, 1
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data))
}

// Numbers that are none end the run, name the step and leave the last checkpoint as it is.
func TestNotANumber(t *testing.T) {
	long(t)
	dir := t.TempDir()
	writeWild(t, filepath.Join(dir, "wild.json"))
	must(t, dir, "train", pictures(), "--config", "wild.json", "--run", "r", "--steps", "1", "--headless")
	r := invoke(t, dir, "train", "--run", "r", "--steps", "1000", "--json")
	steps := decode[stepLine](t, r.stdout)
	last := steps[len(steps)-1].Step
	if want := fmt.Sprintf("step %d:", last+1); r.code != run.FaultNotFinite.Exit || !strings.Contains(r.stderr, "the first bad value is") || !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, "not a finite number") {
		t.Errorf("exit code %d, want %q in %q", r.code, want, r.stderr)
	}
	list := events(t, filepath.Join(dir, "r"))
	if e := list[len(list)-1]; e.End == nil || e.End.Reason != "failed" || !strings.Contains(e.End.Error, "finite") || e.Step != last {
		t.Errorf("the log ends with %+v %+v", e, e.End)
	}
	if info := run.List(dir); len(info) != 1 || info[0].State != run.Failed {
		t.Errorf("the listing says %+v", info)
	}
	must(t, dir, "sample", "r", "-n", "1", "--sampling-steps", "1", "--headless") // from the step before
}

// Under loss scaling steps that are not finite are skipped, with events, until the scale has fallen too far; the exit code tells, and
// every precision that is not there is refused before anything is made.
func TestOverflowExit(t *testing.T) {
	long(t)
	dir := t.TempDir()
	writeWild(t, filepath.Join(dir, "wild.json"))
	r := invoke(t, dir, "train", pictures(), "--config", "wild.json", "--run", "r", "--steps", "1000", "--loss-scale", "16", "--headless")
	if r.code != run.FaultOverflow.Exit || !strings.Contains(r.stderr, run.FaultOverflow.Message) || !strings.Contains(r.stdout, "the step is skipped, the loss scale halved from 2^-14 to 2^-15") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	falls := 0
	list := events(t, filepath.Join(dir, "r"))
	for _, e := range list {
		if e.LossScale != nil && e.LossScale.Skipped {
			falls++
		}
	}
	if e := list[len(list)-1]; falls < 19 || e.End == nil || e.End.Fault != run.FaultOverflow.Name {
		t.Errorf("the scale fell %d times, and the log ends with %+v", falls, e.End)
	}
	for flag, want := range map[string]string{"--precision=fp8": "fp32, fp16 or bf16", "--loss-scale=5": "power of two", "--precision=fp16": "--backend vulkan"} {
		r := invoke(t, dir, "train", pictures(), "--preset", "tiny", "--run", "x", "--headless", "--backend", "cpu", flag)
		if r.code == 0 || !strings.Contains(r.stderr, want) || run.IsRun(filepath.Join(dir, "x")) {
			t.Errorf("%s: exit code %d: %s", flag, r.code, r.stderr)
		}
	}
}
