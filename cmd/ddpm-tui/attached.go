package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

// How often an attached screen looks.
const (
	logPoll    = 200 * time.Millisecond // at the log
	lockPoll   = 400 * time.Millisecond // whether the trainer lives, while its log is silent
	endPoll    = 20 * time.Millisecond  // the same, after it said that it ends
	socketPoll = time.Second            // for its socket, while there is no connection
	// A trainer on another machine has no socket here, and perhaps no lock that this machine sees: its log says that it lives.
	silence = time.Minute

	historyPatience = 5 * time.Second // that reading the history may take, before what is new is shown beside it
)

// maxPicture is the largest preview that is read from the disk, in pixels.
const maxPicture = 16 << 20

// An attached source feeds a run in another process to the screen: events from its log, commands and live pictures through its
// socket, where there is one.
type attached struct {
	folder *run.Folder
	role   socket.Role
	name   string
	events chan run.Event
	frames chan tui.Frame
	lost   chan run.Event // events that come through the socket
	tried  chan struct{}  // closed once the socket has been tried
	asked  chan struct{}  // the trainer has been told to do something

	mu     sync.Mutex
	client *socket.Client
	met    bool // a connection has been there
	said   bool // who has control
	live   map[string]int64
	end    *run.End // the last event, if it was one

	last    time.Time
	preview *run.Event // not shown yet
}

// attach begins to follow a run. The source's channels are closed when the trainer has ended, or with ctx.
func attach(ctx context.Context, folder *run.Folder, role socket.Role) *attached {
	return attachAs(ctx, folder, role, viewerName())
}

// attachAs is attach under a name, for others who watch.
func attachAs(ctx context.Context, folder *run.Folder, role socket.Role, name string) *attached {
	a := &attached{
		folder: folder, role: role, name: name, live: map[string]int64{},
		events: make(chan run.Event, 4096), frames: make(chan tui.Frame, 8), lost: make(chan run.Event, 256),
		tried: make(chan struct{}), asked: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { a.connect(ctx) })
	go func() {
		a.follow(ctx)
		cancel()
		wait.Wait()
		close(a.events)
		close(a.frames)
	}()
	return a
}

// viewerName says who watches, for others who do.
func viewerName() string {
	name := fmt.Sprintf("the screen of process %d", os.Getpid())
	if tty := os.Getenv("SSH_TTY"); tty != "" {
		name += " on " + tty
	}
	return name
}

func (a *attached) Events() <-chan run.Event { return a.events }
func (a *attached) Frames() <-chan tui.Frame { return a.frames }

// Send implements tui.Source. A command that comes before the first try to connect has ended waits for that.
func (a *attached) Send(c run.Command) error {
	select {
	case <-a.tried:
	case <-time.After(historyPatience):
	}
	a.mu.Lock()
	client := a.client
	a.mu.Unlock()
	if client == nil {
		return errors.New("no trainer listens here: it is on another machine, or has just begun")
	}
	err := client.Send(c)
	select {
	case a.asked <- struct{}{}:
	default: // nobody has looked since the last one
	}
	return err
}

// Kill implements tui.Remote.
func (a *attached) Kill() error { return a.folder.Signal(os.Kill) }

