package data

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
)

func TestEmbedded(t *testing.T) {
	s := mustLoad(t, "", Options{})
	if s.N != 2048 || s.Size != 64 || s.Channels != 3 || s.SkippedTotal != 0 {
		t.Fatalf("%d pictures of %dx%dx%d, %d skipped", s.N, s.Size, s.Size, s.Channels, s.SkippedTotal)
	}
	const sum = "f5c32b8f0eef279f1534236d5fa981509e38d2ca10ac88d139a881695d609e3a"
	if got := fmt.Sprintf("%x", sha256.Sum256(s.Pixels)); got != sum {
		t.Errorf("the avatars have changed: %s", got)
	}
	if s.File(0) != "embed/lorelei64-0.png" || s.File(2047) != "embed/lorelei64-7.png" || s.File(256) != "embed/lorelei64-1.png" {
		t.Errorf("files: %s, %s, %s", s.File(0), s.File(256), s.File(2047))
	}
	if !strings.Contains(License(), "CC0 1.0") {
		t.Error("the licence is not embedded")
	}
	small := mustLoad(t, "", Options{Size: 32, MaxImages: 300})
	if small.N != 300 || small.Size != 32 {
		t.Fatalf("%d pictures of %d", small.N, small.Size)
	}
	if !bytes.Equal(small.Bytes(299), resize(s.Bytes(299), 64, 32)) {
		t.Error("picture 299 is not picture 299 made smaller")
	}
}

// tree is a set of pictures of many sizes, in folders, with things that are not pictures between them.
func tree(t testing.TB) map[string][]byte {
	content := map[string][]byte{
		"set/readme.txt": []byte("hello"), "set/.hidden.png": []byte("x"), "set/Thumbs.db": []byte("x"),
		"__MACOSX/set/a.png": []byte("x"), "set/broken.png": []byte("\x89PNG\r\n\x1a\n"),
	}
	for i := range 40 {
		m := flat(8+i, 8+i, color.RGBA{byte(i * 6), byte(255 - i), 7, 255})
		content[fmt.Sprintf("set/%c/%02d.png", 'a'+i%3, i)] = pngOf(t, m)
	}
	return content
}

// TestSourcesAgree: the same files as a folder, a zip, a tar and a tar.gz, with any number of workers, are the same set.
func TestSourcesAgree(t *testing.T) {
	content := tree(t)
	paths := []string{
		files(t, content), file(t, "a", zipOf(t, content)), file(t, "a", tarOf(t, content)), file(t, "a", gz(t, tarOf(t, content))),
	}
	for _, max := range []int{0, 1, 17, 39, 100} {
		var ref *Set
		for _, p := range paths {
			for _, workers := range []int{1, 2, 7} {
				s := mustLoad(t, p, Options{Size: 16, Workers: workers, MaxImages: max})
				s.Name = ""
				if ref == nil {
					ref = s
				}
				if !reflect.DeepEqual(s, ref) {
					t.Fatalf("%s with %d workers and at most %d differs: %d pictures, %d skipped, hash %s; want %d, %d, %s",
						filepath.Base(p), workers, max, s.N, s.SkippedTotal, s.Hash, ref.N, ref.SkippedTotal, ref.Hash)
				}
			}
		}
		exp := 40
		if max > 0 {
			exp = min(max, 40)
		}
		if ref.N != exp || !sort.StringsAreSorted(fileNames(ref)) {
			t.Fatalf("%d pictures, want %d; files %v", ref.N, exp, fileNames(ref))
		}
		if exp == 40 {
			if got := skipped(ref); !strings.Contains(got, "set/broken.png: cut short") || !strings.Contains(got, "set/readme.txt: not a picture: text") || ref.SkippedTotal != 2 {
				t.Errorf("skipped: %s", got)
			}
			if !reflect.DeepEqual(ref.Classes, []string{"a", "b", "c"}) || ref.Labels[0] != 0 || ref.Labels[39] != 2 {
				t.Errorf("classes %v, labels %v", ref.Classes, ref.Labels)
			}
			for i := range ref.N { // each picture is flat, in the colour of its name
				var k int
				fmt.Sscanf(filepath.Base(ref.File(i)), "%02d", &k)
				if c := ref.Image(i).RGBAAt(3, 3); c != (color.RGBA{byte(k * 6), byte(255 - k), 7, 255}) {
					t.Fatalf("%s is %v", ref.File(i), c)
				}
			}
		}
	}
}

