package tui

import (
	"context"
	"io"
	"sync"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A Connection is a terminal that is not this process's: the other end of an SSH session. Several screens can use it, one after the
// other.
type Connection struct {
	in      chan []byte
	over    chan struct{} // closed by Close
	rest    []byte        // read, and not yet taken
	out     io.Writer
	size    Size
	resized <-chan Size
}

// NewConnection is the terminal that in and out lead to. Resized says its sizes, and is closed when it is gone; it may be nil.
func NewConnection(in io.Reader, out io.Writer, size Size, resized <-chan Size) *Connection {
	c := &Connection{in: make(chan []byte), over: make(chan struct{}), out: out, size: size, resized: resized}
	go func() { // a read cannot be called off, and what it brings is the next screen's if there is one
		defer close(c.in)
		for {
			b := make([]byte, 1024)
			n, err := in.Read(b)
			if n > 0 {
				select {
				case c.in <- b[:n]:
				case <-c.over:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

// Close ends the use of the connection. It is for when all screens have ended.
func (c *Connection) Close() { close(c.over) }

// input is what one screen reads, until done.
type input struct {
	c    *Connection
	done <-chan struct{}
}

func (i input) Read(p []byte) (int, error) {
	if len(i.c.rest) == 0 {
		select {
		case b, ok := <-i.c.in:
			if !ok {
				return 0, io.EOF
			}
			i.c.rest = b
		case <-i.done:
			return 0, io.EOF
		}
	}
	n := copy(p, i.c.rest)
	i.c.rest = i.c.rest[n:]
	return n, nil
}

// A Size is that of a terminal, in cells and, where it is known, in pixels.
type Size struct {
	Cols, Rows    int
	Width, Height int
}

// showConnected is show on a connection.
func showConnected(ctx context.Context, in screen, opt Options) error {
	c := opt.Connection
	out := picture.NewScreen(c.out)
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
	sizes <- c.size
	done := make(chan struct{})
	p := newPaced(s, true, opt, tea.WithInput(input{c, done}), tea.WithColorProfile(profile), tea.WithWindowSize(max(1, c.size.Cols), max(1, c.size.Rows)))
	var watching sync.WaitGroup
	defer watching.Wait()
	defer close(done)
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case size, ok := <-c.resized:
				if !ok {
					p.Kill()
					return
				}
				<-sizes
				sizes <- size
				c.size = size
				p.Send(tea.WindowSizeMsg{Width: max(1, size.Cols), Height: max(1, size.Rows)})
			}
		}
	})
	return finish(p)
}
