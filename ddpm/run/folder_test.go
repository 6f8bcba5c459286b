package run

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

type testConfig struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
}

// create makes a run folder for a test.
func create(t testing.TB) *Folder {
	t.Helper()
	f, err := Create(filepath.Join(quickDir(t), "deep", "run"), testConfig{1, "a<b"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// quickDir is a temporary folder, in memory where the system has such: these
// tests force thousands of files to the disk.
func quickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "run-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// wantError fails unless err mentions every part.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error %q lacks %q", err, p)
		}
	}
}

func TestCreateAndOpen(t *testing.T) {
	f := create(t)
	if f.Name() != "run" || f.Path("a", "b") != filepath.Join(f.Dir(), "a", "b") || !IsRun(f.Dir()) {
		t.Errorf("name %q, path %q, IsRun %v", f.Name(), f.Path("a", "b"), IsRun(f.Dir()))
	}
	if _, ok := f.Locked(); ok {
		t.Error("Create leaves the folder locked")
	}
	var c testConfig
	if err := must(Open(f.Dir()))(t).ReadConfig(&c); err != nil || c != (testConfig{1, "a<b"}) {
		t.Errorf("config %+v, %v", c, err)
	}
	_, err := Create(f.Dir(), testConfig{Version: 1})
	wantError(t, err, f.Dir(), "already holds a run", "config.json", "another folder")

	// A folder that is there, with somebody's files or what a died Create left, will do.
	dir := t.TempDir()
	write(t, filepath.Join(dir, "notes.txt"), "mine")
	if err := os.Mkdir(filepath.Join(dir, checkpointsName), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, testConfig{Version: 1}); err != nil {
		t.Error(err)
	}

	// A config.json of something else is not overwritten.
	dir = t.TempDir()
	write(t, filepath.Join(dir, configName), "{}")
	_, err = Create(dir, testConfig{Version: 1})
	wantError(t, err, "config.json")
	_, err = Create(t.TempDir(), struct{}{})
	wantError(t, err, `"version" is missing`)
}

func TestCreateRace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		wg.Go(func() {
			if _, err := Create(dir, testConfig{Version: 1}); err == nil {
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("%d of 8 made the same run", made)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "")
	_, err := Open(filepath.Join(dir, "no"))
	wantError(t, err, "there is no run folder")
	_, err = Open(file)
	wantError(t, err, "is a file")
	_, err = Open(dir)
	wantError(t, err, "not a run folder", "config.json")
	_, err = Create(filepath.Join(file, "x"), testConfig{Version: 1})
	wantError(t, err, "cannot be made")
}

func TestConfigErrors(t *testing.T) {
	f := create(t)
	for text, want := range map[string]string{
		`{"version": 1, "naem": "x"}`: `unknown field "naem"`,
		`{"version": 1} x`:            "invalid character",
		`{"version": 1`:               "unexpected end",
		`{"version": "1"}`:            "version",
		`{"name": "x"}`:               `"version" is missing`,
		`{"version": 0}`:              "makes no sense",
		`[]`:                          "cannot unmarshal",
		`null`:                        `"version" is missing`,
		``:                            "unexpected end",
	} {
		write(t, f.Path(configName), text)
		err := f.ReadConfig(&testConfig{})
		wantError(t, err, want, configName)
	}
	write(t, f.Path(configName), `{"version": 7, "version_notes": {}}`)
	err := f.ReadConfig(&testConfig{})
	var newer *NewerError
	if !errors.As(err, &newer) || newer.Version != 7 {
		t.Errorf("a newer config: %v", err)
	}
	wantError(t, err, "version 7", "newer ddpm-tui", configName)
}

func TestLock(t *testing.T) {
	f := create(t)
	l := must(f.Lock())(t)
	if pid, ok := f.Locked(); !ok || pid != os.Getpid() {
		t.Errorf("Locked says %d, %v", pid, ok)
	}
	_, err := f.Lock()
	var busy *BusyError
	if !errors.As(err, &busy) || busy.PID != os.Getpid() {
		t.Errorf("a second lock: %v", err)
	}
	wantError(t, err, "being trained by process", f.Dir())
	if strings.Contains(err.Error(), " on ") {
		t.Errorf("%q names this very machine", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if pid, ok := f.Locked(); ok {
		t.Errorf("Locked after Unlock, by %d", pid)
	}
	// A file that a dead process left is no obstacle.
	write(t, f.Path(lockName), "999999999 elsewhere\n")
	if _, ok := f.Locked(); ok {
		t.Error("a stale lock counts")
	}
	l = must(f.Lock())(t)
	if l.Stale != 999999999 {
		t.Errorf("the stale holder is %d", l.Stale)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{"", "x", "-5 y", strings.Repeat("9", 400)} {
		write(t, f.Path(lockName), junk)
		l := must(f.Lock())(t)
		if l.Stale != 0 {
			t.Errorf("%q names process %d", junk, l.Stale)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

// A listing looks at the lock by taking it for a moment, which must not keep a
// trainer out.
func TestLockAmongLookers(t *testing.T) {
	f := create(t)
	looker := must(os.Open(f.Path(lockName)))(t)
	if free, err := tryLock(looker, false); err != nil || !free {
		t.Skipf("no locks here: %v", err)
	}
	if _, ok := f.Locked(); ok {
		t.Error("one listing takes another one for a trainer")
	}
	time.AfterFunc(10*time.Millisecond, func() { _ = looker.Close() })
	if err := must(f.Lock())(t).Unlock(); err != nil {
		t.Error(err)
	}
}

// A lock lasts until Unlock, also when nobody remembers it.
func TestLockOutlivesItsVariable(t *testing.T) {
	f := create(t)
	must(f.Lock())(t)
	for range 3 {
		runtime.GC()
		time.Sleep(time.Millisecond) // for cleanups to run
	}
	if _, ok := f.Locked(); !ok {
		t.Error("the garbage collector gave the lock back")
	}
}

func TestAlive(t *testing.T) {
	host, _ := os.Hostname()
	if !alive(os.Getpid(), host) || alive(999999999, host) || !alive(999999999, "elsewhere.example") {
		t.Error("alive is wrong")
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := must(os.ReadFile(path))(t); string(got) != text {
			t.Errorf("%q was written as %q", text, got)
		}
	}
}
