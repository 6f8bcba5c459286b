package picture

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	sixel "github.com/mattn/go-sixel"
)

// gradient is a picture in which neighbours differ.
func gradient(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, color.RGBA{uint8(255 * x / max(1, w-1)), uint8(255 * y / max(1, h-1)), uint8((x ^ y) * 8), 255})
		}
	}
	return m
}

// decode is what a terminal draws of a picture's parts.
func decode(t *testing.T, e Encoded, cellH int) image.Image {
	t.Helper()
	out := image.NewRGBA(image.Rect(0, 0, e.Pixels.X, e.Pixels.Y))
	for _, p := range e.Parts {
		var img image.Image
		if err := sixel.NewDecoder(bytes.NewReader(p.Data)).Decode(&img); err != nil {
			t.Fatal(err)
		}
		draw.Draw(out, img.Bounds().Add(image.Pt(0, p.Row*cellH)), img, image.Point{}, draw.Over)
	}
	return out
}

// The pixels that a terminal draws are those of the picture, up to the palette: with dither the mean over a few pixels holds, with a
// palette made for a picture of few colours every pixel does.
func TestSixelPixels(t *testing.T) {
	src := gradient(60, 48)
	o := Options{Cols: 60, Rows: 24, CellW: 2, CellH: 4}
	live, err := Encode(src, Sixel, o)
	if err != nil {
		t.Fatal(err)
	}
	got := decode(t, live, o.CellH)
	if w, h := live.Pixels.X, live.Pixels.Y; w != 120 || h != 96 || got.Bounds().Dx() < w || got.Bounds().Dy() < h {
		t.Fatalf("pixels %v, decoded %v", live.Pixels, got.Bounds())
	}
	const block = 12
	for y := 0; y+block <= 96; y += block {
		for x := 0; x+block <= 120; x += block {
			var a, b [3]float64
			for v := range block {
				for u := range block {
					p := src.RGBAAt((x+u)/2, (y+v)/2)
					r, g, bl, _ := got.At(x+u, y+v).RGBA()
					for i, d := range []float64{float64(p.R), float64(p.G), float64(p.B)} {
						a[i] += d
					}
					for i, d := range []uint32{r, g, bl} {
						b[i] += float64(d >> 8)
					}
				}
			}
			for i := range a {
				if d := math.Abs(a[i]-b[i]) / block / block; d > 12 {
					t.Fatalf("block at %d,%d channel %d: off by %.1f", x, y, i, d)
				}
			}
		}
	}

	flags := image.NewRGBA(image.Rect(0, 0, 4, 6))
	colours := []color.RGBA{{255, 0, 0, 255}, {0, 102, 0, 255}, {51, 51, 204, 255}, {255, 255, 255, 255}}
	for i := range 24 {
		flags.SetRGBA(i%4, i/4, colours[(i*7)%4])
	}
	for _, registers := range []int{16, 256} {
		e, err := Encode(flags, Sixel, Options{Cols: 4, Rows: 6, CellW: 1, CellH: 1, Still: true, Colors: registers})
		if err != nil {
			t.Fatal(err)
		}
		got := decode(t, e, 1)
		for i := range 24 {
			want := colours[(i*7)%4]
			r, g, b, _ := got.At(i%4, i/4).RGBA()
			if abs(int(r>>8)-int(want.R)) > 3 || abs(int(g>>8)-int(want.G)) > 3 || abs(int(b>>8)-int(want.B)) > 3 {
				t.Errorf("%d registers, pixel %d: %v, want %v", registers, i, got.At(i%4, i/4), want)
			}
		}
		for _, p := range e.Parts {
			if n := bytes.Count(p.Data, []byte(";2;")); n > registers {
				t.Errorf("%d colours for %d registers", n, registers)
			}
		}
	}
}

