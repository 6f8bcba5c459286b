package data

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPathsOutOfTheArchive(t *testing.T) {
	good := pngOf(t, pattern(16, 16))
	content := map[string][]byte{"../evil.png": good, "/etc/evil.png": good, "a/../../evil.png": good, `C:\evil.png`: good, "ok.png": good}
	for _, p := range []string{file(t, "a", zipOf(t, content)), file(t, "a", tarOf(t, content))} {
		s := mustLoad(t, p, Options{})
		if s.N != 1 || s.File(0) != "ok.png" || s.SkippedTotal != 4 || !strings.Contains(skipped(s), "../evil.png: its path points out of the archive") {
			t.Errorf("%v, skipped: %s", fileNames(s), skipped(s))
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(p), "..", "evil.png")); err == nil {
			t.Error("something was written")
		}
	}
}

func TestOddTarMembers(t *testing.T) {
	good := pngOf(t, pattern(16, 16))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "link.png", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, {Name: "hard.png", Typeflag: tar.TypeLink, Linkname: "ok.png"},
		{Name: "fifo.png", Typeflag: tar.TypeFifo}, {Name: "null.png", Typeflag: tar.TypeChar}, {Name: "dir.png/", Typeflag: tar.TypeDir},
		{Name: "ok.png", Typeflag: tar.TypeReg, Size: int64(len(good))}, {Name: "cut.png", Typeflag: tar.TypeReg, Size: int64(len(good))},
	} {
		h.Mode = 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write(good)
		}
	}
	w.Flush()
	padded := (len(good) + 511) / 512 * 512
	s := mustLoad(t, file(t, "a", b.Bytes()[:b.Len()-padded+len(good)/2]), Options{})
	if s.N != 1 || s.File(0) != "ok.png" {
		t.Errorf("%v", fileNames(s))
	}
	for _, want := range []string{"link.png: a link", "hard.png: a link", "fifo.png: a device or pipe", "null.png: a device", "cut.png: cut short", "the archive is damaged"} {
		if !strings.Contains(skipped(s), want) {
			t.Errorf("no %q in\n%s", want, skipped(s))
		}
	}
}

func TestZipEntriesThatAreNotRead(t *testing.T) {
	good := pngOf(t, pattern(16, 16))
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	add := func(h *zip.FileHeader, p []byte) {
		h.CRC32, h.CompressedSize64, h.UncompressedSize64 = crc32.ChecksumIEEE(p), uint64(len(p)), uint64(len(p))
		f, err := w.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(p)
	}
	link := &zip.FileHeader{Name: "link.png"}
	link.SetMode(os.ModeSymlink | 0o777)
	add(link, []byte("/etc/passwd"))
	add(&zip.FileHeader{Name: "lzma.png", Method: 14}, good)
	add(&zip.FileHeader{Name: "secret.png", Flags: 1}, good)
	add(&zip.FileHeader{Name: `win\dows.png`}, good)
	bad := &zip.FileHeader{Name: "crc.png"}
	add(bad, good)
	bad.CRC32++
	w.Close()
	p := append([]byte("something in front, as a self-extracting archive has"), b.Bytes()...)
	src := &zipSource{f: archive{bytes.NewReader(p)}, size: int64(len(p)), name: "a", lim: standardLimits()}
	opt, _ := Options{}.normal()
	s, err := (&loader{src: src, opt: opt, lim: src.lim}).load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if s.N != 1 || s.File(0) != "win/dows.png" {
		t.Errorf("%v", fileNames(s))
	}
	for _, want := range []string{"link.png: a link", "lzma.png: packed by method 14", "secret.png: encrypted", "crc.png: corrupt: its checksum"} {
		if !strings.Contains(skipped(s), want) {
			t.Errorf("no %q in\n%s", want, skipped(s))
		}
	}
}

// archive lets bytes be an archiveFile.
type archive struct{ *bytes.Reader }

func (archive) Close() error { return nil }

