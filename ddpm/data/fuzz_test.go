package data

import (
	"bytes"
	"context"
	"image/color"
	"os"
	"testing"

	"golang.org/x/image/tiff"
)

// The fuzz tests hold the loader to this: whatever the bytes are, it returns; it does not panic, and what it returns
// is whole. The limits are small so that a run tries many inputs.

func fuzzLimits() limits {
	lim := standardLimits()
	lim.fileBytes, lim.pixels, lim.recordSize, lim.entries, lim.nameBytes = 1<<18, 1<<14, 1<<20, 1000, 1<<18
	lim.bombBytes = 1 << 22
	return lim
}

// bytesSource is one file in memory.
type bytesSource struct {
	single
	p []byte
}

func (b *bytesSource) feed(_ context.Context, want []entry, do func(int, int64, opener) error) error {
	return do(0, int64(len(b.p)), memory(b.p))
}

func tryLoad(t *testing.T, src source) {
	opt, _ := Options{MaxBytes: 1 << 24, Workers: 2}.normal()
	s, err := (&loader{src: src, opt: opt, lim: fuzzLimits()}).load(context.Background())
	if err != nil {
		if !printable(err.Error()) {
			t.Fatalf("not safe to print: %q", err)
		}
		return
	}
	if s.N == 0 || len(s.Pixels) != s.N*s.Size*s.Size*s.Channels || s.Labels != nil && len(s.Labels) != s.N {
		t.Fatalf("%d pictures of %dx%dx%d, %d bytes, %d labels", s.N, s.Size, s.Size, s.Channels, len(s.Pixels), len(s.Labels))
	}
	for _, k := range s.Skipped {
		if !printable(k.String()) {
			t.Fatalf("not safe to print: %q", k)
		}
	}
	for i := range s.N {
		s.File(i)
	}
	Summary(s)
}

func fuzzFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, p []byte) {
		tryLoad(t, &bytesSource{single{path: "a.bin", name: "a.bin", size: int64(len(p))}, p})
	})
}

func FuzzPicture(f *testing.F) {
	for _, p := range claims(f) {
		f.Add(p)
	}
	var b bytes.Buffer
	if err := tiff.Encode(&b, pattern(8, 8), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(pngOf(f, flat(8, 8, color.RGBA{9, 9, 9, 100})))
	for _, name := range []string{"webp_lossy", "webp_lossless", "webp_alpha"} {
		p, err := os.ReadFile("testdata/" + name + ".webp")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
		f.Add(animate(f, p, 64, 64, 0, 0, 64))
	}
	fuzzFile(f)
}

func FuzzIDX(f *testing.F) {
	f.Add(idxImagesOf(3, 5, 4))
	f.Add(gz(f, idxImagesOf(3, 16, 16)))
	f.Add(idxLabelsOf(3))
	fuzzFile(f)
}

func FuzzCIFAR(f *testing.F) {
	f.Add(cifarBatch(2, 1))
	f.Add(cifarBatch(1, 1)[:3000])
	fuzzFile(f)
}

func FuzzZip(f *testing.F) {
	small := pngOf(f, flat(4, 4, color.White))
	f.Add(zipOf(f, map[string][]byte{"a/b.png": small, "../c.png": small, "d": []byte("text")}))
	f.Add(overlapping(f, 3, small))
	f.Fuzz(func(t *testing.T, p []byte) {
		tryLoad(t, &zipSource{f: archive{bytes.NewReader(p)}, size: int64(len(p)), name: "a", lim: fuzzLimits()})
	})
}

func FuzzTar(f *testing.F) {
	small := pngOf(f, flat(4, 4, color.White))
	p := tarOf(f, map[string][]byte{"a/b.png": small, "../c.png": small, "d": []byte("text")})
	f.Add(p, false)
	f.Add(gz(f, p), true)
	f.Fuzz(func(t *testing.T, p []byte, gzipped bool) {
		tryLoad(t, &tarSource{f: archive{bytes.NewReader(p)}, size: int64(len(p)), name: "a", lim: fuzzLimits(), gz: gzipped})
	})
}
