//go:build unix

package socket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// folder is a run at a path of some length.
func folder(t *testing.T, deep string) *run.Folder {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // t.TempDir's paths are long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f, err := run.Create(filepath.Join(dir, deep, "r"), map[string]int{"version": 1})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A crew is a trainer that only takes notes.
type crew struct {
	*Server
	mu   sync.Mutex
	done []run.Command
	err  error
}

func listening(t *testing.T, f *run.Folder) *crew {
	t.Helper()
	c := &crew{}
	var err error
	c.Server, err = Listen(f, func(cmd run.Command) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done = append(c.done, cmd)
		return c.err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func dial(t *testing.T, f *run.Folder, role Role, name string, h Handlers) *Client {
	t.Helper()
	c, err := Dial(t.Context(), f, role, name, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// until waits for something to become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so: ", what)
		}
	}
}

func noise(n int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, n, n))
	for y := range n {
		for x := range n {
			m.SetRGBA(x, y, color.RGBA{uint8(rand.Int()), uint8(rand.Int()), uint8(rand.Int()), 255})
		}
	}
	return m
}

// inbox keeps what handlers are given.
type inbox struct {
	mu      sync.Mutex
	frames  []Frame
	events  []run.Event
	control []string
}

func (b *inbox) handlers() Handlers {
	return Handlers{
		Frame: func(f Frame) { b.mu.Lock(); b.frames = append(b.frames, f); b.mu.Unlock() },
		Event: func(e run.Event) { b.mu.Lock(); b.events = append(b.events, e); b.mu.Unlock() },
		Control: func(has bool, who string) {
			b.mu.Lock()
			b.control = append(b.control, fmt.Sprint(has, " ", who))
			b.mu.Unlock()
		},
	}
}

func (b *inbox) has(f func() bool) func() bool {
	return func() bool { b.mu.Lock(); defer b.mu.Unlock(); return f() }
}

// A picture arrives as it is, small or large, whatever its kind; one that makes no sense is left out, and what follows is read.
func TestPicturesOnTheirWay(t *testing.T) {
	gray := image.NewGray(image.Rect(3, 4, 10, 9))
	for i := range gray.Pix {
		gray.Pix[i] = uint8(7 * i)
	}
	part := noise(20).(*image.RGBA).SubImage(image.Rect(5, 6, 12, 20))
	pictures := []image.Image{gray, part, noise(33), noise(725)} // the last has more than smallPixels
	var stream bytes.Buffer
	for i, m := range pictures {
		f := Frame{Name: "samples", Step: int64(i), Image: m, Rows: 1, Cols: 1}
		p, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		stream.Write(p)
		stream.WriteString(`{"type":"frame","frame":{"name":"broken","width":2,"height":2,"bytes":5}}` + "\n12345")
	}
	r := bufio.NewReader(&stream)
	for i, m := range pictures {
		for broken := range 2 {
			var d down
			if err := next(r, maxDown, &d); err != nil {
				t.Fatal(i, err)
			}
			f, unreadable, err := d.Frame.decode(r)
			if err != nil || (unreadable != nil) != (broken == 1) {
				t.Fatal(i, unreadable, err)
			}
			if broken == 1 {
				continue
			}
			b, at := f.Image.Bounds(), m.Bounds().Min
			if f.Step != int64(i) || b != image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()) {
				t.Fatalf("%d: step %d, %v", i, f.Step, b)
			}
			for y := range b.Dy() {
				for x := range b.Dx() {
					if got, want := color.RGBAModel.Convert(f.Image.At(x, y)), color.RGBAModel.Convert(m.At(at.X+x, at.Y+y)); got != want {
						t.Fatalf("%d: at %d, %d is %v, not %v", i, x, y, got, want)
					}
				}
			}
		}
	}
}

