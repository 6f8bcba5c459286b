//go:build linux

package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
)

// An xterm is the program in a real terminal with sixel, on a display of its own.
type xterm struct {
	t       *testing.T
	display string
}

// newXterm opens the terminal, if all that it takes is here.
func newXterm(t *testing.T, cols, rows int, args ...string) *xterm {
	t.Helper()
	for _, tool := range []string{"Xvfb", "xterm", "import", "xdotool"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here: apt-get install xterm xvfb imagemagick xdotool fonts-dejavu-core", tool)
		}
	}
	x := &xterm{t: t}
	said, say, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1400x900x24", "-nolisten", "tcp")
	server.ExtraFiles = []*os.File{say}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	say.Close()
	number := make([]byte, 16)
	n, err := said.Read(number)
	if err != nil {
		t.Fatalf("no display: %v", err)
	}
	x.display = ":" + strings.TrimSpace(string(number[:n]))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := x.command("xterm", append([]string{"-ti", "vt340", "-tn", "xterm-256color", "-fa", "DejaVu Sans Mono", "-fs", "9", "-bw", "0", "-b", "0", "-bg", "black", "-fg", "white",
		"-xrm", "XTerm*numColorRegisters: 256", "-xrm", "XTerm*maxGraphicSize: 2000x2000", "-xrm", "XTerm*scrollBar: false", "-xrm", "XTerm*allowWindowOps: true", "-xrm", "XTerm*allowSendEvents: true",
		"-geometry", fmt.Sprintf("%dx%d+0+0", cols, rows), "-e", self}, args...)...)
	c.Env = append(c.Env, asProgram+"=1", "COLORTERM=truecolor", "NO_COLOR=", "TMUX=")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return x
}

func (x *xterm) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "DISPLAY="+x.display)
	return c
}

// do runs xdotool on the terminal's window.
func (x *xterm) do(verb string, args ...string) {
	x.t.Helper()
	script := append([]string{"search", "--sync", "--onlyvisible", "--class", "XTerm", verb}, args...)
	if out, err := x.command("xdotool", script...).CombinedOutput(); err != nil {
		x.t.Fatalf("xdotool %s %v: %v: %s", verb, args, err, out)
	}
}

// marked is where on the display the mark's colour is, and how many pixels.
func (x *xterm) marked() (r image.Rectangle, n int) {
	x.t.Helper()
	var shot bytes.Buffer
	c := x.command("import", "-silent", "-window", "root", "png:-")
	c.Stdout = &shot
	if err := c.Run(); err != nil {
		x.t.Fatal("import: ", err)
	}
	m, err := png.Decode(&shot)
	if err != nil {
		x.t.Fatal(err)
	}
	for p := range pixelsOf(m) {
		if c := color.RGBAModel.Convert(m.At(p.X, p.Y)).(color.RGBA); c.R > 240 && c.G < 15 && c.B > 240 {
			r = r.Union(image.Rectangle{p, p.Add(image.Pt(1, 1))})
			n++
		}
	}
	return r, n
}

func pixelsOf(m image.Image) func(yield func(image.Point) bool) {
	return func(yield func(image.Point) bool) {
		b := m.Bounds()
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				if !yield(image.Pt(x, y)) {
					return
				}
			}
		}
	}
}

// A picture in a real xterm: it is there without a hole after whatever happens around it, and nothing of it is left where it is not.
// DDPM_XTERM_FRAMES is how many frames are looked at; 60 are for docs/terminal.md.
func TestXterm(t *testing.T) {
	long(t)
	p := newPlayer(t, false)
	magenta := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for q := range pixelsOf(magenta) {
		magenta.SetRGBA(q.X, q.Y, color.RGBA{255, 0, 255, 255})
	}
	p.server.Show(socket.Frame{Name: "samples", Step: 1, Image: magenta, Rows: 1, Cols: 1, Caption: "a mark"})
	x := newXterm(t, 100, 30, "attach", p.folder.Dir(), "--watch")
	look := func(what string, whole bool) {
		t.Helper()
		var r image.Rectangle
		n := 0
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			r, n = x.marked()
			if whole && n > 4000 && n == r.Dx()*r.Dy() || !whole && n == 0 {
				return
			}
		}
		shot := x.command("import", "-silent", "-window", "root", "png:-")
		if out, err := shot.Output(); err == nil && os.Getenv("DDPM_XTERM_SHOT") != "" {
			os.WriteFile(os.Getenv("DDPM_XTERM_SHOT"), out, 0o644)
		}
		t.Fatalf("after %s: %d pixels of the picture in %v, %d of them missing", what, n, r, r.Dx()*r.Dy()-n)
	}
	look("the start", true)
	frames, err := strconv.Atoi(os.Getenv("DDPM_XTERM_FRAMES"))
	if err != nil {
		frames = 8
	}
	for i := 1; i < frames; i++ {
		switch i % 8 {
		case 1:
			x.do("key", "question")
			look("help", false)
		case 2:
			x.do("key", "question")
			look("the end of help", true)
		case 3:
			x.do("key", "2")
			look("the pictures' tab", true)
		case 4:
			x.do("windowsize", "1000", "700")
			look("a larger window", true)
		case 5:
			x.do("key", "1")
			look("the first tab", true)
		case 6:
			x.do("windowsize", "620", "420")
			look("a smaller window", true)
		case 7:
			x.do("windowsize", "900", "600")
			look("a window between", true)
		default:
			p.server.Show(socket.Frame{Name: "samples", Step: int64(i), Image: magenta, Rows: 1, Cols: 1, Caption: fmt.Sprint("mark ", i)})
			look("a new picture", true)
		}
	}
}
