package window

import (
	"bytes"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"
)

// A picture of 2 x 1 pixels in 7 x 5: 3 x 3 squares, with a margin.
func TestFit(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 2, 1))
	m.Set(0, 0, color.RGBA{200, 100, 50, 255})
	m.Set(1, 0, color.RGBA{1, 2, 3, 255})
	for _, bgr := range []bool{false, true} {
		dst := make([]byte, 7*5*4)
		fit(dst, 7, 5, m, bgr)
		for y := range 5 {
			for x := range 7 {
				want := []byte{24, 24, 24, 255}
				if y >= 1 && y < 4 && x < 6 {
					want = []byte{200, 100, 50, 255}
					if x >= 3 {
						want = []byte{1, 2, 3, 255}
					}
				}
				if bgr {
					want[0], want[2] = want[2], want[0]
				}
				if got := dst[(y*7+x)*4:][:4]; !bytes.Equal(got, want) {
					t.Errorf("pixel %d, %d, bgr %v: %v, want %v", x, y, bgr, got, want)
				}
			}
		}
	}
	fit(make([]byte, 4), 1, 1, m, false) // smaller than the picture
}

// Trajectories are no previews.
func TestPreviews(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"step-00000020.png", "step-00000010.png", "step-00000020-xt.png", "step-00000030.png.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := previews(dir)
	if len(got) != 2 || filepath.Base(got[0]) != "step-00000010.png" || filepath.Base(got[1]) != "step-00000020.png" {
		t.Errorf("%v", got)
	}
}
