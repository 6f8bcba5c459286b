//go:build unix

package data

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nastySkips is what must be skipped of the collection of hostile files, by the start of the reason. Everything else in
// it that is not hidden must load.
var nastySkips = map[string]string{
	"avif_valid.avif": "AVIF", "svg_vector.svg": "SVG", "labels.csv": "not a picture: text",
	"bomb_20000x20000_1bit.png": "it claims", "bomb_claims_100000x100000_rgb.png": "it claims", "bomb_claims_maxint.png": "it claims",
	"bomb_claims_65500x65500.jpg": "it claims", "bomb_claims_65535x65535.gif": "it claims",
	"broken_bad_crc.png": "corrupt", "broken_corrupt_idat.png": "corrupt", "broken_header_only.png": "cut short",
	"broken_heic_named_junk.heic": "HEIC", "broken_html_404.jpg": "not a picture: a web page",
	"broken_palette_index_out_of_range.png": "corrupt", "broken_random_bytes.png": "not a picture", "broken_signature_only.png": "cut short",
	"broken_text_named.png": "not a picture: text", "broken_truncated.png": "cut short", "broken_zero_byte.png": "the file is empty",
	"broken_zero_size.png": "corrupt", "jpeg_truncated.jpg": "cut short",
	"fifo.png": "a pipe", "link_dangling.png": "a link to nothing", "link_dev_zero.png": "a device",
	"loop_a.png": "a link that leads nowhere", "loop_b.png": "a link that leads nowhere", "sub/loop_parent": "a link to a folder",
}

// TestNasty unpacks the collection and loads it. The cases that every checkout must hold are in other tests.
func TestNasty(t *testing.T) {
	archive := shared(t, "nasty.tar.gz")
	dir := unpack(t, archive)
	s := mustLoad(t, filepath.Join(dir, "nasty"), Options{})
	got := make(map[string]string)
	for _, k := range s.Skipped {
		got[k.Name] = k.Reason
		t.Log(k)
	}
	root := os.Getuid() == 0
	for name, want := range nastySkips {
		if !strings.HasPrefix(got[name], want) {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	if !root { // root may read them
		for _, name := range []string{"unreadable_mode000.png", "unreadable_dir_mode000"} {
			if got[name] != "no permission to read it" {
				t.Errorf("%s: %q", name, got[name])
			}
			delete(got, name)
		}
	}
	for name, why := range got {
		t.Errorf("%s should load: %s", name, why)
	}
	want := 55
	if !root {
		want--
	}
	if s.N != want {
		t.Errorf("%d pictures, want %d", s.N, want)
	}
	for _, name := range append(fileNames(s), skipped(s)) {
		if strings.ContainsAny(name, "\x1b\x07\u202e") {
			t.Errorf("a raw control character in %q", name)
		}
	}
	// As an archive: the links and pipes in it are named, the pictures are the same.
	tarred := mustLoad(t, archive, Options{})
	if tarred.N != 54 { // all but the good link
		t.Errorf("as a tar.gz: %d pictures; skipped:\n%s", tarred.N, skipped(tarred))
	}
	if root {
		nastyTable(t, filepath.Join(dir, "nasty"), s)
	}

	// Each in a process of its own, as large as it ever was.
	for _, source := range []string{filepath.Join(dir, "nasty"), archive} {
		peak, took := loadElsewhere(t, source)
		t.Logf("%s: at most %d MiB of memory, %v", filepath.Base(source), peak>>20, took.Round(time.Millisecond))
		if peak > 1<<30 {
			t.Errorf("%s: %d MiB of memory, want 1024 at most", filepath.Base(source), peak>>20)
		}
	}
}

// nastyDoc is where the table of what happens to each file is, between two lines that say so.
var nastyDoc = filepath.Join("..", "..", "docs", "hostile-images.md")

// nastyTable holds the table in the documentation to what happened, or with DDPM_UPDATE=1 writes it.
func nastyTable(t *testing.T, dir string, s *Set) {
	t.Helper()
	happened := make(map[string]string)
	for _, name := range fileNames(s) {
		happened[name] = "loaded"
	}
	for _, k := range s.Skipped {
		happened[k.Name] = "skipped: " + k.Reason
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if name = Escape(name); err == nil && !d.IsDir() && happened[name] == "" {
			happened[name] = "left out without a word"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| file | what happened |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(happened)) {
		short := name
		if r := []rune(name); len(r) > 60 {
			short = string(r[:40]) + "..." + string(r[len(r)-8:])
		}
		fmt.Fprintf(&b, "| `` %s `` | %s |\n", strings.ReplaceAll(short, "|", `\|`), happened[name])
	}
	doc, err := os.ReadFile(nastyDoc)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- table -->\n", "<!-- end -->\n"
	head, rest, ok := strings.Cut(string(doc), begin)
	was, tail, ok2 := strings.Cut(rest, end)
	switch {
	case !ok || !ok2:
		t.Errorf("%s has no place for the table", nastyDoc)
	case was == b.String():
	case os.Getenv("DDPM_UPDATE") != "":
		if err := os.WriteFile(nastyDoc, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table in %s is not what happened (make nasty writes it):\n%s", nastyDoc, b.String())
	}
}

// loadElsewhereOf, in the environment, makes TestLoadElsewhere load a source and nothing else.
const loadElsewhereOf = "DDPM_TEST_LOAD"

// loadElsewhere loads a source in a process of its own. It returns the most memory that the process had at a time, in bytes.
func loadElsewhere(t *testing.T, source string) (peak int64, took time.Duration) {
	t.Helper()
	source, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestLoadElsewhere$")
	c.Env = append(os.Environ(), loadElsewhereOf+"="+source)
	start := time.Now()
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	peak = int64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS != "darwin" { // there it is bytes
		peak <<= 10
	}
	return peak, time.Since(start)
}

func TestLoadElsewhere(t *testing.T) {
	source := os.Getenv(loadElsewhereOf)
	if source == "" {
		t.Skip("it is the other half of TestNasty")
	}
	if s := mustLoad(t, source, Options{}); s.N < 50 {
		t.Errorf("%d pictures", s.N)
	}
}

// unpack writes a tar.gz to a folder, with its links, pipes and modes.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	modes := make(map[string]os.FileMode)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(p, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, p)
		case tar.TypeFifo:
			err = syscall.Mkfifo(p, 0o644)
		default:
			var body []byte
			if body, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(p, body, 0o644)
			}
		}
		if err == syscall.EILSEQ {
			t.Skip("skipped: this file system does not take the names in it")
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode&0o777 == 0 && h.Typeflag != tar.TypeFifo {
			modes[p] = 0
		}
	}
	for p, m := range modes {
		if err := os.Chmod(p, m); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // so that the folder can be removed
		for p := range modes {
			os.Chmod(p, 0o755)
		}
	})
	return dir
}

// TestNastyFingerprint: listing hostile files is safe as well.
func TestNastyFingerprint(t *testing.T) {
	p := shared(t, "nasty.tar.gz")
	if h, err := Fingerprint(context.Background(), p, Options{}); err != nil || len(h) != 64 {
		t.Errorf("%q, %v", h, err)
	}
}
