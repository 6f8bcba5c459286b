package data

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"runtime"
	"sync"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
	"golang.org/x/sync/semaphore"
)

// A picture is one decoded file: [D,D,C] bytes, and the size it had when upright.
type picture struct {
	pix  []byte
	w, h int
}

// A decoder turns picture files into pictures of one size. Its budget is shared by all workers.
type decoder struct {
	size, channels int
	lim            limits
	budget         *semaphore.Weighted // of lim.decodeBudget
	unpacking      sync.Mutex          // held by a file whose unpacked length is not in any budget
}

func newDecoder(size, channels int, lim limits) *decoder {
	return &decoder{size: size, channels: channels, lim: lim, budget: semaphore.NewWeighted(lim.decodeBudget)}
}

// header reads the size a picture claims, and refuses claims over the limit: a PNG of 74 bytes can claim 100000x100000,
// and the allocation that follows kills the process in a way that recover does not catch.
func header(k kind, file []byte, lim limits) (cfg image.Config, err error) {
	defer recovered(&err)
	r := bytes.NewReader(file)
	switch k {
	case pngFile:
		cfg, err = png.DecodeConfig(r)
	case jpegFile:
		cfg, err = jpeg.DecodeConfig(r)
	case gifFile:
		cfg, err = gif.DecodeConfig(r)
	case bmpFile:
		cfg, err = bmp.DecodeConfig(r)
	case tiffFile:
		cfg, err = tiff.DecodeConfig(r)
	case webpFile:
		cfg, err = webp.DecodeConfig(r)
	default:
		return cfg, skipf("not a picture")
	}
	if err != nil {
		return cfg, err
	}
	return cfg, checkSize(cfg.Width, cfg.Height, lim)
}

func checkSize(w, h int, lim limits) error {
	if w <= 0 || h <= 0 {
		return skipf("it claims to be %dx%d pixels", w, h)
	}
	if int64(w) > lim.pixels || int64(h) > lim.pixels || int64(w)*int64(h) > lim.pixels {
		return skipf("it claims to be %dx%d pixels: more than %d million are not read; make it smaller", w, h, lim.pixels>>20)
	}
	return nil
}

// decode reads one picture file. It never panics.
func (d *decoder) decode(ctx context.Context, k kind, file []byte) (p picture, err error) {
	cfg, err := header(k, file, d.lim)
	if err != nil {
		return p, err
	}
	cost, err := workingMemory(k, file, cfg, d.lim)
	if err != nil {
		return p, err
	}
	take := min(cost, d.lim.decodeBudget) // a costly one runs alone
	if err := d.budget.Acquire(ctx, take); err != nil {
		return p, err
	}
	defer d.budget.Release(take)
	p, err = d.decodeNow(k, file, cfg)
	if cost > 64<<20 {
		// The collector would let the heap double before it looks; after a large picture that is too late.
		runtime.GC()
	}
	return p, err
}

func (d *decoder) decodeNow(k kind, file []byte, cfg image.Config) (p picture, err error) {
	defer recovered(&err)
	m, at, err := pixels(k, file, d.lim)
	if err != nil {
		return p, err
	}
	if k == pngFile {
		if err := checkPalette(m, file); err != nil {
			return p, err
		}
	}
	o := orientation(k, file)
	w, h := cfg.Width, cfg.Height
	s := min(w, h)
	rgb := flatten(m, at, centre(w, h, s, o))
	m = nil // the decoded picture may be a hundred times the square
	rgb = upright(resize(rgb, s, d.size), d.size, o)
	if d.channels == 1 {
		rgb = luma(rgb)
	}
	if swaps(o) {
		w, h = h, w
	}
	return picture{rgb, w, h}, nil
}

