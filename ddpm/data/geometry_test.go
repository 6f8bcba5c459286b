package data

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/tiff"
)

func noise(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// TestShrinkIsTheAreaAverage compares with a sum over a grid fine enough that both grids divide it.
func TestShrinkIsTheAreaAverage(t *testing.T) {
	for _, c := range [][2]int{{64, 32}, {64, 16}, {96, 32}, {7, 1}, {7, 3}, {63, 64 - 17}, {10, 9}, {33, 32}, {5, 5}} {
		s, d := c[0], c[1]
		src := noise(s*s*3, uint64(s*100+d))
		got := resize(src, s, d)
		for y := range d {
			for x := range d {
				for k := range 3 {
					sum := 0
					for v := y * s; v < (y+1)*s; v++ {
						for u := x * s; u < (x+1)*s; u++ {
							sum += int(src[((v/d)*s+u/d)*3+k])
						}
					}
					if exp := byte((sum + s*s/2) / (s * s)); got[(y*d+x)*3+k] != exp {
						t.Fatalf("%d to %d at %d,%d: %d, want %d", s, d, x, y, got[(y*d+x)*3+k], exp)
					}
				}
			}
		}
	}
}

func TestEnlarge(t *testing.T) {
	flat := bytes.Repeat([]byte{200, 30, 60}, 9)
	for i, v := range resize(flat, 3, 10) {
		if v != flat[i%3] {
			t.Fatalf("a flat picture is not flat after enlarging: %d at %d", v, i)
		}
	}
	ramp := make([]byte, 16*16*3)
	for i := range ramp {
		ramp[i] = byte(i / 3 % 16 * 16)
	}
	big := resize(ramp, 16, 64)
	for x := 1; x < 64; x++ {
		if big[x*3] < big[x*3-3] {
			t.Fatalf("a ramp is not a ramp after enlarging, at %d", x)
		}
	}
}

func TestCropIsTheCentre(t *testing.T) {
	// Three bands: only the middle one may be seen.
	m := image.NewRGBA(image.Rect(0, 0, 96, 32))
	for y := range 32 {
		for x := range 96 {
			m.Set(x, y, [3]color.RGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}}[x/32])
		}
	}
	s := mustLoad(t, file(t, "a.png", pngOf(t, m)), Options{Size: 32})
	if !bytes.Equal(s.Pixels, bytes.Repeat([]byte{0, 255, 0}, 32*32)) {
		t.Error("not the centre square")
	}
	if s.Sources[0] != (SizeCount{96, 32, 1}) {
		t.Errorf("sizes: %v", s.Sources)
	}
}

// exif is a TIFF directory with an orientation, in either byte order.
func exif(order binary.AppendByteOrder, o int) []byte {
	p := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		p = []byte("MM\x00*")
	}
	p = order.AppendUint32(p, 8)
	p = order.AppendUint16(p, 2)
	for _, e := range [][3]uint32{{0x0100, 3, 64}, {0x0112, 3, uint32(o)}} {
		p = order.AppendUint16(p, uint16(e[0]))
		p = order.AppendUint16(p, uint16(e[1]))
		p = order.AppendUint32(p, 1)
		p = order.AppendUint16(p, uint16(e[2]))
		p = order.AppendUint16(p, 0)
	}
	return order.AppendUint32(p, 0)
}

// stored is what a camera with an orientation stores of a picture that is upright as m: the inverse of showing it.
func stored(m *image.NRGBA, o int) *image.NRGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	at := map[int]func(x, y int) (int, int){ // where the upright pixel x,y is stored
		1: func(x, y int) (int, int) { return x, y },
		2: func(x, y int) (int, int) { return w - 1 - x, y },
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y },
		4: func(x, y int) (int, int) { return x, h - 1 - y },
		5: func(x, y int) (int, int) { return y, x },
		6: func(x, y int) (int, int) { return y, w - 1 - x },         // shown by turning clockwise
		7: func(x, y int) (int, int) { return h - 1 - y, w - 1 - x }, // across the other diagonal
		8: func(x, y int) (int, int) { return h - 1 - y, x },         // shown by turning counterclockwise
	}[o]
	r := m.Rect
	if o >= 5 {
		r = image.Rect(0, 0, h, w)
	}
	out := image.NewNRGBA(r)
	for y := range h {
		for x := range w {
			sx, sy := at(x, y)
			out.SetNRGBA(sx, sy, m.NRGBAAt(x, y))
		}
	}
	return out
}

