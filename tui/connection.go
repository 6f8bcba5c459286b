package tui

import (
	"context"
	"io"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A Connection is a terminal that is not this process's: the other end of an SSH session.
type Connection struct {
	In      io.Reader
	Out     io.Writer
	Size    Size
	Resized <-chan Size // closed when the terminal is gone; nil: its size stays
}

// A Size is that of a terminal, in cells and, where it is known, in pixels.
type Size struct {
	Cols, Rows    int
	Width, Height int
}

// showConnected is show on a connection.
func showConnected(ctx context.Context, in screen, opt Options) error {
	c := opt.Connection
	out := picture.NewScreen(c.Out)
	defer out.Close()
	profile := colorprofile.Env(opt.env()) // what its TERM says; the terminal may say more when it is asked
	if opt.mono() {
		profile = colorprofile.ASCII
	}
	s, err := newShell(ctx, in, out, opt, colours(profile))
	if err != nil {
		return err
	}
	sizes := make(chan Size, 1) // the last one
	s.pixels = func() (cols, rows, w, h int) {
		now := <-sizes
		sizes <- now
		return now.Cols, now.Rows, now.Width, now.Height
	}
	sizes <- c.Size
	p := newPaced(s, true, opt, tea.WithInput(c.In), tea.WithColorProfile(profile), tea.WithWindowSize(max(1, c.Size.Cols), max(1, c.Size.Rows)))
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case size, ok := <-c.Resized:
				if !ok {
					p.Kill()
					return
				}
				<-sizes
				sizes <- size
				p.Send(tea.WindowSizeMsg{Width: max(1, size.Cols), Height: max(1, size.Rows)})
			}
		}
	}()
	return finish(p)
}