// overlapping is a zip of n entries that all share one file, as a bomb has.
func overlapping(t testing.TB, n int, p []byte) []byte {
	one := zipOf(t, map[string][]byte{"a": p})
	dir := bytes.Index(one, []byte("PK\x01\x02"))
	end := bytes.Index(one, []byte("PK\x05\x06"))
	entry := one[dir:end]
	out := append([]byte{}, one[:dir]...)
	for range n {
		out = append(out, entry...)
	}
	tail := bytes.Clone(one[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(n))
	binary.LittleEndian.PutUint16(tail[10:], uint16(n))
	binary.LittleEndian.PutUint32(tail[12:], uint32(n*len(entry)))
	return append(out, tail...)
}

func TestOverlappingZip(t *testing.T) {
	s := mustLoad(t, file(t, "a", overlapping(t, 5000, pngOf(t, pattern(16, 16)))), Options{})
	if s.N != 1 || s.SkippedTotal != 4999 || !strings.Contains(s.Skipped[0].Reason, "overlap") {
		t.Errorf("%d pictures, %d skipped", s.N, s.SkippedTotal)
	}
}

func TestDecompressionBombs(t *testing.T) {
	lim := standardLimits()
	lim.bombBytes, lim.bombRatio = 1<<18, 20
	zeros := append(pngOf(t, pattern(16, 16)), make([]byte, 1<<20)...)
	content := make(map[string][]byte)
	for i := range 4 {
		content[fmt.Sprint(i)] = zeros
	}
	_, err := loadWith(context.Background(), file(t, "a", gz(t, tarOf(t, content))), Options{}, lim)
	if err == nil || !strings.Contains(err.Error(), "looks like a bomb") {
		t.Errorf("tar.gz: %v", err)
	}
	small := pngOf(t, pattern(16, 16)) // zipOf packs every other file
	for _, workers := range []int{1, 4} {
		_, err = loadWith(context.Background(), file(t, "a", zipOf(t, map[string][]byte{"5": zeros, "4": small, "3": zeros, "2": small, "1": zeros})), Options{Workers: workers, Size: 16}, lim)
		if err == nil || !strings.Contains(err.Error(), "a unpacks to more than 20 times its size: it looks like a bomb") {
			t.Errorf("zip: %v", err)
		}
	}
	// Entries that claim and hold far more than any picture: skipped by their claim, and never held.
	lim = standardLimits()
	lim.fileBytes = 2 << 20
	content = map[string][]byte{"a.png": pngOf(t, pattern(16, 16)), "b.png": append(pngOf(t, pattern(16, 16)), make([]byte, 8<<20)...)}
	for _, p := range []string{file(t, "a", zipOf(t, content)), file(t, "a", gz(t, tarOf(t, content)))} {
		n := allocated(func() {
			s, err := loadWith(context.Background(), p, Options{}, lim)
			if err != nil || s.N != 1 || !strings.Contains(s.Skipped[0].Reason, "8 MiB long") {
				t.Errorf("%v", err)
			}
		})
		if n > 6<<20 {
			t.Errorf("%d MiB allocated", n>>20)
		}
	}
}

// TestManyEntries: archives of many entries that are no pictures.
func TestManyEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	const n = 20_000
	var z, tb bytes.Buffer
	zw, tw := zip.NewWriter(&z), tar.NewWriter(&tb)
	for i := range n {
		name := fmt.Sprintf("folder/%07d.png", i)
		if _, err := zw.CreateHeader(&zip.FileHeader{Name: name}); err != nil {
			t.Fatal(err)
		}
		if i < n/2 {
			tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644})
		}
	}
	zw.Close()
	tw.Close()
	for _, p := range [][]byte{z.Bytes(), gz(t, tb.Bytes())} {
		start := time.Now()
		_, err := Load(context.Background(), file(t, "a", p), Options{})
		if err == nil || !strings.Contains(err.Error(), "the first is folder/0000000.png: the file is empty") {
			t.Errorf("%v", err)
		}
		t.Logf("%v", time.Since(start))
	}
	lim := standardLimits()
	lim.entries = 1000
	if _, err := loadWith(context.Background(), file(t, "a", z.Bytes()), Options{}, lim); err == nil || !strings.Contains(err.Error(), "more than 1000 files") {
		t.Errorf("%v", err)
	}
}