// Every encoding stays inside its box, whatever the sizes, and is as large as it says.
func TestEncodeFits(t *testing.T) {
	for _, mode := range []Mode{None, ASCII, Blocks256, HalfBlocks, Sixel, ITerm, Kitty} {
		for _, sheet := range []Sheet{
			{Image: gradient(1, 1)}, {Image: gradient(128, 128), Rows: 4, Cols: 4}, {Image: gradient(320, 32), Rows: 1, Cols: 10},
			{Image: gradient(7, 90)}, {Image: gradient(30, 5), Rows: 9, Cols: 50}, {Image: image.NewRGBA(image.Rect(5, 5, 5, 9))}, {},
		} {
			for _, box := range [][2]int{{0, 0}, {1, 1}, {2, 9}, {26, 12}, {13, 1}, {40, 40}} {
				for _, cell := range [][2]int{{8, 16}, {9, 17}, {1, 1}, {0, 0}} {
					e, err := EncodeSheet(sheet, mode, Options{Cols: box[0], Rows: box[1], CellW: cell[0], CellH: cell[1]})
					if err != nil {
						t.Fatal(err)
					}
					if e.Cols > box[0] || e.Rows > box[1] || e.Cols < 0 || e.Rows < 0 {
						t.Fatalf("%v: %dx%d cells in a box of %v", mode, e.Cols, e.Rows, box)
					}
					if mode == Sixel {
						ch := cell[1]
						if ch == 0 {
							ch = defaultCellH
						}
						if bands := (e.Pixels.Y + sixelBand - 1) / sixelBand * sixelBand; bands > e.Rows*ch {
							t.Fatalf("%d pixels round up to %d, over %d rows of %d", e.Pixels.Y, bands, e.Rows, ch)
						}
						continue
					}
					if mode != None && mode != ITerm && len(e.Lines) != e.Rows {
						t.Fatalf("%v: %d lines, says %d", mode, len(e.Lines), e.Rows)
					}
					for _, l := range e.Lines {
						if ansi.StringWidth(l) != e.Cols {
							t.Fatalf("%v: a line of %d cells, says %d", mode, ansi.StringWidth(l), e.Cols)
						}
					}
				}
			}
		}
	}
}

func TestHalfBlocks(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 2, 2))
	m.SetRGBA(0, 0, color.RGBA{255, 0, 0, 255})
	m.SetRGBA(0, 1, color.RGBA{0, 255, 0, 255})
	m.SetRGBA(1, 1, color.RGBA{0, 0, 255, 255})
	got := halfBlocks(m, truecolour(m))
	want := "\x1b[0;38;2;255;0;0;48;2;0;255;0m▀\x1b[0;38;2;0;0;255m▄\x1b[m"
	if len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
	e, _ := Encode(m, Blocks256, Options{Cols: 2, Rows: 1})
	if !strings.Contains(e.Lines[0], "38;5;196;48;5;46m") { // pure red and green of the cube
		t.Errorf("256 colours: %q", e.Lines[0])
	}
}

func TestXtermColours(t *testing.T) {
	for index, want := range map[int]color.RGBA{16: {0, 0, 0, 255}, 17: {0, 0, 95, 255}, 59: {95, 95, 95, 255}, 231: {255, 255, 255, 255}, 232: {8, 8, 8, 255}, 255: {238, 238, 238, 255}} {
		if got := xtermColours[index-16]; got != want {
			t.Errorf("colour %d is %v, want %v", index, got, want)
		}
	}
}