func TestCommandsAndPictures(t *testing.T) {
	f := folder(t, "")
	s := listening(t, f)
	s.Show(Frame{Name: "samples", Step: 3, Image: noise(8), Rows: 2, Cols: 2, Caption: "old"})
	s.Show(Frame{Name: "samples", Step: 4, Image: noise(8), Rows: 2, Cols: 2, Caption: "<new> \x1b"})
	var in inbox
	c := dial(t, f, Control, "one", in.handlers())
	if !c.Control || c.PID != os.Getpid() {
		t.Errorf("%+v", c)
	}
	until(t, "the last picture", in.has(func() bool { return len(in.frames) == 1 }))
	if g := in.frames[0]; g.Step != 4 || g.Caption != "<new> \x1b" || g.Rows != 2 || g.Image.Bounds().Dx() != 8 {
		t.Errorf("%+v", g)
	}
	for _, cmd := range []run.Command{run.Pause, run.SampleNow} {
		if err := c.Send(cmd); err != nil {
			t.Error(err)
		}
	}
	s.mu.Lock()
	if len(s.done) != 2 || s.done[0] != run.Pause || s.done[1] != run.SampleNow {
		t.Errorf("%v", s.done)
	}
	s.mu.Unlock()
	s.crewSays(errors.New("not now"))
	if err := c.Send(run.Stop); err == nil || err.Error() != "not now" {
		t.Error(err)
	}
	s.Tell(run.Event{V: 1, Kind: run.KindLog, Log: &run.Log{Level: "error", Text: "disk full"}})
	until(t, "the event", in.has(func() bool { return len(in.events) == 1 && in.events[0].Log.Text == "disk full" }))

	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-c.Gone()
	if err := c.Send(run.Pause); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), f, Watch, "", Handlers{}); !errors.Is(err, ErrNoTrainer) {
		t.Error(err)
	}
	if _, err := os.Lstat(f.Path(run.SocketName)); err == nil {
		t.Error("the socket's folder is still there")
	}
}

func (c *crew) crewSays(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// One viewer has control. A second one is told who, and has it when the first one goes; taking it works at once.
func TestControl(t *testing.T) {
	f := folder(t, "")
	listening(t, f)
	var in [3]inbox
	a := dial(t, f, Control, "anna", in[0].handlers())
	b := dial(t, f, Control, "bert", in[1].handlers())
	w := dial(t, f, Watch, "wim", in[2].handlers())
	if !a.Control || b.Control || b.Controller != "anna" || w.Control || w.Controller != "anna" {
		t.Errorf("%+v %+v %+v", a, b, w)
	}
	for _, c := range []*Client{b, w} {
		if err := c.Send(run.Pause); err == nil || !strings.Contains(err.Error(), "anna") {
			t.Error(err)
		}
	}
	a.Close()
	until(t, "bert has control", in[1].has(func() bool { return len(in[1].control) == 1 && in[1].control[0] == "true " }))
	if err := b.Send(run.Pause); err != nil {
		t.Error(err)
	}
	d := dial(t, f, Take, "dora", Handlers{})
	until(t, "bert is told", in[1].has(func() bool { return len(in[1].control) == 2 && in[1].control[1] == "false dora" }))
	if err := b.Send(run.Pause); err == nil || !d.Control {
		t.Error(err)
	}
	d.Close()
	until(t, "bert has it back", in[1].has(func() bool { return len(in[1].control) == 3 }))
	b.Close()
	if err := w.Send(run.Stop); err == nil {
		t.Error("a watcher stopped the run")
	}
}

// Only the owner can come to the socket, wherever it is.
func TestPrivate(t *testing.T) {
	runtimeDir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(runtimeDir)
	for name, c := range map[string]struct{ deep, runtime, where string }{
		"in the run":                 {"", "", "r/socket/control"},
		"in XDG_RUNTIME_DIR":         {strings.Repeat("d/", 60), runtimeDir, runtimeDir},
		"in the temporary folder":    {strings.Repeat("d/", 60), "", os.TempDir()},
		"where XDG_RUNTIME_DIR lies": {strings.Repeat("d/", 60), "/nonexistent", os.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", c.runtime)
			f := folder(t, c.deep)
			for range 2 { // the second finds what the first left, as after a kill
				s, err := Listen(f, nil)
				if err != nil {
					t.Fatal(err)
				}
				path := place(f)
				if !strings.Contains(path, c.where) || len(path) > maxPath {
					t.Errorf("it is at %s", path)
				}
				for p, want := range map[string]os.FileMode{path: 0o600 | os.ModeSocket, filepath.Dir(path): 0o700 | os.ModeDir, f.Path(run.SocketName): 0o700 | os.ModeDir} {
					if info, err := os.Lstat(p); err != nil || info.Mode() != want {
						t.Errorf("%s: %v, %v", p, info.Mode(), err)
					}
				}
				dial(t, f, Control, "", Handlers{})
				t.Cleanup(func() {
					s.Close()
					if _, err := os.Lstat(filepath.Dir(path)); err == nil {
						t.Errorf("%s is left", filepath.Dir(path))
					}
				})
			}
		})
	}
}

