package main

import (
	"net"
	"slices"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// What a connection may cost before it is somebody's session.
const (
	maxVisitors     = 32               // connections without a session at a time; more push out the oldest
	visitorPatience = 20 * time.Second // until a session begins, and after the last has ended
)

// A door is a listener that a flood of connections does not block: those without a session are few, and the oldest goes when there is
// one too many.
type door struct {
	net.Listener
	mu      sync.Mutex
	waiting []*visitor // the oldest first
}

func newDoor(l net.Listener) *door { return &door{Listener: l} }

// visitorKey is under which a connection's context has its visitor.
type visitorKey struct{}

// A visitor is a connection.
type visitor struct {
	net.Conn
	door     *door
	timer    *time.Timer
	sessions int
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	v := &visitor{Conn: conn, door: d}
	v.timer = time.AfterFunc(visitorPatience, func() { _ = v.Close() })
	d.mu.Lock()
	d.waiting = append(d.waiting, v)
	var oldest *visitor
	if len(d.waiting) > maxVisitors {
		oldest = d.waiting[0]
		d.waiting = d.waiting[1:]
	}
	d.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
	return v, nil
}

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.timer.Stop()
	v.door.mu.Lock()
	v.door.forget(v)
	v.door.mu.Unlock()
	return v.Conn.Close()
}

func (d *door) forget(v *visitor) {
	for i, w := range d.waiting {
		if w == v {
			d.waiting = append(d.waiting[:i], d.waiting[i+1:]...)
			return
		}
	}
}

// enter and leave say that a session on the connection has begun and ended.
func (v *visitor) enter() {
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	v.sessions++
	v.timer.Stop()
	v.door.forget(v)
}

func (v *visitor) leave() {
	v.door.mu.Lock()
	defer v.door.mu.Unlock()
	if v.sessions--; v.sessions == 0 {
		v.timer.Reset(visitorPatience)
	}
}

// terminalOnly is a channel to be opened whose requests are those of a terminal and no others: no agent, no X11, no subsystem, and of
// the environment what says how the terminal is.
type terminalOnly struct{ gossh.NewChannel }

// welcome are the variables that a client may set.
var welcome = []string{"COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE"}

// longestValue is how long a variable's value can be.
const longestValue = 100

// Accept implements ssh.NewChannel.
func (t terminalOnly) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	ch, reqs, err := t.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	out := make(chan *gossh.Request)
	go func() {
		defer close(out)
		variables, begun := map[string]bool{}, false
		for r := range reqs {
			switch r.Type {
			case "shell", "exec": // exec is refused in words
				begun = true
			case "pty-req":
			case "window-change":
				if !begun { // nobody takes its size yet, and the next request would wait for that
					_ = r.Reply(false, nil) // the connection's end shows elsewhere
					continue
				}
			case "env":
				var kv struct{ Key, Value string }
				if gossh.Unmarshal(r.Payload, &kv) != nil || !slices.Contains(welcome, kv.Key) || variables[kv.Key] || len(kv.Value) > longestValue {
					_ = r.Reply(false, nil)
					continue
				}
				variables[kv.Key] = true
			default:
				_ = r.Reply(false, nil)
				continue
			}
			out <- r
		}
	}()
	return ch, out, nil
}
