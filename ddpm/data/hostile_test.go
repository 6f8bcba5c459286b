package data

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/image/tiff"
)

// allocated runs f and returns the bytes that it allocated in all, which is more than it ever held.
func allocated(f func()) uint64 {
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	f()
	runtime.ReadMemStats(&b)
	return b.TotalAlloc - a.TotalAlloc
}

func ihdr(w, h uint32, bits, colour byte) []byte {
	p := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return chunk("IHDR", append(p, bits, colour, 0, 0, 0))
}

// claims are small files that claim to be huge.
func claims(t testing.TB) map[string][]byte {
	const sig = "\x89PNG\r\n\x1a\n"
	var j, g, f bytes.Buffer
	small := flat(8, 8, color.White)
	if err := jpeg.Encode(&j, small, nil); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&g, small, nil); err != nil {
		t.Fatal(err)
	}
	if err := tiff.Encode(&f, small, nil); err != nil {
		t.Fatal(err)
	}
	jpg, gf, tf := j.Bytes(), g.Bytes(), f.Bytes()
	sof := bytes.Index(jpg, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint32(jpg[sof+5:], 65500<<16|65500)
	binary.LittleEndian.PutUint32(gf[6:], 0xffffffff)
	at := int(binary.LittleEndian.Uint32(tf[4:])) + 2
	for i := at; i+12 <= len(tf); i += 12 {
		if tag := binary.LittleEndian.Uint16(tf[i:]); tag == 256 || tag == 257 {
			binary.LittleEndian.PutUint16(tf[i+2:], 4)
			binary.LittleEndian.PutUint32(tf[i+8:], 60000)
		}
	}
	bm := append([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00"), 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 24, 0)
	bm = append(bm, make([]byte, 40)...)
	webp := append([]byte("RIFF\x1e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00"), 0xff, 0x3f, 0, 0xff, 0x3f, 0)
	return map[string][]byte{
		"png":      append([]byte(sig), append(ihdr(100000, 100000, 8, 2), chunk("IEND", nil)...)...),
		"png line": append([]byte(sig), append(ihdr(1<<30, 1, 8, 0), chunk("IEND", nil)...)...),
		"png max":  append([]byte(sig), append(ihdr(1<<31-1, 1<<31-1, 16, 6), chunk("IEND", nil)...)...),
		"jpeg":     jpg, "gif": gf, "bmp": bm, "tiff": tf, "webp": webp,
	}
}

func TestClaimsOfHugeSizes(t *testing.T) {
	for name, p := range claims(t) {
		n := allocated(func() {
			if why := reasonOf(t, name, p); !strings.Contains(why, "it claims") {
				t.Errorf("%s: %q", name, why)
			}
		})
		if n > 16<<20 {
			t.Errorf("%s: %d MiB allocated", name, n>>20)
		}
	}
}

// A picture within the cap by its pixels, whose tiles would unpack to a thousand times as many.
func TestTIFFTileBomb(t *testing.T) {
	var b bytes.Buffer
	if err := tiff.Encode(&b, image.NewGray(image.Rect(0, 0, 4096, 8)), &tiff.Options{Compression: tiff.Deflate}); err != nil {
		t.Fatal(err)
	}
	p := b.Bytes()
	at := int(binary.LittleEndian.Uint32(p[4:])) + 2
	set := func(i int, tag uint16, v uint32) {
		binary.LittleEndian.PutUint16(p[i:], tag)
		binary.LittleEndian.PutUint16(p[i+2:], 4)
		binary.LittleEndian.PutUint32(p[i+4:], 1)
		binary.LittleEndian.PutUint32(p[i+8:], v)
	}
	for i := at; i+12 <= len(p); i += 12 { // the last two tags, which say a resolution, become a tile's sides
		switch binary.LittleEndian.Uint16(p[i:]) {
		case 283:
			set(i, 322, 4096)
		case 296:
			set(i, 323, 1024)
		}
	}
	if why := reasonOf(t, "a.tiff", p); !strings.Contains(why, "tiles of 4096x1024") {
		t.Error(why)
	}
}

func TestJPEGOfManyScans(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, flat(8, 8, color.Black), nil); err != nil {
		t.Fatal(err)
	}
	p := b.Bytes()
	i := bytes.Index(p, []byte{0xff, 0xda})
	many := append(append([]byte{}, p[:i]...), bytes.Repeat(p[i:i+14], 300)...)
	if why := reasonOf(t, "a.jpg", append(many, p[i:]...)); !strings.Contains(why, "scans") {
		t.Error(why)
	}
}

func TestBrokenFiles(t *testing.T) {
	good := pngOf(t, pattern(64, 64))
	flip := func(at int) []byte {
		p := bytes.Clone(good)
		p[at] ^= 0xff
		return p
	}
	outOfPalette := append([]byte("\x89PNG\r\n\x1a\n"), ihdr(8, 8, 8, 3)...)
	outOfPalette = append(outOfPalette, chunk("PLTE", []byte{255, 0, 0})...)
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 9)
	w.Write(bytes.Repeat([]byte{0, 9, 9, 9, 9, 9, 9, 9, 9}, 8))
	w.Close()
	raw := bytes.Repeat([]byte{0, 9, 9, 9, 9, 9, 9, 9, 9}, 8)
	a, b := uint32(1), uint32(0)
	for _, v := range raw {
		a = (a + uint32(v)) % 65521
		b = (b + a) % 65521
	}
	stream := binary.BigEndian.AppendUint32(append([]byte{0x78, 0x9c}, z.Bytes()...), b<<16|a)
	outOfPalette = append(append(outOfPalette, chunk("IDAT", stream)...), chunk("IEND", nil)...)
	for name, c := range map[string]struct {
		p    []byte
		want string
	}{
		"empty":     {nil, "the file is empty"},
		"cut":       {good[:len(good)*6/10], "cut short"},
		"signature": {good[:8], "cut short"},
		"crc":       {flip(len(good) - 14), "corrupt"},
		"idat":      {flip(200), "corrupt"},
		"palette":   {outOfPalette, "colour 9 of a palette of 1"},
		"noise":     {noise(2048, 9), "no known format"},
		"text":      {[]byte("This is not a picture.\n\x1b[31m\n"), "text"},
		"html":      {[]byte("<!DOCTYPE html><html>"), "web page"},
		"svg":       {[]byte("<svg xmlns='x'/>"), "SVG is not read: convert it to PNG"},
		"avif":      {[]byte("\x00\x00\x00\x20ftypavif0000"), "AVIF is not read"},
		"heic":      {[]byte("\x00\x00\x00\x18ftypheic0000"), "HEIC is not read"},
		"zip":       {zipOf(t, map[string][]byte{"a.png": good}), "an archive inside"},
		"gzipgzip":  {gz(t, gz(t, good)), "not a picture"},
		"labels":    {idxLabelsOf(5), ""},
	} {
		if c.want == "" {
			if _, err := Load(context.Background(), files(t, map[string][]byte{name: c.p}), Options{}); err == nil {
				t.Errorf("%s was read", name)
			}
			continue
		}
		if why := reasonOf(t, name, c.p); !strings.Contains(why, c.want) {
			t.Errorf("%s: %q, want %q", name, why, c.want)
		}
	}
	if s := mustLoad(t, file(t, "a", append(bytes.Clone(good), "junk behind the end"...)), Options{}); s.N != 1 {
		t.Error("junk behind the end of a good picture")
	}
	if s := mustLoad(t, file(t, "a.png.gz", gz(t, good)), Options{}); s.N != 1 {
		t.Error("a gzipped picture")
	}
}

