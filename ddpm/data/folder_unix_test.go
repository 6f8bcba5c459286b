//go:build unix

package data

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// within fails the test if f hangs, as opening a FIFO does.
func within(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatal("it hangs")
	}
}

// TestFileSystemCases: pipes, devices, links in every bad shape, names that a terminal would obey, files that may not
// be read. The good pictures among them are loaded, the rest is named.
func TestFileSystemCases(t *testing.T) {
	good := pngOf(t, pattern(16, 16))
	dir := files(t, map[string][]byte{
		"ok.png": good, "deep/deeper/deepest/ok.png": good, "-rf.png": good, " lead.png": good, "new\nline.png": good,
		"red\x1b[31m\x07.png": good, "rtl\u202egnp.exe": good, "name;$(touch x)`y`'q\".png": good, "UPPER.PNG": good,
		".hidden.png": good, "._apple.png": good, ".git/a.png": good, "__MACOSX/a.png": good, "thumbs.DB": good, "desktop.ini": good,
		"locked.png": good, "closed/a.png": good,
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(at("dir.png"), 0o755))
	must(syscall.Mkfifo(at("fifo.png"), 0o644))
	must(os.Symlink("ok.png", at("link_ok.png")))
	must(os.Symlink("nothing.png", at("link_dangling.png")))
	must(os.Symlink("loop_b.png", at("loop_a.png")))
	must(os.Symlink("loop_a.png", at("loop_b.png")))
	must(os.Symlink("..", at("deep/up")))
	must(os.Symlink("/dev/zero", at("link_zero.png")))
	must(os.Symlink("fifo.png", at("link_fifo.png")))
	exp, locked := 11, os.Getuid() != 0 // root reads everything
	must(os.Chmod(at("locked.png"), 0))
	must(os.Chmod(at("closed"), 0))
	t.Cleanup(func() { os.Chmod(at("closed"), 0o755) })
	if !locked {
		exp += 2
	}
	latin := os.WriteFile(at("latin\xff\xe9.png"), good, 0o644) == nil // some file systems take only UTF-8
	if latin {
		exp++
	}
	within(t, 10*time.Second, func() {
		s, err := Load(context.Background(), dir, Options{})
		if err != nil {
			t.Error(err)
			return
		}
		if s.N != exp-1 {
			t.Errorf("%d pictures, want %d: %q", s.N, exp-1, fileNames(s))
		}
		out := skipped(s)
		for _, want := range []string{
			"fifo.png: a pipe", "link_dangling.png: a link to nothing", "loop_a.png: a link that leads nowhere", "loop_b.png: a link that leads nowhere",
			"deep/up: a link to a folder", "link_zero.png: a device", "link_fifo.png: a pipe",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if locked && (!strings.Contains(out, "locked.png: no permission") || !strings.Contains(out, "closed: no permission")) {
			t.Errorf("unreadable files are not named in\n%s", out)
		}
		for _, line := range append(fileNames(s), out) {
			if strings.ContainsAny(line, "\x1b\x07\u202e") || strings.Contains(line, ".hidden") || strings.Contains(line, "thumbs") {
				t.Errorf("not safe, or not ignored: %q", line)
			}
		}
		if all := strings.Join(fileNames(s), " "); !strings.Contains(all, `red\x1b[31m\x07.png`) || latin && !strings.Contains(all, `latin\xff\xe9.png`) {
			t.Errorf("names: %s", all)
		}
	})
}

func TestSourceIsAPipeOrADevice(t *testing.T) {
	p := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(p, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{p, "/dev/zero"} {
		within(t, 5*time.Second, func() {
			if _, err := Load(context.Background(), src, Options{}); err == nil || !strings.Contains(err.Error(), "not a file; name a folder") {
				t.Errorf("%s: %v", src, err)
			}
		})
	}
}

func TestRootMayBeALink(t *testing.T) {
	dir := files(t, map[string][]byte{"a.png": pngOf(t, pattern(16, 16))})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if s := mustLoad(t, link, Options{}); s.N != 1 {
		t.Errorf("%d pictures", s.N)
	}
}
