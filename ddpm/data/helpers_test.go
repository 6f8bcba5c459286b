package data

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// pattern is an opaque picture in which every pixel differs from its neighbours.
func pattern(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{byte(x * 255 / max(w-1, 1)), byte(y * 255 / max(h-1, 1)), byte((x*7 + y*13) % 256), 255})
		}
	}
	return m
}

func flat(w, h int, c color.Color) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, c)
		}
	}
	return m
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// chunk is one PNG chunk.
func chunk(name string, body []byte) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	p = append(append(p, name...), body...)
	return binary.BigEndian.AppendUint32(p, crc32.ChecksumIEEE(p[4:]))
}

// files writes a folder and returns its path.
func files(t testing.TB, content map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, p := range content {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func file(t testing.TB, name string, p []byte) string {
	t.Helper()
	return filepath.Join(files(t, map[string][]byte{name: p}), name)
}

func names(content map[string][]byte) []string {
	var out []string
	for n := range content {
		out = append(out, n)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(out))) // archives are written in an order that is not the names'
	return out
}

func zipOf(t testing.TB, content map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, n := range names(content) {
		method := zip.Deflate
		if i%2 == 1 {
			method = zip.Store
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: n, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, content map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names(content) {
		if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o644, Size: int64(len(content[n]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mustLoad(t testing.TB, source string, opt Options) *Set {
	t.Helper()
	s, err := Load(context.Background(), source, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Pixels) != s.N*s.Size*s.Size*s.Channels {
		t.Fatalf("%d bytes for %d pictures of %dx%dx%d", len(s.Pixels), s.N, s.Size, s.Size, s.Channels)
	}
	return s
}

// reasonOf loads one file alone and returns why it is skipped, "" if it is not.
func reasonOf(t testing.TB, name string, p []byte) string {
	t.Helper()
	_, err := Load(context.Background(), files(t, map[string][]byte{name: p}), Options{})
	if err == nil {
		return ""
	}
	var none *NoImagesError
	if !errors.As(err, &none) || none.SkippedTotal != 1 {
		t.Fatalf("not one skip: %v", err)
	}
	return none.Skipped[0].Reason
}

func fileNames(s *Set) []string {
	var out []string
	for i := range s.N {
		out = append(out, s.File(i))
	}
	return out
}

func skipped(s *Set) string {
	var b strings.Builder
	for _, k := range s.Skipped {
		b.WriteString(k.String() + "\n")
	}
	return b.String()
}

// shared returns the path of a file of the shared data, and skips the test where it is not there.
func shared(t testing.TB, name string) string {
	t.Helper()
	p := filepath.Join("..", "..", "..", "shared", "data", name)
	if _, err := os.Stat(p); err != nil {
		t.Skipf("skipped: %s is not beside the checkout", filepath.Join("../shared/data", name))
	}
	return p
}