// A panic in a decoder is the file's fault, not the program's.
func TestPanicIsASkip(t *testing.T) {
	fail := func() (err error) {
		defer recovered(&err)
		panic("index out of range\nsecond line \x1b[31m")
	}
	if got := reason(fail()); got != `corrupt: the decoder failed: index out of range` {
		t.Error(got)
	}
}

func TestFileSizeCap(t *testing.T) {
	lim := standardLimits()
	lim.fileBytes = 4000
	content := map[string][]byte{"a.png": pngOf(t, pattern(16, 16)), "big.png": append(pngOf(t, pattern(16, 16)), make([]byte, 5000)...)}
	content["big.gz"] = gz(t, content["big.png"]) // small on disk
	for _, p := range []string{files(t, content), file(t, "a", zipOf(t, content)), file(t, "a", tarOf(t, content))} {
		s, err := loadWith(context.Background(), p, Options{}, lim)
		if err != nil {
			t.Fatal(err)
		}
		if s.N != 1 || s.SkippedTotal != 2 || !strings.Contains(s.Skipped[0].Reason, "are not read") {
			t.Errorf("%d pictures, skipped: %s", s.N, skipped(s))
		}
	}
}

// TestLargePicturesShareABudget: pictures that cost much are not decoded at once, however many workers there are.
func TestLargePicturesShareABudget(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 1000, 1000))
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	content := make(map[string][]byte)
	for i := range 4 {
		content[fmt.Sprint(i)] = b.Bytes()
	}
	lim := standardLimits()
	lim.decodeBudget, lim.readBudget = 12<<20, 1<<10
	s, err := loadWith(context.Background(), files(t, content), Options{Workers: 8}, lim)
	if err != nil || s.N != 4 {
		t.Fatal(err)
	}
	for i, v := range s.Pixels {
		if v != 255 {
			t.Fatalf("transparent is %d at %d", v, i)
		}
	}
}
