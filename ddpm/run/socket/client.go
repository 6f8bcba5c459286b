package socket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// ErrNoTrainer says that no trainer listens: there is none, or it is on another machine.
var ErrNoTrainer = errors.New("no trainer listens here")

// ErrGone says that the connection has ended.
var ErrGone = errors.New("the connection to the trainer has ended")

// answerPatience is how long the trainer may take to answer; a variable for tests.
var answerPatience = 10 * time.Second

// Handlers are called with what comes from the trainer, one at a time. Any may be nil.
type Handlers struct {
	Frame   func(Frame)
	Event   func(run.Event)              // one that is not in the log
	Control func(has bool, other string) // control was given or taken; other is who has it
}

// A Client is a viewer's end of the socket.
type Client struct {
	PID        int    // the trainer
	Control    bool   // whether the viewer had control at first
	Controller string // and if not, who

	conn net.Conn
	h    Handlers
	gone chan struct{}

	mu      sync.Mutex
	id      int64
	answers map[int64]chan string
}

// Dial connects to the trainer of a run. name says who the viewer is, to others who would like control. The error is ErrNoTrainer
// if nobody listens.
func Dial(ctx context.Context, f *run.Folder, role Role, name string, h Handlers) (*Client, error) {
	path := place(f)
	if !private(path) {
		return nil, fmt.Errorf("%s: %w", f.Dir(), ErrNoTrainer)
	}
	conn, err := (&net.Dialer{Timeout: answerPatience}).DialContext(ctx, "unix", path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w (%v)", f.Dir(), ErrNoTrainer, err)
	}
	c, err := greet(conn, role, name, h)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// greet exchanges hellos.
func greet(conn net.Conn, role Role, name string, h Handlers) (*Client, error) {
	_ = conn.SetDeadline(time.Now().Add(answerPatience))
	hello, err := line(&up{Type: typeHello, V: Version, Role: role, Name: clip(name)}, maxUp)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	var m down
	if err := next(r, maxDown, &m); err != nil {
		return nil, fmt.Errorf("the trainer does not answer: %w", err)
	}
	switch {
	case m.Type == typeRefused:
		return nil, fmt.Errorf("the trainer refuses: %s", m.Error)
	case m.Type != typeHello || m.V != Version:
		return nil, fmt.Errorf("the trainer speaks another protocol (%q, version %d): watch the run with the program that started it", m.Type, m.V)
	}
	_ = conn.SetDeadline(time.Time{})
	c := &Client{PID: m.PID, Control: m.Control, Controller: m.Controller, conn: conn, h: h, gone: make(chan struct{}), answers: map[int64]chan string{}}
	go c.read(r)
	return c, nil
}

// Gone is closed when the connection has ended and no handler will be called any more.
func (c *Client) Gone() <-chan struct{} { return c.gone }

// Close ends the connection.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.gone
	return err
}

func (c *Client) read(r *bufio.Reader) {
	defer close(c.gone)
	defer func() { _ = c.conn.Close() }() // nothing more can be read from it
	for {
		var m down
		if err := next(r, maxDown, &m); err != nil {
			return
		}
		if m.Type == typeFrame && m.Frame != nil {
			f, unreadable, err := m.Frame.decode(r)
			if err != nil {
				return
			}
			if unreadable == nil && c.h.Frame != nil {
				c.h.Frame(f)
			}
			continue
		}
		c.handle(&m)
	}
}

func (c *Client) handle(m *down) {
	switch {
	case m.Type == typeReply:
		c.mu.Lock()
		answer := c.answers[m.ID]
		delete(c.answers, m.ID)
		c.mu.Unlock()
		if answer != nil {
			answer <- m.Error
		}
	case m.Type == typeEvent && m.Event != nil && c.h.Event != nil:
		c.h.Event(*m.Event)
	case m.Type == typeControl && c.h.Control != nil:
		c.h.Control(m.Control, m.Controller)
	}
}

// Send asks the trainer for something and waits until it has accepted or refused it, which is not until it is done.
func (c *Client) Send(command run.Command) error {
	answer := make(chan string, 1)
	c.mu.Lock()
	c.id++
	id := c.id
	c.answers[id] = answer
	p, err := line(&up{Type: typeCommand, ID: id, Command: &command}, maxUp)
	if err == nil {
		_ = c.conn.SetWriteDeadline(time.Now().Add(answerPatience))
		_, err = c.conn.Write(p)
	}
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w (%v)", ErrGone, err)
	}
	select {
	case e := <-answer:
		if e != "" {
			return errors.New(e)
		}
		return nil
	case <-c.gone:
		return ErrGone
	case <-time.After(answerPatience):
		return errors.New("the trainer does not answer: it may be stopped, or the machine busy")
	}
}