func TestNaturalSize(t *testing.T) {
	for _, c := range []struct {
		w, h, want int
	}{{32, 32, 32}, {64, 64, 64}, {16, 16, 16}, {15, 15, 64}, {65, 65, 64}, {32, 48, 64}, {1, 1, 64}} {
		content := map[string][]byte{"a.txt": []byte("text"), "b.png": pngOf(t, pattern(c.w, c.h)), "c.png": pngOf(t, pattern(20, 20))}
		for _, p := range []string{files(t, content), file(t, "a", gz(t, tarOf(t, content)))} {
			if s := mustLoad(t, p, Options{}); s.Size != c.want || s.N != 2 {
				t.Errorf("%dx%d: side %d, want %d", c.w, c.h, s.Size, c.want)
			}
		}
	}
}

func TestHashNamesTheList(t *testing.T) {
	content := map[string][]byte{"b.png": pngOf(t, pattern(16, 16)), "a.txt": []byte("text")}
	dir := files(t, content)
	s := mustLoad(t, dir, Options{})
	exp := fmt.Sprintf("%x", sha256.Sum256([]byte(fmt.Sprintf("ddpm-tui image set 1\nsize 16 channels 3 max 0\n\"a.txt\" 4\n\"b.png\" %d\n", len(content["b.png"])))))
	if s.Hash != exp {
		t.Error("the hash is not what its comment says")
	}
	for i, o := range []Options{{}, {Size: 32}, {Channels: 1}, {MaxImages: 5}, {Workers: 3}} {
		h, err := Fingerprint(context.Background(), dir, o)
		if err != nil || h != mustLoad(t, dir, o).Hash {
			t.Errorf("%+v: fingerprint and hash differ (%v)", o, err)
		}
		if same := i == 0 || o.Workers == 3; same != (h == s.Hash) {
			t.Errorf("%+v: hash equal to the default's: %v", o, !same)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "c.png"), content["b.png"], 0o644); err != nil {
		t.Fatal(err)
	}
	if h, _ := Fingerprint(context.Background(), dir, Options{}); h == s.Hash {
		t.Error("a new file does not change the hash")
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	hidden := files(t, map[string][]byte{".a.png": []byte("x")})
	for _, c := range []struct{ source, want string }{
		{filepath.Join(dir, "no\x1b[31m"), `no\x1b[31m: it does not exist; name a folder`},
		{dir, "is empty: it holds no files"},
		{hidden, "is empty: it holds no files"},
		{file(t, "a.png", []byte("hello")), "holds no picture that can be read: a.png: not a picture: text"},
		{files(t, map[string][]byte{"a": nil, "b": nil}), "2 files were skipped, the first is a: the file is empty"},
		{file(t, "a.zip", []byte("PK\x03\x04 and no more")), "a damaged zip, or a part of one: copy it again"},
		{file(t, "a.tgz", gz(t, []byte("no tar"))), "not a picture: text"},
		{file(t, "a.zip", zipOf(t, nil)), "is empty"},
	} {
		_, err := Load(context.Background(), c.source, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v\nwant %q", c.source, err, c.want)
		}
		if err != nil && strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("a raw escape in %q", err)
		}
	}
}

func TestTooBigIsRefusedBeforeDecoding(t *testing.T) {
	content := make(map[string][]byte)
	for i := range 100 {
		content[fmt.Sprint(i)] = pngOf(t, pattern(16, 16))
	}
	dir := files(t, content)
	decoded := 0
	opt := Options{Size: 16, MaxBytes: 99 * 16 * 16 * 3, Progress: func(int, int, int) { decoded++ }}
	_, err := Load(context.Background(), dir, opt)
	if err == nil || !strings.Contains(err.Error(), "holds 100 pictures or more: at 16x16x3 they do not fit in the limit of 0.07251 MiB") || decoded != 0 {
		t.Errorf("%v, after %d", err, decoded)
	}
	opt.MaxImages = 99
	if s := mustLoad(t, dir, opt); s.N != 99 {
		t.Errorf("%d pictures", s.N)
	}
	batch := cifarBatch(2000, 0)
	_, err = Load(context.Background(), file(t, "a.bin", batch), Options{MaxBytes: 1000 * 3072})
	if err == nil || !strings.Contains(err.Error(), "they do not fit in the limit") {
		t.Errorf("a batch over the limit: %v", err)
	}
}

