//go:build window && cgo

package window

import (
	"context"
	"fmt"
	"image"
	"image/draw"
	_ "image/png" // previews
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-gl/glfw/v3.3/glfw"
)

// Built says whether this build has a window.
const Built = true

// look is how often the folder is looked at for a newer preview.
const look = 500 * time.Millisecond

// Show opens a window with the newest preview in a folder, and follows it, until the person closes the window or ctx ends. The arrow keys
// go back and forth, End to the newest, q or Escape closes. It must be called on the main goroutine, which macOS wants.
func Show(ctx context.Context, title, dir string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := glfw.Init(); err != nil {
		return fmt.Errorf("no window: %w: is this a local desktop?", err)
	}
	defer glfw.Terminate()
	if !glfw.VulkanSupported() {
		return fmt.Errorf("no window: there is no Vulkan here to draw with: ddpm-tui devices says why")
	}
	glfw.WindowHint(glfw.ClientAPI, glfw.NoAPI)
	win, err := glfw.CreateWindow(768, 768, title, nil, nil)
	if err != nil {
		return fmt.Errorf("no window: %w", err)
	}
	defer win.Destroy()
	s, err := newSurface(win)
	if err != nil {
		return err
	}
	defer s.close()

	var list []string
	at, follow, redraw := -1, true, true
	win.SetKeyCallback(func(_ *glfw.Window, key glfw.Key, _ int, action glfw.Action, _ glfw.ModifierKey) {
		if action == glfw.Release {
			return
		}
		switch key {
		case glfw.KeyQ, glfw.KeyEscape:
			win.SetShouldClose(true)
		case glfw.KeyLeft, glfw.KeyUp:
			at, follow = max(at-1, 0), false
		case glfw.KeyRight, glfw.KeyDown:
			at = min(at+1, len(list)-1)
			follow = at == len(list)-1
		case glfw.KeyEnd:
			follow = true
		}
		redraw = true
	})
	win.SetFramebufferSizeCallback(func(*glfw.Window, int, int) { redraw = true })
	win.SetRefreshCallback(func(*glfw.Window) { redraw = true })
	shown := ""
	var picture *image.RGBA
	var looked time.Time
	for !win.ShouldClose() && ctx.Err() == nil {
		if time.Since(looked) >= look {
			looked, list = time.Now(), previews(dir)
		}
		if follow || at >= len(list) {
			at = len(list) - 1
		}
		if at >= 0 && list[at] != shown {
			if m, err := load(list[at]); err == nil { // one that is just being written is there at the next look
				picture, shown, redraw = m, list[at], true
				win.SetTitle(title + ", " + strings.TrimSuffix(filepath.Base(shown), ".png"))
			}
		}
		if redraw {
			redraw = false
			if err := s.draw(picture); err != nil {
				return err
			}
		}
		glfw.WaitEventsTimeout(0.1)
	}
	return nil
}

// The main goroutine stays on the process's first thread, where macOS wants its windows.
func init() { runtime.LockOSThread() }

// load reads a picture.
func load(path string) (*image.RGBA, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	if err != nil {
		return nil, err
	}
	out := image.NewRGBA(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), m, m.Bounds().Min, draw.Src)
	return out, nil
}
