package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shades makes a folder with a folder of dark and one of light pictures.
func shades(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, level := range map[string]uint8{"dark": 40, "light": 215} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			m := image.NewGray(image.Rect(0, 0, 8, 8))
			for k := range m.Pix {
				m.Pix[k] = level + uint8(3*i)
			}
			m.SetGray(i%8, i/8, color.Gray{128})
			var b bytes.Buffer
			if err := png.Encode(&b, m); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name, fmt.Sprintf("%d.png", i)), b.String())
		}
	}
	return dir
}

// A network that is told the classes makes dark pictures of one and light ones of the other, also with guidance, and its folder
// keeps their names.
func TestClasses(t *testing.T) {
	long(t)
	dir, data := t.TempDir(), shades(t)
	must(t, dir, "train", data, "--classes", "--preset", "tiny", "--size", "8", "--steps", "250", "--run", "run", "--headless", "--threads", "1", "--holdout", "4")
	must(t, dir, "export", "run", "out", "--vectors", "1", "--threads", "1")
	mean := func(path string, args ...string) float64 {
		must(t, dir, append([]string{"sample", path, "--headless", "-n", "4", "--sampling-steps", "10", "-o", "x.png", "--threads", "1"}, args...)...)
		m, sum, n := decodePNG(t, filepath.Join(dir, "x.png")), 0.0, 0
		for y := range m.Bounds().Dy() {
			for x := range m.Bounds().Dx() {
				v, _, _, _ := m.At(x, y).RGBA()
				sum, n = sum+float64(v>>8), n+1
			}
		}
		return sum / float64(n)
	}
	for _, args := range []string{"run", "run --guidance 2", "out", "run --sampler dpmpp2m"} {
		a := strings.Fields(args)
		dark, light := mean(a[0], append(a[1:], "--class", "dark")...), mean(a[0], append(a[1:], "--class", "1")...)
		t.Logf("%s: dark %.0f, light %.0f", args, dark, light)
		if !(dark+3 < light) { // of the same noise; 250 steps of a tiny network go no further
			t.Errorf("%s: the dark ones have a mean of %.0f, the light ones of %.0f", args, dark, light)
		}
	}
	must(t, dir, "resume", "run", "--steps", "251", "--headless", "--threads", "1")
	for want, args := range map[string][]string{
		"--class green: want dark, light": {"sample", "run", "--headless", "--class", "green"},
		"have no classes":                 {"train", pictures(), "--classes", "--preset", "tiny", "--steps", "1", "--headless", "--run", "none"},
	} {
		if r := invoke(t, dir, args...); r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: exit code %d, %q, want %q", args, r.code, r.stderr, want)
		}
	}
}