// A viewer that does not read costs the trainer nothing, loses pictures, and is cut off in the end; it may come back.
func TestSlowViewer(t *testing.T) {
	defer func(d time.Duration) { writePatience = d }(writePatience)
	writePatience = 300 * time.Millisecond
	f := folder(t, "")
	s := listening(t, f)
	conn, err := net.Dial("unix", place(f))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, `{"type":"hello","v":%d,"role":"control","name":"slow"}`+"\n", Version)
	r := bufio.NewReader(conn)
	if l, err := r.ReadString('\n'); err != nil || !strings.Contains(l, `"control":true`) {
		t.Fatal(l, err)
	}
	var in inbox
	quick := dial(t, f, Control, "quick", in.handlers())
	m := noise(256) // 192 KiB
	var took []time.Duration
	for i := range 40 {
		start := time.Now()
		s.Show(Frame{Name: "samples", Step: int64(i), Image: m})
		took = append(took, time.Since(start))
		time.Sleep(25 * time.Millisecond)
	}
	slices.Sort(took) // the worst ones say how busy the machine is
	if median := took[len(took)/2]; median > time.Millisecond {
		t.Errorf("showing a picture took the trainer %v", median)
	}
	until(t, "the quick one has the last picture", in.has(func() bool { return len(in.frames) > 0 && in.frames[len(in.frames)-1].Step == 39 }))
	until(t, "the slow one is cut off and the quick one has control", in.has(func() bool { return len(in.control) == 1 }))
	if err := quick.Send(run.Pause); err != nil {
		t.Error(err)
	}
	dial(t, f, Control, "slow again", Handlers{})

	// One that sends commands and reads no answers is cut off too.
	mute, err := net.Dial("unix", place(f))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	fmt.Fprintf(mute, `{"type":"hello","v":%d,"role":"watch"}`+"\n", Version)
	mute.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for err == nil {
		_, err = fmt.Fprintln(mute, `{"type":"command","id":1,"command":"pause"}`)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it is not cut off")
	}
}

// Whoever does not speak the protocol is told, and sent away.
func TestStrangers(t *testing.T) {
	defer func(d time.Duration) { helloPatience = d }(helloPatience)
	helloPatience = 200 * time.Millisecond
	f := folder(t, "")
	listening(t, f)
	for says, want := range map[string]string{
		"GET / HTTP/1.1\r\n\r\n":                                            "hello",
		`{"type":"hello","v":99}` + "\n":                                    fmt.Sprintf("version %d", Version),
		`{"type":"command","id":1,"command":{"name":"stop"}}` + "\n":        "hello",
		strings.Repeat("x", 100<<10):                                        "",
		fmt.Sprintf(`{"type":"hello","v":%d,"role":"control","na`, Version): "hello",
		"": "hello",
	} {
		conn, err := net.Dial("unix", place(f))
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conn.Write([]byte(says)) // may fail: it is sent away
		got, _ := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(got, want) || want != "" && !strings.Contains(got, "refused") {
			t.Errorf("%.40q is answered with %q", says, got)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%.40q: the connection is still open (%v)", says, err)
		}
		conn.Close()
	}
	c := dial(t, f, Control, strings.Repeat("n", 10000), Handlers{})
	if d := dial(t, f, Control, "", Handlers{}); !c.Control || len(d.Controller) != maxName {
		t.Errorf("%+v", d)
	}
}

// Viewers that come and go while pictures are shown, and an end in the middle of it.
func TestManyViewers(t *testing.T) {
	f := folder(t, "")
	s := listening(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			for ctx.Err() == nil {
				c, err := Dial(ctx, f, []Role{Watch, Control, Take}[i%3], fmt.Sprint(i), Handlers{})
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				c.Send(run.Pause)
				time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
				c.Close()
			}
		})
	}
	for i := range 100 {
		s.Show(Frame{Name: fmt.Sprint(i % 3), Image: noise(16)})
		s.Tell(run.Event{V: 1, Kind: run.KindState, State: &run.State{Name: "x"}})
		time.Sleep(2 * time.Millisecond)
	}
	s.Close()
	cancel()
	wait.Wait()
}