// TestOrientation stores the same picture in all eight ways and in four formats: all must load as the same bytes. Its
// margins are odd, so that a crop that leans the wrong way shows.
func TestOrientation(t *testing.T) {
	up := pattern(37, 20)
	ref := mustLoad(t, file(t, "a.png", pngOf(t, up)), Options{Size: 10})
	if tl := up.NRGBAAt(8, 0); ref.Pixels[0] < tl.R-16 || ref.Pixels[0] > tl.R+32 {
		t.Fatalf("the reference is not the picture: %v and %v", ref.Pixels[:3], tl)
	}
	for o := 1; o <= 8; o++ {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			m, x := stored(up, o), exif(order, o)

			p := pngOf(t, m) // eXIf goes behind IHDR, which is 25 bytes behind the signature
			p = append(p[:33:33], append(chunk("eXIf", x), p[33:]...)...)
			s := mustLoad(t, file(t, "a.png", p), Options{Size: 10})
			if !bytes.Equal(s.Pixels, ref.Pixels) {
				t.Errorf("PNG, orientation %d: not upright", o)
			}
			if s.Sources[0] != (SizeCount{37, 20, 1}) {
				t.Errorf("PNG, orientation %d: sizes %v", o, s.Sources)
			}

			var b bytes.Buffer
			if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
				t.Fatal(err)
			}
			p = b.Bytes()
			app1 := append([]byte("Exif\x00\x00"), x...)
			head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe0, 0, 4, 'x', 'x', 0xff, 0xe1}, uint16(len(app1)+2))
			p = append(append(head, app1...), p[2:]...)
			s = mustLoad(t, file(t, "a.jpg", p), Options{Size: 10})
			if off := worst(s.Pixels, ref.Pixels); off > 32 { // chroma is at half resolution, and its pairs fall differently on an odd side
				t.Errorf("JPEG, orientation %d: off by %d", o, off)
			}
		}
	}
}

func TestOrientationOfTIFFAndWebP(t *testing.T) {
	if got := orientation(tiffFile, exif(binary.LittleEndian, 6)); got != 6 {
		t.Errorf("TIFF: %d", got)
	}
	webp := append([]byte("RIFF\x00\x00\x00\x00WEBP"), "VP8 \x01\x00\x00\x00z\x00EXIF"...)
	x := exif(binary.BigEndian, 8)
	webp = append(append(webp, byte(len(x)), 0, 0, 0), x...)
	if got := orientation(webpFile, webp); got != 8 {
		t.Errorf("WebP: %d", got)
	}
	// A TIFF whose own directory turns it.
	var b bytes.Buffer
	if err := tiff.Encode(&b, pattern(20, 20), nil); err != nil {
		t.Fatal(err)
	}
	if got := orientation(tiffFile, b.Bytes()); got != 1 {
		t.Errorf("TIFF without the tag: %d", got)
	}
}

// TestBrokenEXIF: whatever is cut off, the answer is upright or right, never a panic.
func TestBrokenEXIF(t *testing.T) {
	whole := exif(binary.LittleEndian, 6)
	for n := range whole {
		orientation(tiffFile, whole[:n])
		app1 := append([]byte("Exif\x00\x00"), whole[:n]...)
		orientation(jpegFile, append([]byte{0xff, 0xd8, 0xff, 0xe1, 0, byte(len(app1) + 2)}, app1...))
	}
	for _, o := range []int{0, 9, 255} {
		if got := orientation(tiffFile, exif(binary.BigEndian, o)); got != 1 {
			t.Errorf("orientation %d gives %d", o, got)
		}
	}
}
