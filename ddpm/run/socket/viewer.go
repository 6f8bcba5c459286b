package socket

import (
	"net"
	"sync"
	"time"
)

// maxWaiting is how many messages may wait for a viewer; with more it has not read for so long that it is cut off. Pictures do not
// count: of each name only the newest waits.
const maxWaiting = 256

// maxNames is how many names of pictures there may be.
const maxNames = 16

// A picture is encoded once, when the first viewer is to have it, and not on the trainer's time.
type picture struct {
	Frame
	once sync.Once
	line []byte // nil if it cannot be encoded
}

func (p *picture) bytes() []byte {
	p.once.Do(func() { p.line, _ = p.encode() }) // what cannot be encoded is not shown
	return p.line
}

// A viewer is the server's side of one connection. Its name, what it wants and whether it is ready are the server's to guard.
type viewer struct {
	conn  net.Conn
	name  string
	wants bool // control
	ready bool // it has said hello

	mu       sync.Mutex
	waiting  [][]byte // messages, in order
	pictures []*picture
	over     bool          // nothing more will be posted
	wake     chan struct{} // there is something to send, or it is over
}

func newViewer(conn net.Conn) *viewer { return &viewer{conn: conn, wake: make(chan struct{}, 1)} }

// post queues a message. It never waits.
func (v *viewer) post(m *down) {
	p, err := line(m, maxDown)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	if len(v.waiting) >= maxWaiting {
		v.over = true
		_ = v.conn.Close()
	}
	v.waiting = append(v.waiting, p)
	v.rouse()
}

// show queues a picture in place of an older one of its name. It never waits.
func (v *viewer) show(p *picture) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, old := range v.pictures {
		if old.Name == p.Name {
			v.pictures[i] = p
			return
		}
	}
	if !v.over && len(v.pictures) < maxNames {
		v.pictures = append(v.pictures, p)
		v.rouse()
	}
}

// finish sends what waits, without pictures, and ends the connection.
func (v *viewer) finish() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over, v.pictures = true, nil
	_ = v.conn.SetDeadline(time.Now().Add(goodbye))
	v.rouse()
}

func (v *viewer) rouse() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// take returns the next thing to send: messages before pictures. over says that there will be no more.
func (v *viewer) take() (p []byte, pic *picture, over bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.waiting) > 0 {
		p = v.waiting[0]
		v.waiting = v.waiting[1:]
		return p, nil, false
	}
	if len(v.pictures) > 0 {
		pic = v.pictures[0]
		v.pictures = v.pictures[1:]
		return nil, pic, false
	}
	return nil, nil, v.over
}

// deadline gives the next message its time, unless the end has set one for all that is left.
func (v *viewer) deadline() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.over {
		_ = v.conn.SetWriteDeadline(time.Now().Add(writePatience))
	}
}

// send writes what is queued until it is over, or the viewer has not read for too long.
func (v *viewer) send() {
	defer func() { _ = v.conn.Close() }() // which ends the reading too
	for {
		p, pic, over := v.take()
		if pic != nil {
			p = pic.bytes()
		}
		switch {
		case p != nil:
			v.deadline()
			if _, err := v.conn.Write(p); err != nil {
				return
			}
		case over:
			return
		case pic == nil:
			<-v.wake
		}
	}
}