func TestScaling(t *testing.T) {
	for _, c := range []struct{ w, h, boxW, boxH, wantW, wantH int }{
		{32, 32, 70, 64, 64, 64},    // a whole factor
		{32, 32, 50, 50, 50, 50},    // a broken one, because 1 would leave a third unused
		{128, 128, 60, 100, 60, 60}, // smaller
		{100, 10, 5, 5, 5, 1},       // never nothing
		{32, 32, 0, 10, 0, 0},       // no room
	} {
		if w, h := fit(c.w, c.h, c.boxW, c.boxH); w != c.wantW || h != c.wantH {
			t.Errorf("%dx%d in %dx%d: %dx%d", c.w, c.h, c.boxW, c.boxH, w, h)
		}
	}
	src := gradient(5, 3)
	for _, size := range [][2]int{{5, 3}, {10, 6}, {7, 4}, {2, 2}, {1, 1}} {
		dst := image.NewRGBA(image.Rect(0, 0, size[0], size[1]))
		scaleInto(dst, dst.Rect, src, src.Rect)
		// The mean colour stays.
		for ch := range 3 {
			a, b := 0.0, 0.0
			for i := ch; i < len(src.Pix); i += 4 {
				a += float64(src.Pix[i]) / 15
			}
			for i := ch; i < len(dst.Pix); i += 4 {
				b += float64(dst.Pix[i]) / float64(size[0]*size[1])
			}
			if math.Abs(a-b) > 1.5 {
				t.Errorf("%v channel %d: mean %.1f, was %.1f", size, ch, b, a)
			}
		}
	}
}

func TestSheetStats(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 4, 2))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for y := range 2 {
		m.SetRGBA(0, y, color.RGBA{0, 0, 0, 255})
	}
	s := Sheet{Image: m, Rows: 1, Cols: 2}.Stats()
	if len(s) != 2 || s[0] != (Stats{.5, .5, 0, 1}) || s[1] != (Stats{1, 0, 1, 1}) {
		t.Errorf("%+v", s)
	}
}

func TestParseMode(t *testing.T) {
	for _, m := range []Mode{None, ASCII, Blocks256, HalfBlocks, Sixel, ITerm, Kitty} {
		got, auto, err := ParseMode(m.String())
		if got != m || auto || err != nil {
			t.Errorf("%v: %v %v %v", m, got, auto, err)
		}
	}
	if _, auto, err := ParseMode("auto"); !auto || err != nil {
		t.Error("auto")
	}
	if _, _, err := ParseMode("kitten"); err == nil {
		t.Error("kitten is no mode")
	}
}

func BenchmarkEncodeLive(b *testing.B) {
	src := gradient(128, 128)
	for b.Loop() {
		if _, err := EncodeSheet(Sheet{Image: src, Rows: 4, Cols: 4}, Sixel, Options{Cols: 34, Rows: 18, CellW: 8, CellH: 15}); err != nil {
			b.Fatal(err)
		}
	}
}

// The fast way to dither gives the pixels of the plain one, gaps included.
func TestCubeDither(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, 67, 41))
	for i := range img.Pix {
		img.Pix[i] = uint8(rnd.Uint32())
		if i%4 == 3 && rnd.IntN(9) > 0 {
			img.Pix[i] = 255
		} else if i%4 == 3 {
			img.Pix[i] = 0
		}
	}
	for n, c := range cubes {
		if !bytes.Equal(c.dither(img, 255), dither(img, c.pick, 16, 255)) {
			t.Errorf("%d colours: other pixels", n)
		}
	}
}

// A strip stays one row where its tiles fit, and where a low box leaves some out; in a tall box all are shown, in several rows.
func TestStrip(t *testing.T) {
	s := Sheet{Image: image.NewRGBA(image.Rect(0, 0, 8*32, 32)), Rows: 1, Cols: 8}
	for _, c := range []struct{ boxW, boxH, w, h int }{
		{800, 40, 8*32 + 7*2, 32},    // all of them
		{100, 40, 3*32 + 2*2, 32},    // three of them
		{900, 500, 4*192 + 3*2, 386}, // four by two
	} {
		img := s.arrange(c.boxW, c.boxH, 2, 24)
		if got := img.Rect.Max; got != image.Pt(c.w, c.h) {
			t.Errorf("in %dx%d: %v, want %dx%d", c.boxW, c.boxH, got, c.w, c.h)
		}
	}
}
