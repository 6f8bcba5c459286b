//go:build window && cgo && linux

package window

import (
	"bufio"
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The test runs on the first thread, as the window does.
func TestMain(m *testing.M) {
	codes := make(chan int)
	go func() { codes <- m.Run() }()
	for {
		select {
		case f := <-onMain:
			f()
		case code := <-codes:
			os.Exit(code)
		}
	}
}

var onMain = make(chan func())

// display starts an X server that nobody sees.
func display(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"Xvfb", "import"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v (Debian: apt install xvfb imagemagick)", err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "900x800x24", "-nolisten", "tcp")
	c.ExtraFiles = []*os.File{w}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	w.Close()
	number, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal("Xvfb does not start: ", err)
	}
	t.Setenv("DISPLAY", ":"+strings.TrimSpace(number))
}

// picture writes a preview of one colour, by another name first, as the trainer does.
func picture(t *testing.T, dir, name string, c color.RGBA) {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 16, 16))
	for i := range 256 {
		m.Set(i%16, i/16, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestShow sees a preview on the screen, and the next one when it comes.
func TestShow(t *testing.T) {
	display(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	first, second := color.RGBA{200, 40, 90, 255}, color.RGBA{10, 160, 220, 255}
	picture(t, dir, "step-00000001.png", first)
	go func() { onMain <- func() { ended <- Show(ctx, "test", dir) } }()
	see := func(want color.RGBA) {
		t.Helper()
		const patience = 2 * time.Minute
		for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			out, err := exec.Command("import", "-window", "root", "png:-").Output()
			if err != nil {
				t.Fatal(err)
			}
			m, err := png.Decode(bytes.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			// Of the window's 768 x 768 pixels the picture takes all: the colour is found far and wide.
			n := 0
			for y := range 800 {
				for x := range 900 {
					r, g, b, _ := m.At(x, y).RGBA()
					if uint8(r>>8) == want.R && uint8(g>>8) == want.G && uint8(b>>8) == want.B {
						n++
					}
				}
			}
			if n == 768*768 {
				if file := os.Getenv("DDPM_SHOT"); file != "" {
					_ = os.WriteFile(file, out, 0o644)
				}
				return
			}
			select {
			case err := <-ended:
				t.Fatal("the window ended: ", err)
			default:
			}
			if time.Since(start) > patience {
				t.Fatalf("%d pixels have the colour %v", n, want)
			}
		}
	}
	see(first)
	picture(t, dir, "step-00000002.png", second)
	see(second)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
