package train

import (
	"context"
	"image"
	"image/png"
	"os"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// tiles are the tiles [S,S,3] of a picture of the run.
func (x *bench) tiles(name string, size int) [][]byte {
	x.t.Helper()
	f, err := os.Open(x.folder.Path(name))
	if err != nil {
		x.t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		x.t.Fatal(err)
	}
	var all [][]byte
	for top := 0; top < m.Bounds().Dy(); top += size {
		for left := 0; left < m.Bounds().Dx(); left += size {
			var tile []byte
			for p := range size * size {
				at := image.Pt(left+p%size, top+p/size)
				r, g, b, _ := m.At(at.X, at.Y).RGBA()
				tile = append(tile, byte(r>>8), byte(g>>8), byte(b>>8))
			}
			all = append(all, tile)
		}
	}
	return all
}

// A preview shows the training images nearest to its samples, and the run learns what it would have learnt without.
func TestNearestInPreview(t *testing.T) {
	b := processor(t, "", 2)
	alone := newBench(t, 3)
	if err := alone.train(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	x := newBench(t, 3)
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 1 {
			if err := tr.Do(run.SampleNow); err != nil {
				t.Error(err)
			}
		}
	}
	if err := x.train(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	want, _ := alone.weights()
	if got, _ := x.weights(); string(got[0]) != string(want[0]) || string(got[1]) != string(want[1]) || string(got[2]) != string(want[2]) {
		t.Error("a preview changes what is learnt")
	}
	seen := 0
	for _, e := range x.events {
		if e.Preview == nil {
			continue
		}
		seen++
		if e.Preview.NearestOf != 7 {
			t.Errorf("it looked at %d images, not 7", e.Preview.NearestOf)
		}
		set := metrics.Images{N: 7, Size: 8, Channels: 3, Pixels: pictures(7)}
		samples, found := x.tiles(e.Preview.Samples, 8), x.tiles(e.Preview.Nearest, 8)
		if len(samples) != 2 || len(found) != 2 {
			t.Fatalf("%d samples, %d training images", len(samples), len(found))
		}
		squares := func(a, b []byte) (sum int) {
			for i := range a {
				d := int(a[i]) - int(b[i])
				sum += d * d
			}
			return sum
		}
		for k, sample := range samples {
			least := 1 << 40
			for i := range set.N {
				mirrored := make([]byte, 0, set.Per())
				for p := range 64 {
					q := p/8*8 + 7 - p%8
					mirrored = append(mirrored, set.At(i)[3*q:3*q+3]...)
				}
				least = min(least, squares(sample, set.At(i)))
				if x.config.Flip {
					least = min(least, squares(sample, mirrored))
				}
			}
			if got := squares(sample, found[k]); got != least {
				t.Errorf("sample %d: the image shown is %d away, another %d", k, got, least)
			}
		}
	}
	if seen == 0 {
		t.Error("no preview")
	}
}
