package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/gif"
	"image/png"
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

// Every sampler makes images of its own from the same noise.
func TestSamplers(t *testing.T) {
	long(t)
	seen := map[string]string{}
	for _, args := range []string{"dpmpp2m", "dpmpp2m --solver heun", "dpmpp2m-sde", "unipc", "unipc --order 3", "euler-a", "heun", "euler", "euler --spacing karras", "ddpm --variance fixed_large", "ddim --threshold 0.9", "euler --no-clip"} {
		p := string(tile(t, grid(t, append([]string{"-n", "1", "--threads", "1", "--sampler"}, strings.Fields(args)...)...), 0, 1))
		if other, ok := seen[p]; ok {
			t.Errorf("%s and %s make the same image", args, other)
		}
		seen[p] = args
	}
}

// The ends of the way between two noises are the images of their seeds.
func TestSampleInterpolation(t *testing.T) {
	long(t)
	way := grid(t, "-n", "5", "--interpolate", "6", "--batch", "2")
	for i, args := range map[int][]string{0: {"-n", "1"}, 4: {"-n", "1", "--seed", "6"}} {
		if !bytes.Equal(tile(t, way, i, 5), tile(t, grid(t, args...), 0, 1)) {
			t.Errorf("image %d is not that of its seed", i)
		}
	}
	for i := range 4 {
		if bytes.Equal(tile(t, way, i, 5), tile(t, way, i+1, 5)) {
			t.Errorf("images %d and %d are the same", i, i+1)
		}
	}
}

// distance is the mean difference of two images' bytes.
func distance(a, b []byte) float64 {
	sum := 0
	for i := range a {
		sum += max(int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return float64(sum) / float64(len(a))
}

// Beginning with a picture leaves the more of it the less noise is added, and inpainting leaves all of what is kept.
func TestSampleFromAPicture(t *testing.T) {
	long(t)
	dir := t.TempDir()
	picture := filepath.Join(pictures(), first(func() (names []string) {
		entries, err := os.ReadDir(pictures())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}()))
	sampled := func(args ...string) []byte {
		must(t, dir, append([]string{"sample", trained(), "--headless", "-n", "1", "--sampling-steps", "20", "-o", "x.png", "--threads", "1"}, args...)...)
		return tile(t, read(t, dir, "x.png"), 0, 1)
	}
	same := sampled("--inpaint", picture, "--mask", "left", "--walks", "1")
	right := func(p []byte) (out []byte) {
		for y := range 16 {
			out = append(out, p[(y*16+8)*3:(y*16+16)*3]...)
		}
		return out
	}
	little, much := sampled("--from", picture, "--strength", "0.05"), sampled("--from", picture, "--strength", "1")
	if a, b := distance(right(little), right(same)), distance(right(much), right(same)); !(a < 20 && b > 2*a) {
		t.Errorf("the picture differs by %.1f at strength 0.05, by %.1f at 1", a, b)
	}
	// The other half inpainted: together they hold the picture, whatever was painted.
	other := sampled("--inpaint", picture, "--mask", "right", "--sampler", "ddpm", "--walks", "2", "--jump", "3")
	if bytes.Equal(right(other), right(same)) {
		t.Error("what should be painted anew is the picture")
	}
	mask := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range mask.Pix {
		if i%16 < 8 {
			mask.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, mask); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "mask.png"), b.String())
	if !bytes.Equal(same, sampled("--inpaint", picture, "--mask", "mask.png", "--walks", "1")) {
		t.Error("a mask from a file is not the same mask by name")
	}
}

func TestSampleUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--sampler plms", "want one of [ddim ddpm dpmpp2m"}, {"--spacing log", `"log"`}, {"--eta 0.5 --sampler euler", "--eta is of ddim"},
		{"--order 3", "--order is of unipc"}, {"--strength 0.5", "--strength goes with --from"}, {"--mask left", "--mask goes with --inpaint"},
		{"--from a.png --inpaint b.png", "exclude each other"}, {"--from a.png --strength 2", "--strength 2"}, {"--threshold 2", "--threshold 2"},
		{"--guidance 3", "the model has no classes"}, {"--class cat", "the model has no classes"}, {"--gif-frames -1", "--gif-frames -1"},
		{"--sampler unipc --order 5", "order is 5"}, {"--batch 0", "--batch 0"},
	} {
		t.Run(c.args, func(t *testing.T) {
			long(t)
			r := invoke(t, t.TempDir(), append([]string{"sample", trained(), "--headless"}, strings.Fields(c.args)...)...)
			if r.code != exitUsage || !strings.Contains(r.stderr, c.want) {
				t.Errorf("exit code %d, %q, want %d and %q", r.code, r.stderr, exitUsage, c.want)
			}
		})
	}
}
