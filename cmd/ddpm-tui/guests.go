package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"charm.land/wish/v2"
	"github.com/charmbracelet/ssh"
	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/tui"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// The largest terminal that a client can have.
const (
	maxCols = 500
	maxRows = 300
)

// guests are the sessions of a server.
type guests struct {
	c     *cobra.Command
	root  string // a folder of runs, or a run
	keys  string
	idle  time.Duration
	limit int
	ctx   context.Context // of the server

	mu     sync.Mutex
	here   int
	ending bool
	all    group
}

// A group is a WaitGroup whose Wait gives up.
type group struct{ sync.WaitGroup }

// Wait waits until all are done, or ctx is.
func (g *group) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { g.WaitGroup.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// guest is who has a key, as the file says it now.
func (g *guests) guest(key ssh.PublicKey) (guest, bool) {
	if key == nil {
		return guest{}, false
	}
	keys, err := readKeys(g.keys)
	if err != nil {
		fmt.Fprintf(g.c.ErrOrStderr(), "nobody is let in: %v\n", err)
		return guest{}, false
	}
	who, ok := keys[string(key.Marshal())]
	return who, ok
}

// session is one session from its beginning to its end.
func (g *guests) session(s ssh.Session) {
	who, ok := g.guest(s.PublicKey())
	if !ok { // the key was removed meanwhile
		g.refuse(s, "this key is not welcome any more")
		return
	}
	if s.RawCommand() != "" {
		g.refuse(s, "there are no commands here, only the screen: ssh without a command")
		return
	}
	terminal, sizes, ok := s.Pty()
	if !ok || terminal.Term == "" || terminal.Term == "dumb" {
		g.refuse(s, "the screen needs a terminal: ssh -t, from a terminal that can move its cursor (this one is %q)", terminal.Term)
		return
	}
	resized := make(chan tui.Size, 1)
	go func() { // always reads, or the connection would stop
		defer close(resized)
		for w := range sizes {
			select {
			case <-resized:
			default:
			}
			resized <- size(w)
		}
	}()
	if why := g.enter(); why != "" {
		g.refuse(s, "%s", why)
		return
	}
	defer g.leave()
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	v, ok := s.Context().Value(visitorKey{}).(*visitor)
	if !ok { // every connection comes through the door
		return
	}
	v.enter()
	defer v.leave()
	insist(ctx, leavePatience, v, func() {
		g.watch(ctx, cancel, s, who, terminal, resized)
		cancel()
		// Said here and not by the caller, so that the end of the server waits for it.
		_ = s.Exit(exitOK) // the client may have gone
	})
}

// enter counts a session, or says why there cannot be one.
func (g *guests) enter() (why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.ending:
		return "the server ends"
	case g.here >= g.limit:
		return fmt.Sprintf("%d sessions are open, which is the limit here: try again later", g.limit)
	}
	g.here++
	g.all.Add(1)
	return ""
}

func (g *guests) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.here--
	g.all.Done()
}

// end lets nobody in any more, and waits until all have left or ctx is done.
func (g *guests) end(ctx context.Context) {
	g.mu.Lock()
	g.ending = true
	g.mu.Unlock()
	g.all.Wait(ctx)
}

// leavePatience is how long the end of a session may take.
const leavePatience = 5 * time.Second

// insist calls f, and where that takes longer than patience after the end of ctx, closes what f waits for: a client that reads nothing
// any more would hold its session for ever, with what is written to it.
func insist(ctx context.Context, patience time.Duration, c io.Closer, f func()) {
	done := make(chan struct{})
	defer close(done)
	context.AfterFunc(ctx, func() {
		select {
		case <-done:
		case <-time.After(patience):
			_ = c.Close() // it has ended otherwise
		}
	})
	f()
}

// refuse says why not, in words, and ends the session. It is no session of the connection's yet: a client that does not listen is cut
// off with those who say nothing.
func (g *guests) refuse(s ssh.Session, format string, a ...any) {
	words := fmt.Sprintf(format, a...)
	g.log(s, "refused: "+words)
	wish.Errorln(s, "ddpm-tui: "+words)
	_ = s.Exit(exitFail) // the client may have gone
}

