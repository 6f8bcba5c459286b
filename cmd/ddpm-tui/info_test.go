package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// says looks for all of these in what a command printed.
func says(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("it does not say %q:\n%s", w, out)
		}
	}
}

func TestData(t *testing.T) {
	long(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"a.png": "", "b.png": "", "broken.png": "\x89PNG\r\n\x1a\ncut", "notes.txt": "not a picture"} {
		if content == "" {
			content = string(read(t, pictures(), name))
		}
		if err := run.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	says(t, must(t, dir, "data", dir, "--headless"), "2 pictures of 20x20 RGB", "PNG (2)", "20x20 (2)", "skipped broken.png: ", "skipped notes.txt: ")

	out := must(t, dir, "data", dir, "--size", "16", "--json")
	facts := decode[data.Facts](t, out)
	if f := facts[0]; len(facts) != 1 || f.N != 2 || f.Size != 16 || f.Channels != 3 || f.SkippedTotal != 2 || len(f.Skipped) != 2 || f.Skipped[0].Name != "broken.png" || f.Skipped[0].Reason == "" || len(f.Hash) != 64 {
		t.Errorf("%s", out)
	}
	if got := keys(t, out); got != strings.ToLower(got) { // as in all other JSON of the program
		t.Errorf("the fields are %s", got)
	}

	says(t, must(t, dir, "data", "--headless"), "embedded avatars: 2048 pictures of 64x64 RGB", "skipped: 0 files")
}

func TestPresets(t *testing.T) {
	long(t)
	dir := t.TempDir()
	out := must(t, dir, "presets")
	for _, row := range []string{
		`(?m)^PRESET +PIXELS +CHANNELS +PARAMETERS +MACS/IMAGE +T +SCHEDULE +LR +WARM-UP +BATCH +EMA +STEPS$`,
		`(?m)^tiny +16x16 +\[16 32\] .* 1000 +cosine +0.002 +20 +16 +0.99 +400$`,
		`(?m)^avatars32 +32x32 +\[32 64 128\] +2.74 M +0.382 G +1000 +cosine +0.001 +200 +64 +0.999 `,
		`(?m)^avatars64 +64x64 `,
		`(?m)^cifar10 +32x32 +\[128 256 256 256\] +35.75 M .* 1000 +linear +0.0002 +5000 +128 +0.9999 +800000$`,
	} {
		if !regexp.MustCompile(row).MatchString(out) {
			t.Errorf("no line is like %s:\n%s", row, out)
		}
	}

	// Each line of JSON is a configuration, and what a run writes down as its own.
	lines := strings.SplitAfter(strings.TrimSuffix(must(t, dir, "presets", "--json"), "\n"), "\n")
	presets := train.Presets()
	if len(lines) != len(presets) {
		t.Fatalf("%d lines for %d presets", len(lines), len(presets))
	}
	for i, line := range lines {
		var c train.Config
		if err := run.DecodeConfig(presets[i].Name, []byte(line), &c); err != nil || !reflect.DeepEqual(c, presets[i].Config) {
			t.Errorf("%v\n%s reads as\n%+v", err, line, c)
		}
	}
	write(t, filepath.Join(dir, "my.json"), lines[0])
	flags := []string{pictures(), "--steps", "2", "--threads", "1", "--json"}
	must(t, dir, append([]string{"train", "--config", "my.json", "--run", "file"}, flags...)...)
	must(t, dir, append([]string{"train", "--preset", "tiny", "--run", "preset"}, flags...)...)
	for _, name := range []string{"config.json", "checkpoints/latest/model.safetensors"} {
		if string(read(t, dir, "file", name)) != string(read(t, dir, "preset", name)) {
			t.Errorf("%s is not that of the preset", name)
		}
	}
}

func TestDevices(t *testing.T) {
	long(t)
	dir := t.TempDir()
	says(t, must(t, dir, "devices"), "cpu ", "instruction set", "threads", "memory free", "precisions", "fp32", "GFLOP/s")
	out := must(t, dir, "devices", "--json", "--backend", "cpu")
	if got := keys(t, out); got != "backend device formats isa isas memory peak_gflops threads" {
		t.Errorf("the fields are %s", got)
	}
	var d struct {
		Backend, ISA string
		ISAs         []string
		Threads      int
		Memory       int64
		Peak         float64 `json:"peak_gflops"`
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.Backend != "cpu" || d.ISA == "" || len(d.ISAs) == 0 || d.Threads < 1 || d.Memory < 1<<20 || !(d.Peak > 0) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestVersionAndHelp(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if out := must(t, dir, "version"); !regexp.MustCompile(`^ddpm-tui \S+ go\S+\n$`).MatchString(out) {
		t.Errorf("%q", out)
	}
	root := newRoot()
	says(t, must(t, dir, "--help"), "train", "sample", "data", "presets", "devices", "bench", "version", "Examples:")
	for _, c := range root.Commands() {
		if name := c.Name(); name != "completion" && name != "help" {
			says(t, must(t, dir, name, "--help"), c.Short[:10], "Usage:\n  ddpm-tui "+c.Use, "--help")
			if name != "version" && name != "devices" {
				says(t, must(t, dir, name, "--help"), "Examples:\n  ddpm-tui "+name)
			}
		}
	}
}

// smallNet is a U-Net that takes no time.
const smallNet = `{"_class_name": "UNet2DModel", "_diffusers_version": "0.30.3", "sample_size": 8, "block_out_channels": [8, 16], "layers_per_block": 1,
	"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "norm_num_groups": 4}`

func TestBench(t *testing.T) {
	long(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "net.json"), smallNet)
	bench := func(more ...string) string {
		return must(t, dir, append([]string{"bench", "--config", "net.json", "--batch", "2", "--iters", "1"}, more...)...)
	}
	for mode, perMAC := range map[string]float64{"train": 6, "fwd": 2} {
		out := bench("--mode", mode, "--threads", "2", "--json")
		r := decode[benchResult](t, out)[0]
		want := "backend batch best_s checksum config device exact gflops images_per_s isa iters macs_per_image median_s mode params plan_bytes precision threads"
		if got := keys(t, out); got != want {
			t.Errorf("%s: the fields are %s", mode, got)
		}
		if r.Backend != "cpu" || r.Device == "" || r.Config != "net.json" || r.Batch != 2 || r.Mode != mode || r.Threads != 2 || r.Iters != 1 || r.MACs <= 0 || r.Params <= 0 || r.PlanBytes <= 0 {
			t.Errorf("%s: %s", mode, out)
		}
		if !(r.BestS > 0) || r.MedianS < r.BestS || math.Abs(r.ImagesPS*r.BestS/2-1) > 1e-9 || math.Abs(r.GFLOPS*1e9*r.BestS/(perMAC*2*float64(r.MACs))-1) > 1e-9 {
			t.Errorf("%s: the figures do not go together: %s", mode, out)
		}
		again := decode[benchResult](t, bench("--mode", mode, "--threads", "1", "--json"))[0]
		if again.Checksum != r.Checksum || len(r.Checksum) != 16 || again.Threads != 1 {
			t.Errorf("%s: %+v on one thread, %+v on two", mode, again, r)
		}
		says(t, bench("--mode", mode), "net.json, batch 2, "+mode, "images/s", "GFLOP/s", "checksum "+r.Checksum)
	}

	// By operation: the shares make a whole.
	sum, seen := 0.0, map[string]bool{}
	ops := decode[benchResult](t, bench("--mode", "op", "--threads", "1", "--json"))[0].Ops
	for _, o := range ops {
		if seen[o.Op] || o.Calls < 1 || !(o.S >= 0) || o.GFLOPS < 0 || o.GBS < 0 {
			t.Errorf("%+v", o)
		}
		seen[o.Op] = true
		sum += o.Share
	}
	if math.Abs(sum-1) > 1e-9 || len(ops) < 8 {
		t.Errorf("the shares of %d operations make %v", len(ops), sum)
	}
	says(t, bench("--mode", "op"), "net.json, batch 2", "calls", "share", ops[0].Op, "100.0%")
}

// TestBenchProfile: the trace has a slice for each call of an operation, one after the other, and they cover what the table has.
func TestBenchProfile(t *testing.T) {
	long(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "net.json"), smallNet)
	out := must(t, dir, "bench", "--config", "net.json", "--batch", "2", "--iters", "2", "--mode", "op", "--json", "--profile", "step.json")
	calls := 0
	for _, o := range decode[benchResult](t, out)[0].Ops {
		calls += o.Calls
	}
	text, err := os.ReadFile(filepath.Join(dir, "step.json"))
	if err != nil {
		t.Fatal(err)
	}
	var trace struct{ TraceEvents []traceEvent }
	if err := json.Unmarshal(text, &trace); err != nil {
		t.Fatal(err)
	}
	slices, end := 0, 0.0
	for _, e := range trace.TraceEvents {
		if e.Ph != "X" {
			continue
		}
		slices++
		if e.Name == "" || e.Ts < end-1e-3 || e.Dur < 0 || e.Args["label"] == nil {
			t.Errorf("%+v after %v us", e, end)
		}
		end = e.Ts + e.Dur
	}
	if slices != calls || end <= 0 {
		t.Errorf("%d slices for %d calls, until %v us", slices, calls, end)
	}
}