// follow hands on events until the trainer has ended.
func (a *attached) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	last := make(chan struct{}) // closed when no more is written: what is in the log then is all
	noMore := sync.OnceFunc(func() { close(last) })
	log := run.FollowTo(ctx, a.folder.Dir(), logPoll, last, a.asked)
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	quiet := 0 // looks at the lock since the last event
	began := time.Now()
	var lost chan run.Event // what is new comes after the history, or it would be out of sight at once
	for {
		select {
		case e, ok := <-log:
			if !ok {
				a.showPreview()
				return
			}
			quiet = 0
			if a.note(e); e.End != nil {
				tick.Reset(endPoll)
			} else if a.preview == nil {
				tick.Reset(lockPoll)
			}
			if e.Time.After(began) {
				lost = a.lost
			}
			if !a.pass(ctx, e) {
				return
			}
		case e := <-lost:
			if !a.pass(ctx, e) {
				return
			}
		case <-tick.C:
			quiet++
			if quiet >= 2 || time.Since(began) > historyPatience {
				lost = a.lost
			}
			a.showPreview()
			if quiet >= 2 && a.over() {
				noMore()
			}
			if a.ending() {
				tick.Reset(endPoll)
			} else {
				tick.Reset(lockPoll)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (a *attached) pass(ctx context.Context, e run.Event) bool {
	select {
	case a.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// note keeps what follow itself wants to know of an event.
func (a *attached) note(e run.Event) {
	a.mu.Lock()
	a.end = e.End
	a.mu.Unlock()
	a.last = e.Time
	if e.Preview != nil {
		a.preview = &e
	}
}

// over reports whether the trainer has ended.
func (a *attached) over() bool {
	if _, running := a.folder.Locked(); running {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.end != nil || a.met || time.Since(a.last) > silence || time.Since(a.last) < 0
}

// showPreview shows the last pictures that were written, unless newer ones have come through the socket.
func (a *attached) showPreview() {
	e := a.preview
	if e == nil {
		return
	}
	a.preview = nil
	p := e.Preview
	for _, f := range []tui.Frame{
		{Name: tui.Samples, Rows: p.Rows, Cols: p.Cols, Caption: fmt.Sprintf("EMA samples, step %d", e.Step)},
		{Name: tui.Trajectory, Rows: 1, Caption: "x_t from noise to image"},
	} {
		path := p.Samples
		if f.Name == tui.Trajectory {
			path = p.Trajectory
		}
		m, err := readPicture(a.folder, path)
		if err != nil {
			continue // it will be there next time, or is gone for good
		}
		if f.Name == tui.Trajectory && m.Bounds().Dy() > 0 {
			f.Cols = m.Bounds().Dx() / m.Bounds().Dy()
		}
		f.Step, f.Image = e.Step, m
		a.show(f, false)
	}
}

// readPicture reads a preview. Its name is from a file: it must not lead out of the folder.
func readPicture(folder *run.Folder, path string) (image.Image, error) {
	if !filepath.IsLocal(path) {
		return nil, errors.New("not in the run's folder")
	}
	data, err := os.ReadFile(folder.Path(path))
	if err != nil {
		return nil, err
	}
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxPicture/c.Height {
		return nil, errors.New("too large")
	}
	return png.Decode(bytes.NewReader(data))
}

// show hands a picture on. The screen may be behind: then an older one goes.
func (a *attached) show(f tui.Frame, live bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if step, ok := a.live[f.Name]; ok && !live && step >= f.Step {
		return
	}
	if live {
		a.live[f.Name] = f.Step
	}
	for {
		select {
		case a.frames <- f:
			return
		default:
		}
		select {
		case <-a.frames:
		default:
		}
	}
}

// connect keeps a connection to the trainer's socket, as long as ctx lives. A screen that was stopped for a while has been cut off
// and comes back here.
func (a *attached) connect(ctx context.Context) {
	tried := sync.OnceFunc(func() { close(a.tried) })
	defer tried()
	for {
		client, err := socket.Dial(ctx, a.folder, a.role, a.name, socket.Handlers{
			Frame: func(f socket.Frame) { a.show(tui.Frame(f), true) },
			Event: func(e run.Event) { a.tell(ctx, e) },
			Control: func(has bool, other string) {
				if has {
					a.say(ctx, "info", "this screen has control now")
				} else {
					a.say(ctx, "warn", other+" has taken control: this screen watches")
				}
			},
		})
		switch {
		case err == nil:
			a.use(ctx, client, tried)
		case !errors.Is(err, socket.ErrNoTrainer) && ctx.Err() == nil && !a.said:
			a.said = true
			a.say(ctx, "warn", "only the log can be seen: "+err.Error())
		}
		tried()
		select {
		case <-ctx.Done():
			return
		case <-time.After(socketPoll):
		}
	}
}

// use keeps a connection until it ends; ready is called once commands can be sent.
func (a *attached) use(ctx context.Context, client *socket.Client, ready func()) {
	a.mu.Lock()
	a.client, a.met = client, true
	a.mu.Unlock()
	ready()
	if a.role != socket.Watch && !client.Control && !a.said {
		a.said = true
		a.say(ctx, "warn", client.Controller+" has control and this screen watches: attach --take takes it over")
	}
	select {
	case <-client.Gone():
	case <-ctx.Done():
	}
	a.mu.Lock()
	a.client = nil
	a.mu.Unlock()
	_ = client.Close() // it has ended
}

func (a *attached) say(ctx context.Context, level, text string) {
	a.tell(ctx, run.Event{V: run.EventVersion, Kind: run.KindLog, Time: time.Now(), Log: &run.Log{Level: level, Text: text}})
}

func (a *attached) tell(ctx context.Context, e run.Event) {
	select {
	case a.lost <- e:
	case <-ctx.Done():
	}
}
