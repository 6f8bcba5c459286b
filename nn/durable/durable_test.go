package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// A process that dies before any operation, or is refused any one of them,
// leaves the old file or the new one.
func TestFileAtEveryOperation(t *testing.T) {
	t.Cleanup(func() { Before = nil })
	died := errors.New("died here")
	for _, forever := range []bool{true, false} {
		for n := 0; ; n++ {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := File(path, 0o644, text("old")); err != nil {
				t.Fatal(err)
			}
			count := 0
			Before = func(op, path string) error {
				count++
				if count-1 == n || forever && count > n {
					return died
				}
				return nil
			}
			err := File(path, 0o644, text("new"))
			done := count <= n
			Before = nil
			if err == nil != done || err != nil && !errors.Is(err, died) {
				t.Fatalf("operation %d: error %v, done %v", n, err, done)
			}
			got, readErr := os.ReadFile(path)
			if readErr != nil || string(got) != "old" && string(got) != "new" || err == nil && string(got) != "new" {
				t.Fatalf("operation %d: the file holds %q, %v", n, got, readErr)
			}
			if err := Sweep(dir); err != nil {
				t.Fatal(err)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Fatalf("operation %d: %v was left", n, left)
			}
			if done {
				break
			}
		}
	}
}

func TestFileFailures(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	stop := errors.New("stop")
	err := File(path, 0o644, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want the writer's", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v was left", left)
	}
	if err := File(filepath.Join(dir, "no", "f"), 0o644, text("x")); err == nil {
		t.Error("a file in a missing folder was written")
	}
	if err := NewFile(path, 0o600, text("x")); err != nil {
		t.Error(err)
	}
	if err := NewFile(path, 0o600, text("y")); !errors.Is(err, os.ErrExist) {
		t.Errorf("NewFile over a file: %v", err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestSymlink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege")
	}
	link := filepath.Join(t.TempDir(), "l")
	for _, target := range []string{"a", "b"} {
		if err := Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(link); err != nil || got != target {
			t.Fatalf("the link names %q, %v", got, err)
		}
	}
}
