package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/gif"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// trained is the folder of a run of eight steps. Tests read it, and none changes it.
var trained = sync.OnceValue(func() string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	dir := filepath.Join(shared, "trained")
	c := exec.Command(self, "train", pictures(), "--preset", "tiny", "--steps", "8", "--run", dir, "--headless", "--threads", "1")
	c.Env = append(os.Environ(), asProgram+"=1")
	if out, err := c.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return dir
})

// grid samples from the trained run and returns the file.
func grid(t *testing.T, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	must(t, dir, append([]string{"sample", trained(), "--headless", "--sampling-steps", "8", "--seed", "5"}, args...)...)
	return read(t, dir, "grid.png")
}

// The images of a seed are the same however they are computed, and others where anything that counts is another.
func TestSampleIsReproducible(t *testing.T) {
	long(t)
	for name, same := range map[string][][]string{
		"ddim": {{"--batch", "16"}, {"--batch", "1"}, {"--batch", "3", "--threads", "1"}, {"--sampler", "ddim", "--eta", "0"}},
		"ddpm": {{"-n", "5", "--sampler", "ddpm", "--batch", "16"}, {"-n", "5", "--sampler", "ddpm", "--batch", "2"}},
		"eta":  {{"-n", "5", "--eta", "0.7", "--batch", "16"}, {"-n", "5", "--eta", "0.7", "--batch", "1", "--threads", "2"}},
	} {
		want := grid(t, same[0]...)
		for _, args := range same[1:] {
			if !bytes.Equal(want, grid(t, args...)) {
				t.Errorf("%s: %q and %q give different images", name, same[0], args)
			}
		}
	}
	all := map[string]string{}
	for _, args := range []string{"", "--raw-weights", "--eta 1", "--sampler ddpm", "--seed 6", "--sampling-steps 9"} {
		data := string(grid(t, append([]string{"-n", "2", "--threads", "1"}, strings.Fields(args)...)...))
		if other, ok := all[data]; ok {
			t.Errorf("%q and %q give the same images", args, other)
		}
		all[data] = args
	}
}

// tile is image i of a grid of n.
func tile(t *testing.T, data []byte, i, n int) []byte {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	cols := model.Columns(n)
	if want := image.Pt(16*cols, 16*((n+cols-1)/cols)); m.Bounds().Size() != want {
		t.Fatalf("a grid of %d is %v, want %v", n, m.Bounds().Size(), want)
	}
	var p []byte
	for y := range 16 {
		for x := range 16 {
			r, g, b, _ := m.At(i%cols*16+x, i/cols*16+y).RGBA()
			p = append(p, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return p
}

func TestSampleFewerAreTheFirst(t *testing.T) {
	long(t)
	four, six := grid(t, "-n", "4"), grid(t, "-n", "6", "--batch", "5")
	seen := map[string]bool{}
	for i := range 6 {
		p := tile(t, six, i, 6)
		if seen[string(p)] {
			t.Errorf("image %d was there before", i)
		}
		seen[string(p)] = true
		if i < 4 && !bytes.Equal(p, tile(t, four, i, 4)) {
			t.Errorf("image %d of 4 is not image %d of 6", i, i)
		}
	}
}

// A checkpoint is enough: it can be moved, and is the same model as its run.
func TestSampleFromACheckpoint(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "moved"), os.DirFS(filepath.Join(trained(), "checkpoints", "step-00000008"))); err != nil {
		t.Fatal(err)
	}
	args := []string{"--headless", "-n", "2", "--sampling-steps", "8", "--seed", "5"}
	want := grid(t, "-n", "2")
	for _, path := range []string{"moved", filepath.Join(trained(), "checkpoints", "latest")} {
		out := must(t, dir, append([]string{"sample", path, "-o", "x.png"}, args...)...)
		if !bytes.Equal(want, read(t, dir, "x.png")) {
			t.Errorf("%s gives other images than the run", path)
		}
		if !strings.Contains(out, "x.png") || !strings.Contains(out, "step 8") || !strings.Contains(out, "seed 5") {
			t.Errorf("it says %q", out)
		}
	}
}

func TestSampleGIF(t *testing.T) {
	long(t)
	dir := t.TempDir()
	must(t, dir, "sample", trained(), "--headless", "-n", "4", "--sampling-steps", "10", "--gif", "way.gif", "-o", "end.png")
	g, err := gif.DecodeAll(bytes.NewReader(read(t, dir, "way.gif")))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != 10 || g.LoopCount != 0 {
		t.Errorf("%d frames, loop count %d", len(g.Image), g.LoopCount)
	}
	for i, m := range g.Image {
		if m.Bounds() != image.Rect(0, 0, 32, 32) || g.Delay[i] < 1 {
			t.Errorf("frame %d is %v for %d", i, m.Bounds(), g.Delay[i])
		}
	}
	// The way ends at the images, but for the palette.
	last, end, sum := g.Image[9], decodePNG(t, filepath.Join(dir, "end.png")), 0.0
	for y := range 32 {
		for x := range 32 {
			a, _, _, _ := last.At(x, y).RGBA()
			b, _, _, _ := end.At(x, y).RGBA()
			sum += (float64(a) - float64(b)) / 65535
		}
	}
	if sum /= 32 * 32; sum < -0.03 || sum > 0.03 {
		t.Errorf("the last frame is brighter than the grid by %.3f", sum)
	}
}

func TestSampleJSON(t *testing.T) {
	long(t)
	dir := t.TempDir()
	out := must(t, dir, "sample", trained(), "--json", "-n", "3", "--batch", "2", "--sampling-steps", "6", "--seed", "9", "-o", "g.png", "--gif", "g.gif")
	lines := strings.SplitAfter(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 13 { // two batches of six steps, and the end
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	type step struct {
		Step int     `json:"sampling_step"`
		Of   int     `json:"of"`
		T    int     `json:"t"`
		Rate float64 `json:"images_per_s"`
		Left float64 `json:"eta_s"`
	}
	for i, s := range decode[step](t, strings.Join(lines[:12], "")) {
		if s.Step != i+1 || s.Of != 12 || s.T < 1 || s.T > 1000 || !(s.Rate > 0) || !(s.Left >= 0) || keys(t, lines[i]) != "eta_s images_per_s of sampling_step t" {
			t.Errorf("line %d: %s", i+1, lines[i])
		}
	}
	var end struct {
		Output, GIF, Sampler, Checkpoint string
		Images, Step, Seed               int
		Done                             bool
		SamplingSteps                    int `json:"sampling_steps"`
	}
	if err := json.Unmarshal([]byte(lines[12]), &end); err != nil {
		t.Fatal(err)
	}
	if end.Output != "g.png" || end.GIF != "g.gif" || end.Sampler != "ddim" || end.Images != 3 || end.Step != 8 || end.Seed != 9 || !end.Done ||
		end.SamplingSteps != 6 || filepath.Base(end.Checkpoint) != "step-00000008" {
		t.Errorf("the last line is %s", lines[12])
	}
	tile(t, read(t, dir, "g.png"), 0, 3)
}
