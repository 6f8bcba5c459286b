package socket

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Times and numbers that a viewer has to keep to; variables for tests.
var (
	helloPatience = 5 * time.Second // until it says hello
	writePatience = 5 * time.Second // that one message may take, before it is cut off
	goodbye       = time.Second     // for what is left to send when the trainer ends
	maxViewers    = 64
)

// A Server is the trainer's end of the socket. None of its methods waits for a viewer.
type Server struct {
	command  func(run.Command) error
	listener net.Listener
	remove   func()
	wait     sync.WaitGroup

	mu         sync.Mutex
	viewers    []*viewer // in the order they came
	controller *viewer
	frames     map[string]*picture // the last one of each name
	closed     bool
}

// Listen opens the socket of a run, whose lock the caller holds. Each command that a viewer with control sends is given to command,
// which must not wait; its error is the viewer's answer.
func Listen(f *run.Folder, command func(run.Command) error) (*Server, error) {
	l, remove, err := listen(f)
	if err != nil {
		return nil, err
	}
	s := &Server{command: command, listener: l, remove: remove, frames: map[string]*picture{}}
	s.wait.Go(s.accept)
	return s, nil
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files: it passes
			time.Sleep(100 * time.Millisecond)
			continue
		}
		v := newViewer(conn)
		if !s.admit(v) {
			_ = conn.Close()
			continue
		}
		s.wait.Go(v.send)
		s.wait.Go(func() {
			s.serve(v)
			s.leave(v)
		})
	}
}

func (s *Server) admit(v *viewer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.viewers) >= maxViewers {
		return false
	}
	s.viewers = append(s.viewers, v)
	return true
}

// serve reads what a viewer says, until it goes or says what makes no sense.
func (s *Server) serve(v *viewer) {
	r := bufio.NewReaderSize(v.conn, maxUp)
	var hello up
	_ = v.conn.SetReadDeadline(time.Now().Add(helloPatience))
	err := next(r, maxUp, &hello)
	switch {
	case err != nil || hello.Type != typeHello:
		v.post(&down{Type: typeRefused, Error: "this is the socket of a ddpm-tui trainer, which wants a hello first"})
		return
	case hello.V != Version:
		v.post(&down{Type: typeRefused, Error: fmt.Sprintf("the trainer speaks version %d of the protocol, the viewer version %d: use the ddpm-tui that started it", Version, hello.V)})
		return
	}
	_ = v.conn.SetReadDeadline(time.Time{})
	s.welcome(v, hello)
	for {
		var m up
		if err := next(r, maxUp, &m); err != nil {
			return
		}
		if m.Type != typeCommand || m.Command == nil {
			continue // of a later program
		}
		reply := &down{Type: typeReply, ID: m.ID}
		if err := s.do(v, *m.Command); err != nil {
			reply.Error = err.Error()
		}
		v.post(reply)
	}
}

// do gives a command to the trainer, if the viewer has control.
func (s *Server) do(v *viewer, c run.Command) error {
	s.mu.Lock()
	holder := s.controller
	s.mu.Unlock()
	switch {
	case holder == v:
		return s.command(c)
	case holder == nil:
		return errors.New("this screen only watches: attach without --watch to control the run")
	}
	return fmt.Errorf("%s has control and this screen watches: attach --take takes it over", holder.name)
}

// welcome answers a hello: who has control, and the last pictures.
func (s *Server) welcome(v *viewer, hello up) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.name = clip(hello.Name)
	v.wants = hello.Role == Control || hello.Role == Take
	v.ready = true
	if old := s.controller; v.wants && (old == nil || hello.Role == Take) {
		s.controller = v
		if old != nil {
			old.post(&down{Type: typeControl, Controller: v.name})
		}
	}
	v.post(&down{Type: typeHello, V: Version, PID: os.Getpid(), Control: s.controller == v, Controller: s.holder(v)})
	for _, p := range s.frames {
		v.show(p)
	}
}

// holder is who else has control.
func (s *Server) holder(v *viewer) string {
	if s.controller == nil || s.controller == v {
		return ""
	}
	return s.controller.name
}

// leave forgets a viewer. Control that becomes free goes to who has waited longest for it.
func (s *Server) leave(v *viewer) {
	v.finish()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewers = slices.DeleteFunc(s.viewers, func(o *viewer) bool { return o == v })
	if s.controller != v {
		return
	}
	s.controller = nil
	for _, o := range s.viewers {
		if o.wants && o.ready {
			s.controller = o
			o.post(&down{Type: typeControl, Control: true})
			return
		}
	}
}

// Show sends a picture to all viewers, and to those who come later until there is another one of its name. The picture must not
// change any more.
func (s *Server) Show(f Frame) {
	p := &picture{Frame: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames[f.Name] = p
	for _, v := range s.viewers {
		if v.ready {
			v.show(p)
		}
	}
}

// Tell sends an event that is not in the log.
func (s *Server) Tell(e run.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.viewers {
		if v.ready {
			v.post(&down{Type: typeEvent, Event: &e})
		}
	}
}

// Close ends the socket, after a moment for what is on its way to viewers.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	viewers := slices.Clone(s.viewers)
	s.mu.Unlock()
	err := s.listener.Close()
	s.remove()
	for _, v := range viewers {
		v.finish()
	}
	s.wait.Wait()
	return err
}

// clip cuts a name.
func clip(s string) string {
	if len(s) > maxName {
		s = s[:maxName]
	}
	return s
}
