package data

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// want reads a picture through At, composited on white in floating point: a second opinion on flatten.
func want(m image.Image) []byte {
	b := m.Bounds()
	var out []byte
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			n := color.NRGBA64Model.Convert(m.At(x, y)).(color.NRGBA64)
			a := float64(n.A) / 0xffff
			for _, v := range []uint16{n.R, n.G, n.B} {
				out = append(out, byte((float64(v)/0xffff*a+1-a)*255+0.5))
			}
		}
	}
	return out
}

func worst(a, b []byte) int {
	if len(a) != len(b) {
		return 1 << 20
	}
	most := 0
	for i := range a {
		most = max(most, int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return most
}

func TestFormats(t *testing.T) {
	rgb := pattern(64, 64)
	rgb16 := image.NewNRGBA64(rgb.Rect)
	grey := image.NewGray(rgb.Rect)
	grey16 := image.NewGray16(rgb.Rect)
	half := image.NewNRGBA(rgb.Rect)
	half16 := image.NewNRGBA64(rgb.Rect)
	premultiplied := image.NewRGBA(rgb.Rect)
	web := make(color.Palette, 0, 256)
	for i := range 255 {
		web = append(web, color.NRGBA{byte(i), byte(255 - i), byte(i * 5), 255})
	}
	web = append(web, color.NRGBA{200, 10, 10, 0}) // transparent: white, whatever its colour says
	paletted := image.NewPaletted(rgb.Rect, web)
	for y := range 64 {
		for x := range 64 {
			c := rgb.NRGBAAt(x, y)
			rgb16.SetNRGBA64(x, y, color.NRGBA64{uint16(c.R)<<8 | 0x37, uint16(c.G)<<8 | 0x90, uint16(c.B) << 8, 0xffff})
			grey.SetGray(x, y, color.Gray{byte(x*4 + y)})
			grey16.SetGray16(x, y, color.Gray16{uint16(x*1000 + y)})
			c.A = byte(x * 4)
			half.SetNRGBA(x, y, c)
			half16.SetNRGBA64(x, y, color.NRGBA64{uint16(c.R) * 257, uint16(c.G) * 257, 7, uint16(x * 1000)})
			premultiplied.Set(x, y, c)
			paletted.SetColorIndex(x, y, byte(x*4+y))
		}
	}
	encodePNG := func(b *bytes.Buffer, m image.Image) error { return png.Encode(b, m) }
	encodeTIFF := func(o *tiff.Options) func(*bytes.Buffer, image.Image) error {
		return func(b *bytes.Buffer, m image.Image) error { return tiff.Encode(b, m, o) }
	}
	encodeBMP := func(b *bytes.Buffer, m image.Image) error { return bmp.Encode(b, m) }
	encodeJPEG := func(b *bytes.Buffer, m image.Image) error { return jpeg.Encode(b, m, &jpeg.Options{Quality: 100}) }
	encodeGIF := func(b *bytes.Buffer, m image.Image) error { return gif.Encode(b, m, nil) }
	for _, c := range []struct {
		name   string
		m      image.Image
		encode func(*bytes.Buffer, image.Image) error
		off    int // the most a byte may differ
		format string
	}{
		{"png rgb", rgb, encodePNG, 0, "PNG"},
		{"png rgb16", rgb16, encodePNG, 0, "PNG"},
		{"png grey", grey, encodePNG, 0, "PNG"},
		{"png grey16", grey16, encodePNG, 0, "PNG"},
		{"png alpha", half, encodePNG, 1, "PNG"},
		{"png alpha16", half16, encodePNG, 1, "PNG"},
		{"png premultiplied", premultiplied, encodePNG, 1, "PNG"},
		{"png palette", paletted, encodePNG, 0, "PNG"},
		{"gif", paletted, encodeGIF, 0, "GIF"},
		{"jpeg grey", grey, encodeJPEG, 12, "JPEG"},
		{"jpeg", flat(64, 64, color.RGBA{90, 160, 30, 255}), encodeJPEG, 3, "JPEG"},
		{"bmp", rgb, encodeBMP, 0, "BMP"},
		{"bmp grey", grey, encodeBMP, 0, "BMP"},
		{"tiff", rgb, encodeTIFF(nil), 0, "TIFF"},
		{"tiff deflate", rgb, encodeTIFF(&tiff.Options{Compression: tiff.Deflate, Predictor: true}), 0, "TIFF"},
		{"tiff alpha", half, encodeTIFF(nil), 1, "TIFF"},
		{"tiff grey16", grey16, encodeTIFF(nil), 0, "TIFF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := c.encode(&b, c.m); err != nil {
				t.Fatal(err)
			}
			s := mustLoad(t, file(t, "no extension", b.Bytes()), Options{Size: 64})
			if s.N != 1 || s.Formats[0] != (Count{c.format, 1}) || s.Sources[0] != (SizeCount{64, 64, 1}) {
				t.Fatalf("%d pictures, formats %v, sizes %v", s.N, s.Formats, s.Sources)
			}
			if off := worst(s.Pixels, want(c.m)); off > c.off {
				t.Errorf("off by %d, at most %d is allowed", off, c.off)
			}
		})
	}
}

