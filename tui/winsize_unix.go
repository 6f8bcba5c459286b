//go:build unix

package tui

import "golang.org/x/sys/unix"

// windowSize is the window in cells and in pixels, zeros where the kernel does not know it.
func windowSize(fd uintptr) (cols, rows, w, h int) {
	ws, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, 0, 0
	}
	return int(ws.Col), int(ws.Row), int(ws.Xpixel), int(ws.Ypixel)
}