func TestProgressAndCancel(t *testing.T) {
	content := tree(t)
	for _, p := range []string{files(t, content), file(t, "a", zipOf(t, content)), file(t, "a", tarOf(t, content))} {
		last, calls := 0, 0
		s := mustLoad(t, p, Options{Size: 8, Progress: func(done, total, skipped int) {
			if done != last+1 || total != 42 {
				t.Errorf("%d of %d after %d", done, total, last)
			}
			last, calls = done, skipped
		}})
		if last != 42 || calls != s.SkippedTotal {
			t.Errorf("ended at %d with %d skipped", last, calls)
		}
		ctx, cancel := context.WithCancel(context.Background())
		_, err := Load(ctx, p, Options{Size: 8, Progress: func(int, int, int) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		_, err = Load(ctx, p, Options{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: %v", err)
		}
	}
}

func TestAvatarZip(t *testing.T) {
	p := shared(t, "avatars64-4000.zip")
	s := mustLoad(t, p, Options{})
	if s.N != 4000 || s.Size != 64 || s.SkippedTotal != 1 {
		t.Fatalf("%d pictures of %d, skipped: %s", s.N, s.Size, skipped(s))
	}
	if s.File(17) != "lorelei_00017.png" {
		t.Errorf("picture 17 is %s", s.File(17))
	}
}

func TestPictures(t *testing.T) {
	content := map[string][]byte{
		"a.png": pngOf(t, flat(16, 16, color.RGBA{10, 20, 30, 255})),
		"b.png": pngOf(t, flat(16, 16, color.RGBA{20, 40, 60, 255})),
		"c.png": pngOf(t, flat(16, 16, color.RGBA{31, 61, 91, 255})),
	}
	s := mustLoad(t, files(t, content), Options{})
	mean := s.Mean()
	if len(mean) != 16*16*3 || mean[0] != 61.0/3 || mean[1] != 121.0/3 || mean[767] != 181.0/3 {
		t.Errorf("mean: %v", mean[:3])
	}
	if c := s.MeanImage().RGBAAt(4, 4); c != (color.RGBA{20, 40, 60, 255}) {
		t.Errorf("mean picture: %v", c)
	}
	sheet := ContactSheet(s, 2, 2, 7)
	if sheet.Rect != image.Rect(0, 0, 32, 32) {
		t.Fatalf("sheet: %v", sheet.Rect)
	}
	seen := make(map[color.RGBA]int)
	for _, p := range []image.Point{{0, 0}, {16, 0}, {0, 16}, {16, 16}} {
		seen[sheet.RGBAAt(p.X, p.Y)]++
	}
	if len(seen) != 4 || seen[color.RGBA{255, 255, 255, 255}] != 1 {
		t.Errorf("each picture once and one white place: %v", seen)
	}
	if !bytes.Equal(ContactSheet(s, 2, 2, 7).Pix, sheet.Pix) {
		t.Error("the same seed draws another sheet")
	}
	facts := Summary(s).String()
	for _, want := range []string{"3 pictures of 16x16 RGB", "formats: PNG (3)", "sizes: 16x16 (3)", "skipped: 0 files"} {
		if !strings.Contains(facts, want) {
			t.Errorf("no %q in\n%s", want, facts)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain.png": "plain.png", "猫耳 ねこ.png": "猫耳 ねこ.png", "🙂": "🙂", "e\u0301": "e\u0301", "é": "é",
		"a\x1b[31mred\x07": `a\x1b[31mred\x07`, "a\nb\tc\r": `a\nb\tc\r`, "\u202egnp": `\u202egnp`,
		"\xff\xfe\xe9": `\xff\xfe\xe9`, "\u0085\x7f": `\u0085\x7f`, "\U000e0001": `\U000e0001`, "": "", "\ufffd": "\ufffd",
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