// pixels runs the decoder that belongs to a kind. The picture lies at an offset on its canvas: an animation's first
// frame may cover only a part of it.
func pixels(k kind, file []byte, lim limits) (m image.Image, at image.Point, err error) {
	r := io.Reader(bytes.NewReader(file))
	switch k {
	case pngFile:
		m, err = png.Decode(r)
	case jpegFile:
		m, err = jpeg.Decode(r)
	case gifFile:
		m, err = gif.Decode(r) // the first frame, with its offset in its bounds
		return m, at, err
	case bmpFile:
		m, err = bmp.Decode(r)
	case tiffFile:
		m, err = tiff.Decode(r)
	case webpFile:
		frame, place, animated, err := firstFrame(file, lim)
		if err != nil {
			return nil, at, err
		}
		if animated {
			r, at = bytes.NewReader(frame), place
		}
		m, err = webp.Decode(r)
		return videoRange(m), at, err
	}
	return m, at, err
}

// centre is the centre square of a picture. Where the margin is odd the square leans the same way on the upright
// picture whatever the orientation is, so that a rotated copy of a picture loads as the same bytes.
func centre(w, h, s, o int) image.Rectangle {
	x, y := (w-s)/2, (h-s)/2
	if flipsX(o) {
		x = w - s - x
	}
	if flipsY(o) {
		y = h - s - y
	}
	return image.Rect(x, y, x+s, y+s)
}

// workingMemory estimates the bytes that a decoder needs, and refuses what would cost far more than its pixels say.
func workingMemory(k kind, file []byte, cfg image.Config, lim limits) (int64, error) {
	px := int64(cfg.Width) * int64(cfg.Height)
	perPixel := int64(12) // a 16-bit PNG takes 8, and the copy here 3
	switch k {
	case jpegFile:
		perPixel = 20 // progressive: 4 bytes a coefficient, 3 or 4 planes, the picture, the copy
		if n := jpegScans(file); n > lim.jpegScans {
			return 0, skipf("a JPEG of %d scans, each a pass over all its pixels: more than %d are not read", n, lim.jpegScans)
		}
	case tiffFile:
		perPixel = 24 // 8 for the picture, up to 16 for a strip that is being unpacked
		tw, _ := tiffTag(file, 322)
		th, _ := tiffTag(file, 323)
		if tile := int64(tw) * int64(th); tile > max(1<<20, 2*px) || tw > 1<<24 || th > 1<<24 {
			// One row of 16 million pixels with tiles 1024 high would unpack 128 GB.
			return 0, skipf("a TIFF of %dx%d pixels with tiles of %dx%d: not read", cfg.Width, cfg.Height, tw, th)
		} else {
			px = max(px, tile)
		}
	case webpFile:
		// Lossless: the decoder allows 2,600 groups of Huffman tables, ten bytes of the file can make 5 KiB of them.
		return px*16 + min(int64(len(file))*512, 128<<20), nil
	}
	return px*perPixel + 1<<16, nil
}

// jpegScans counts the scan headers of a JPEG: the marker, a length, and a number of components that agree. Inside a
// scan's data the marker cannot occur.
func jpegScans(file []byte) (n int) {
	for {
		i := bytes.Index(file, []byte{0xff, 0xda, 0})
		if i < 0 || i+5 > len(file) {
			return n
		}
		if c := file[i+4]; c >= 1 && c <= 4 && file[i+3] == 6+2*c {
			n++
		}
		file = file[i+2:]
	}
}

// checkPalette refuses a PNG with indices past its palette. The decoder paints them black; the file is broken.
func checkPalette(m image.Image, file []byte) error {
	p, ok := m.(*image.Paletted)
	if !ok {
		return nil
	}
	n := max(len(pngChunk(file, "PLTE"))/3, len(pngChunk(file, "tRNS")))
	if len(p.Palette) > n {
		return skipf("corrupt: its pixels name colour %d of a palette of %d", len(p.Palette)-1, n)
	}
	return nil
}

// recovered turns a decoder's panic into an error of the file.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = skipf("corrupt: the decoder failed: %s", firstLine(fmt.Sprint(p)))
	}
}

func firstLine(s string) string {
	for i, c := range s {
		if c == '\n' || i > 200 {
			return s[:i]
		}
	}
	return s
}
