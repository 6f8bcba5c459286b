package picture

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"
)

// A pipe is a line of a rate and a length, in a time of its own.
type pipe struct {
	rate  float64 // bytes a second
	delay time.Duration
	now   time.Time
	busy  time.Time // until when it carries what was sent
}

// send returns when the answer to something sent now is back.
func (p *pipe) send(bytes int) time.Time {
	if p.busy.Before(p.now) {
		p.busy = p.now
	}
	p.busy = p.busy.Add(time.Duration(float64(bytes) / p.rate * float64(time.Second)))
	return p.busy.Add(2 * p.delay)
}

// A link finds out what the line carries, whatever its length, and keeps what is on its way to what makes a key wait little.
func TestLinkMeasures(t *testing.T) {
	for _, line := range []pipe{{rate: 50 << 10, delay: 100 * time.Millisecond}, {rate: 50 << 10, delay: 200 * time.Millisecond},
		{rate: 10 << 10, delay: 20 * time.Millisecond}, {rate: 1 << 20, delay: 5 * time.Millisecond}, {rate: 20 << 20, delay: time.Millisecond}} {
		line.now = time.Unix(1e9, 0)
		l := NewLink(true, 0)
		var answers []time.Time
		worst := time.Duration(0)
		probe := func(bytes int) {
			l.sent(line.now, bytes)
			answers = append(answers, line.send(bytes+len(Probe)))
		}
		for i := range 400 {
			if room := l.room(line.now); room > 0 {
				probe(0)
				for room > 0 {
					part := max(2<<10, l.spacing())
					probe(part)
					room -= part
				}
			}
			if i > 100 { // it knows the line
				worst = max(worst, line.busy.Sub(line.now))
			}
			line.now, answers = answers[0], answers[1:]
			if !l.acknowledge(line.now) {
				t.Fatal("an answer that was not due")
			}
		}
		if l.rate < line.rate/2 || l.rate > 2*line.rate {
			t.Errorf("a line of %.0f bytes/s is taken for %.0f", line.rate, l.rate)
		}
		if l.rtt < 2*line.delay || l.rtt > 2*line.delay+200*time.Millisecond {
			t.Errorf("a line of %v there and back is taken for %v", 2*line.delay, l.rtt)
		}
		if limit := 2*line.delay + queueTime + time.Duration(float64(l.spacing()+shortest)/line.rate*float64(time.Second)); worst > limit {
			t.Errorf("a line of %.0f bytes/s and %v has %v of bytes waiting, more than %v", line.rate, line.delay, worst, limit)
		}
	}
}

func TestAllowance(t *testing.T) {
	if n := NewLink(false, 1000).allowance(time.Second); n != 0 {
		t.Errorf("a terminal here has a limit of %d", n)
	}
	l := NewLink(true, 10<<10)
	if n := l.allowance(time.Second); n != 10<<10*3/4 {
		t.Errorf("%d bytes a second of a budget of 10 KiB", n)
	}
	l.rtt = 600 * time.Millisecond // long: what is left of the second has to do
	if n := l.allowance(time.Second); n != 10<<10*4/10 {
		t.Errorf("%d bytes a second where an answer takes 0.6 s", n)
	}
	l.rtt = time.Minute
	if n := l.allowance(time.Second); n != 10<<10/8 {
		t.Errorf("%d bytes a second where an answer takes a minute", n)
	}
	now := time.Unix(1e9, 0)
	l.spend(now, 5<<10)
	if wait := l.free.Sub(now); wait != time.Second/2 {
		t.Errorf("half a second's bytes make wait %v", wait)
	}
}

// A terminal that answers nothing gets its pictures all the same, and one that was lost does not stop them for good.
func TestNoAnswers(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := NewLink(false, 0)
	l.sent(now, 0)
	l.sent(now, 1<<30)
	if l.room(now) > 0 || l.quiet(now) {
		t.Error("more is sent before an answer")
	}
	now = now.Add(2 * deafness)
	if l.room(now) <= 0 || !l.quiet(now) {
		t.Error("a deaf terminal gets nothing")
	}
	l.acknowledge(now) // late
	l.sent(now, 1<<30)
	if now = now.Add(2 * deafness); l.quiet(now) {
		t.Error("it has answered before, and is not waited for")
	}
	if now = now.Add(2 * patience); !l.quiet(now) {
		t.Error("it is waited for without end")
	}
}

// reader is a terminal that reads when it is told to, and counts.
type reader struct {
	mu     sync.Mutex
	unread bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unread.Write(p)
}

func (r *reader) read() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, _ := io.ReadAll(&r.unread)
	return string(b)
}

// A large picture goes out in parts: no more of them than the line has room for, text passes between them, each is drawn once and in
// its place, and a new picture waits for the last.
func TestParts(t *testing.T) {
	var out reader
	s := NewScreen(&out)
	s.Resize(80, 24)
	told := make(chan bool, 100)
	s.Pace(NewLink(true, 0), func() { told <- true })
	p := Placement{Picture: Encoded{Mode: Sixel, Cols: 10, Rows: 20, ID: 7}}
	for i := range 20 {
		body := bytes.Repeat([]byte{byte('a' + i)}, 3<<10)
		p.Picture.Parts = append(p.Picture.Parts, Part{Row: i, Data: append(append([]byte("\x1bP"), body...), "\x1b\\"...)})
	}
	s.Show([]Placement{p})
	write(t, s, holders(0, 10))
	seen := ""
	for i := 0; s.Wait() != 0; i++ {
		now := out.read()
		if n := len(now); i == 0 && n > 12<<10 {
			t.Fatalf("%d bytes at once", n)
		}
		seen += now
		if i%3 == 0 {
			write(t, s, "key")
			if !bytes.Contains(out.unreadBytes(), []byte("key")) {
				t.Fatal("text waits for pictures")
			}
		}
		answers := bytes.Count([]byte(now), []byte(Probe))
		for range answers {
			s.Acknowledge()
		}
		if s.Wait() > 0 {
			break // the budget
		}
		if answers == 0 && now == "" {
			time.Sleep(time.Millisecond) // a write by the screen itself is on its way
		}
	}
	seen += out.read()
	for i := range 20 {
		if n := bytes.Count([]byte(seen), bytes.Repeat([]byte{byte('a' + i)}, 3<<10)); n != 1 {
			t.Errorf("part %d was drawn %d times", i, n)
		}
	}
	if !s.Loaded(0, p.Picture) {
		t.Error("it is not whole")
	}
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("nobody was told that the line is free")
	}
}

func (r *reader) unreadBytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.unread.Bytes())
}

// What a slow line leaves of a picture fits into what it has room for, where that is possible at all.
func TestEncodeWithin(t *testing.T) {
	src := Sheet{Image: gradient(128, 128), Rows: 4, Cols: 4}
	for _, mode := range []Mode{HalfBlocks, Blocks256, Sixel, ITerm, Kitty} {
		last := 1 << 30
		for _, bytes := range []int{0, 12 << 10, 4 << 10} {
			e, err := EncodeWithin(src, mode, Options{Cols: 20, Rows: 10, CellW: 8, CellH: 15}, 200, 0, bytes)
			if err != nil {
				t.Fatal(err)
			}
			if bytes > 0 && e.Size > bytes && e.Quality < len(levels(mode))-1 {
				t.Errorf("%v: %d bytes where %d were asked for, at quality %d", mode, e.Size, bytes, e.Quality)
			}
			if e.Size > last {
				t.Errorf("%v: less room makes it larger", mode)
			}
			last = e.Size
		}
	}
}
