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
	out     io.Writer
	size    Size
	resized <-chan Size

	mu     sync.Mutex
	news   *sync.Cond // something below has changed
	typed  []byte     // read, and not yet taken by a screen
	ended  bool       // no more will be typed
	closed bool
}

// typedAhead is how many bytes are read before a screen takes them.
const typedAhead = 64 << 10

// NewConnection is the terminal that in and out lead to. Resized says its sizes, and is closed when it is gone; it may be nil.
func NewConnection(in io.Reader, out io.Writer, size Size, resized <-chan Size) *Connection {
	c := &Connection{out: out, size: size, resized: resized}
	c.news = sync.NewCond(&c.mu)
	go func() { // a read cannot be called off, and what it brings is the next screen's if there is one
		b := make([]byte, 1024)
		for {
			n, err := in.Read(b)
			if !c.put(b[:n], err) {
				return
			}
		}
	}()
	return c
}

// put hands on what was typed, and says whether to read on.
func (c *Connection) put(b []byte, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.typed) > typedAhead && !c.closed {
		c.news.Wait()
	}
	c.typed, c.ended = append(c.typed, b...), err != nil
	c.news.Broadcast()
	return !c.ended && !c.closed
}

// Close ends the use of the connection. It is for when all screens have ended.
func (c *Connection) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.news.Broadcast()
}

// input is what one screen reads, until it has ended: what is typed from then on is for the next.
type input struct {
	c    *Connection
	over bool // guarded by the connection
}

func (i *input) Read(p []byte) (int, error) {
	c := i.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.typed) == 0 && !c.ended && !c.closed && !i.over {
		c.news.Wait()
	}
	if i.over || len(c.typed) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.typed)
	c.typed = append(c.typed[:0], c.typed[n:]...)
	c.news.Broadcast()
	return n, nil
}

func (i *input) end() {
	i.c.mu.Lock()
	defer i.c.mu.Unlock()
	i.over = true
	i.c.news.Broadcast()
}

// A Size is that of a terminal, in cells and, where it is known, in pixels.
type Size struct {
	Cols, Rows    int
	Width, Height int
}

// showConnected is show on a connection.
func showConnected(ctx context.Context, what screen, opt Options) error {
	c := opt.Connection
	out := picture.NewScreen(c.out)
	defer out.Close()
	profile := colorprofile.Env(opt.env()) // what its TERM says; the terminal may say more when it is asked
	if opt.mono() {
		profile = colorprofile.ASCII
	}
	s, err := newShell(ctx, what, out, opt, colours(profile))
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
	in := &input{c: c}
	defer in.end()
	p := newPaced(s, true, opt, tea.WithInput(in), tea.WithColorProfile(profile), tea.WithWindowSize(max(1, c.size.Cols), max(1, c.size.Rows)))
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
