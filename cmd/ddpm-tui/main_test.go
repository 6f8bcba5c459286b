package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// The tests of this package run the program as a person does: as a process, with files, signals and a terminal. The process is the
// test's own binary, which becomes the program where this variable is set; so nothing is built twice, and the race detector, where
// it is on, watches the program too.
const asProgram = "DDPM_TUI_AS_PROGRAM"

// shared is a folder for what several tests read and none changes.
var shared string

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main() // does not return
	}
	// A shell that ignores hang-ups (nohup) hands that down, and a run is right to ignore them then. A signal that is caught here is
	// at its default in the programs that the tests start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	var err error
	if shared, err = os.MkdirTemp("", "ddpm-tui-test"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(shared)
	os.Exit(code)
}

// patience is how long a test waits for anything before it gives up.
const patience = 2 * time.Minute

// long skips a test in short mode, which is what the race detector runs.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short mode")
	}
	t.Parallel()
}

// program is the program with arguments, to be run in dir.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...) // ends with the test, whatever happens
	c.Dir = dir
	c.WaitDelay = time.Second
	for _, v := range os.Environ() { // what the person at the keyboard has set is not the test's
		name, _, _ := strings.Cut(v, "=")
		if !slices.Contains([]string{"NO_COLOR", "TERM", "COLORTERM", "TMUX", "STY", "LINES", "COLUMNS", "CLICOLOR", "CLICOLOR_FORCE"}, name) {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, asProgram+"=1", "TERM=xterm-256color")
	return c
}

// A result is what a process left behind.
type result struct {
	stdout, stderr string
	code           int
}

// crash is what no person should ever see.
var crash = regexp.MustCompile(`panic:|goroutine \d+|runtime error|DATA RACE|%!\w\(`)

// invoke runs the program to its end.
func invoke(t *testing.T, dir string, args ...string) result {
	t.Helper()
	c := program(t, dir, args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", args, err)
	}
	r := result{stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
	if crash.MatchString(r.stdout + r.stderr) {
		t.Fatalf("%v crashed:\n%s%s", args, r.stdout, r.stderr)
	}
	return r
}

// must runs the program, which must succeed without a word on its standard error.
func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	r := invoke(t, dir, args...)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// decode decodes every line of text as a T. A field that T lacks is an error.
func decode[T any](t *testing.T, text string) []T {
	t.Helper()
	var list []T
	for line := range strings.Lines(text) {
		var v T
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("line %d, %q: %v", len(list)+1, line, err)
		}
		list = append(list, v)
	}
	return list
}

// keys are the fields of a line of JSON, sorted.
func keys(t *testing.T, line string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// absent says that nothing exists at path.
func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s exists", filepath.Base(path))
	}
}

func decodePNG(t *testing.T, path string) image.Image {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return m
}

// events are the lines of a run's log.
func events(t *testing.T, dir string) []run.Event {
	t.Helper()
	return decode[run.Event](t, string(read(t, dir, "events.jsonl")))
}

// pictures is a folder of 24 small pictures: less to read than the avatars, and not a multiple of the batch.
var pictures = sync.OnceValue(func() string {
	dir := filepath.Join(shared, "pictures")
	for i := range 24 {
		m := image.NewNRGBA(image.Rect(0, 0, 20, 20))
		for y := range 20 {
			for x := range 20 {
				m.SetNRGBA(x, y, color.NRGBA{uint8(x * 12), uint8(y * 12), uint8(i * 10), 255})
			}
		}
		var b bytes.Buffer
		if err := errors.Join(png.Encode(&b, m), os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".png"), b.Bytes(), 0o644)); err != nil {
			panic(err)
		}
	}
	return dir
})

// quick is a file with the configuration tiny, made cheaper: small batches, so that the 24 pictures last for six steps, and previews
// of next to nothing.
var quick = sync.OnceValue(func() string {
	c, err := train.PresetConfig("tiny")
	c.Batch, c.Preview.Images, c.Preview.Steps = 4, 2, 2
	data, err2 := json.Marshal(c)
	path := filepath.Join(shared, "quick.json")
	if err := errors.Join(err, err2, os.WriteFile(path, data, 0o644)); err != nil {
		panic(err)
	}
	return path
})