// CMYK and 16-bit premultiplied pictures have no encoder here: they go through the same function as they are.
func TestFlattenOtherTypes(t *testing.T) {
	r := image.Rect(0, 0, 8, 8)
	cmyk, deep, ycc := image.NewCMYK(r), image.NewRGBA64(r), image.NewNYCbCrA(r, image.YCbCrSubsampleRatio420)
	for i := range cmyk.Pix {
		cmyk.Pix[i] = byte(i * 31)
	}
	for y := range 8 {
		for x := range 8 {
			a := uint16(x * 8000)
			deep.SetRGBA64(x, y, color.RGBA64{a / 2, a / 3, a, a})
		}
	}
	for i := range ycc.Y {
		ycc.Y[i], ycc.A[i] = byte(i*4), byte(255-i)
	}
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = byte(100+i), byte(150-i)
	}
	for _, m := range []image.Image{cmyk, deep, ycc} {
		if off := worst(flatten(m, image.Point{}, r), want(m)); off > 1 {
			t.Errorf("%T is off by %d", m, off)
		}
	}
}

func TestAnimatedGIF(t *testing.T) {
	// The first frame covers a part of the canvas; the rest is white. The second must not be seen.
	pal := color.Palette{color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}}
	first := image.NewPaletted(image.Rect(4, 4, 8, 8), pal)
	second := image.NewPaletted(image.Rect(0, 0, 16, 16), pal)
	for i := range second.Pix {
		second.Pix[i] = 1
	}
	var b bytes.Buffer
	err := gif.EncodeAll(&b, &gif.GIF{
		Image: []*image.Paletted{first, second}, Delay: []int{1, 1},
		Config: image.Config{ColorModel: pal, Width: 16, Height: 16},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := mustLoad(t, file(t, "a.gif", b.Bytes()), Options{Size: 16})
	for y := range 16 {
		for x := range 16 {
			c := s.Image(0).RGBAAt(x, y)
			exp := color.RGBA{255, 255, 255, 255}
			if image.Pt(x, y).In(first.Rect) {
				exp = color.RGBA{255, 0, 0, 255}
			}
			if c != exp {
				t.Fatalf("at %d,%d: %v, want %v", x, y, c, exp)
			}
		}
	}
}

func TestWebP(t *testing.T) {
	lossless := mustLoad(t, "testdata/webp_lossless.webp", Options{Size: 64})
	if got := fmt.Sprintf("%x", sha256.Sum256(lossless.Pixels)); got != webpLosslessSum {
		t.Errorf("lossless picture has changed: %s", got)
	}
	lossy := mustLoad(t, "testdata/webp_lossy.webp", Options{Size: 64})
	sum := 0
	for i, v := range lossy.Pixels {
		sum += max(int(v)-int(lossless.Pixels[i]), int(lossless.Pixels[i])-int(v))
	}
	if mean := float64(sum) / float64(len(lossy.Pixels)); mean > 6 {
		t.Errorf("the lossy picture is off by %.1f in the mean", mean)
	}
	// A disc on transparent black: the corner must be white.
	alpha := mustLoad(t, "testdata/webp_alpha.webp", Options{Size: 64})
	if c := alpha.Image(0).RGBAAt(0, 0); c != (color.RGBA{255, 255, 255, 255}) {
		t.Errorf("a transparent corner is %v", c)
	}
}

const webpLosslessSum = "5dbbe153c9c3042566db16edc855cedd81a37e950ac94e3b811ebf987b48dd51"

// animate wraps a still WebP as the first frame of an animation, at an offset on a larger canvas.
func animate(t testing.TB, still []byte, w, h, x, y, canvas int) []byte {
	t.Helper()
	le := func(v int) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16)} }
	vp8x := append([]byte{0x02, 0, 0, 0}, append(le(canvas-1), le(canvas-1)...)...)
	anmf := append(append(append(append(le(x/2), le(y/2)...), le(w-1)...), le(h-1)...), 100, 0, 0, 0)
	var b bytes.Buffer
	b.WriteString("RIFF\x00\x00\x00\x00WEBP")
	writeChunk(&b, "VP8X", vp8x)
	writeChunk(&b, "ANIM", make([]byte, 6))
	writeChunk(&b, "ANMF", append(anmf, still[12:]...))
	writeChunk(&b, "ANMF", append(anmf, "VP8 junk that is never read"...))
	p := b.Bytes()
	n := len(p) - 8
	p[4], p[5], p[6], p[7] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
	return p
}