// log says on the server's output what happened.
func (g *guests) log(s ssh.Session, words string) {
	fmt.Fprintf(g.c.OutOrStdout(), "%s %s@%s %s\n", time.Now().Format(time.DateTime), data.Escape(s.User()), s.RemoteAddr(), words)
}

// watch shows the screens.
func (g *guests) watch(ctx context.Context, cancel func(), s ssh.Session, who guest, terminal ssh.Pty, resized <-chan tui.Size) {
	stop := context.AfterFunc(s.Context(), cancel) // the connection has ended
	defer stop()
	in := &hands{Reader: s}
	if g.idle > 0 {
		in.timer = time.AfterFunc(g.idle, cancel)
		in.idle = g.idle
		defer in.timer.Stop()
	}
	opt := screen(g.c, "")
	opt.Env = append(s.Environ(), "TERM="+terminal.Term)
	opt.ReadOnly = !who.control
	opt.Connection = tui.NewConnection(in, s, size(terminal.Window), resized)
	defer opt.Connection.Close()
	may := "watches"
	if who.control {
		may = "watches and controls"
	}
	name := data.Escape(who.name)
	g.log(s, fmt.Sprintf("%s %s", name, may))
	err := g.screens(ctx, name, who.control, opt)
	switch {
	case s.Context().Err() != nil: // gone
	case g.ctx.Err() != nil:
		wish.Println(s, "the server ends; training goes on")
	case ctx.Err() != nil:
		wish.Printf(s, "no key was pressed for %v: the session ends, training goes on\r\n", g.idle)
	case err != nil:
		wish.Errorln(s, "ddpm-tui: "+err.Error())
	}
	g.log(s, name+" has left")
}

// screens shows the list and the runs that are chosen from it, or the one there is.
func (g *guests) screens(ctx context.Context, name string, control bool, opt tui.Options) error {
	if run.IsRun(g.root) {
		return g.one(ctx, g.root, name, control, opt)
	}
	for ctx.Err() == nil {
		pick := opt
		pick.Title = "runs of " + filepath.Base(g.root)
		chosen, ok, err := tui.RunPick(ctx, func() []tui.RunInfo { return runInfos(g.root) }, pick)
		if err != nil || !ok {
			return err
		}
		if err := g.one(ctx, chosen.Dir, name, control, opt); err != nil {
			return err
		}
	}
	return nil
}

// one shows a run until the person leaves it.
func (g *guests) one(ctx context.Context, dir, name string, control bool, opt tui.Options) error {
	folder, err := run.Open(dir)
	if err != nil {
		return err
	}
	role := socket.Watch
	if control {
		role = socket.Control
	}
	following, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until the screen has left
	defer cancel()
	src := attachAs(following, folder, role, name+" over SSH")
	opt.Title, opt.Desk = folder.Name(), desk(folder)
	opt.Desk.Sample, opt.Desk.Save = nil, nil // a guest neither computes nor writes here
	if err := tui.RunTraining(ctx, src, opt); err != nil && !errors.Is(err, tui.ErrLeft) {
		return err
	}
	return nil
}

// size is a client's window, within reason.
func size(w ssh.Window) tui.Size {
	return tui.Size{Cols: min(max(1, w.Width), maxCols), Rows: min(max(1, w.Height), maxRows), Width: w.WidthPixels, Height: w.HeightPixels}
}

// hands is what a person types, and puts off the end of the session when they do. What terminals say by themselves is not typing.
type hands struct {
	io.Reader
	timer *time.Timer // nil: sessions do not end
	idle  time.Duration
}

func (h *hands) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.timer != nil && len(bytes.ReplaceAll(p[:n], []byte(picture.Acknowledged), nil)) > 0 {
		h.timer.Reset(h.idle)
	}
	return n, err
}