func TestAnimatedWebP(t *testing.T) {
	for _, name := range []string{"webp_lossless", "webp_lossy"} {
		still, err := os.ReadFile("testdata/" + name + ".webp")
		if err != nil {
			t.Fatal(err)
		}
		alone := mustLoad(t, "testdata/"+name+".webp", Options{Size: 64})
		s := mustLoad(t, file(t, "a.webp", animate(t, still, 64, 64, 2, 4, 80)), Options{Size: 80})
		m, ref := s.Image(0), alone.Image(0)
		for y := range 80 {
			for x := range 80 {
				exp := color.RGBA{255, 255, 255, 255}
				if p := image.Pt(x-2, y-4); p.In(ref.Rect) {
					exp = ref.RGBAAt(p.X, p.Y)
				}
				if got := m.RGBAAt(x, y); got != exp {
					t.Fatalf("%s at %d,%d: %v, want %v", name, x, y, got, exp)
				}
			}
		}
		// A frame outside its canvas, and one whose own size differs from what the frame says.
		if why := reasonOf(t, "a.webp", animate(t, still, 64, 64, 40, 0, 80)); why == "" {
			t.Error("a frame outside the canvas was read")
		}
		if why := reasonOf(t, "a.webp", animate(t, still, 32, 32, 0, 0, 80)); why == "" {
			t.Error("a frame of another size was read")
		}
	}
}

func TestGrey(t *testing.T) {
	var b bytes.Buffer
	m := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range m.Pix {
		m.Pix[i] = byte(i)
	}
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	s := mustLoad(t, file(t, "a", b.Bytes()), Options{Channels: 1})
	if s.Size != 16 || s.Channels != 1 || !bytes.Equal(s.Pixels, m.Pix) {
		t.Errorf("grey does not come back as it was: %dx%dx%d", s.Size, s.Size, s.Channels)
	}
	red := mustLoad(t, file(t, "a", pngOf(t, flat(16, 16, color.RGBA{255, 0, 0, 255}))), Options{Channels: 1})
	if red.Pixels[0] != 76 { // 0.299 * 255
		t.Errorf("red is %d in grey, want 76", red.Pixels[0])
	}
	if c := s.Image(0).RGBAAt(5, 0); c != (color.RGBA{5, 5, 5, 255}) {
		t.Errorf("drawn as %v", c)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Size: -1}, {Size: MaxSize + 1}, {Channels: 2}, {MaxImages: -1}} {
		if _, err := Load(context.Background(), "", o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
