package run

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Follow sends the events of the run in dir: what has happened, then, looking
// every poll, what happens. It needs the log alone, so it works beside the
// trainer, after it and from another machine on a shared disk. The log need not
// exist yet. Trouble with the log is sent as an event of kind log; a line that
// is no event is passed over. The channel is closed when ctx ends, or at an
// event of a newer version, which is said first.
func Follow(ctx context.Context, dir string, poll time.Duration) <-chan Event {
	return FollowTo(ctx, dir, poll, nil, nil)
}

// FollowTo is Follow up to what the log has when last is closed: from then on
// it looks once more, and closes the channel. It is for a trainer that is known
// to have ended.
//
// After a look that brought steps and nothing else it waits for three times
// poll: nobody can read them faster. Unless something has been asked of the
// trainer, which soon tells: then it looks every poll for a while.
func FollowTo(ctx context.Context, dir string, poll time.Duration, last, soon <-chan struct{}) <-chan Event {
	f := &follower{dir: dir, out: make(chan Event, 256)}
	poll = max(poll, time.Millisecond)
	go func() {
		defer close(f.out)
		tick := time.NewTicker(poll)
		defer tick.Stop()
		var eager time.Time // until then
		for f.look(ctx) {
			if f.steady && time.Now().After(eager) {
				tick.Reset(3 * poll)
			} else {
				tick.Reset(poll)
			}
			select {
			case <-ctx.Done():
				return
			case <-last:
				f.look(ctx)
				return
			case <-soon:
				eager = time.Now().Add(answers)
			case <-tick.C:
			}
		}
	}()
	return f.out
}

// answers is how long the trainer may take to do what it was asked to, and to
// say so.
const answers = 3 * time.Second

type follower struct {
	dir  string
	out  chan Event
	at   int64  // where to read on
	size int64  // of the log at the last look
	step int64  // of the last event
	said string // the last trouble, to say it once

	steady bool // the last look brought steps, and nothing else
}

// look sends what is new and reports whether to look again.
func (f *follower) look(ctx context.Context) bool {
	f.steady = false
	if info, err := os.Stat(filepath.Join(f.dir, eventsName)); err == nil {
		if info.Size() == f.size && f.said == "" {
			return true
		}
		f.size = info.Size()
	}
	s, err := scan(f.dir, f.at)
	if err != nil {
		return f.trouble(ctx, err)
	}
	if s == nil {
		return true
	}
	defer func() { _ = s.file.Close() }() // it was only read
	f.steady = true
	for {
		e, err := s.next()
		f.at = s.at
		var corrupt *CorruptError
		var newer *NewerError
		switch {
		case err == nil:
			f.said = ""
			f.step = e.Step
			f.steady = f.steady && e.Metrics != nil
			if !f.send(ctx, e) {
				return false
			}
		case errors.Is(err, io.EOF):
			return true
		case errors.As(err, &newer):
			f.trouble(ctx, err)
			return false
		case errors.As(err, &corrupt):
			if !f.trouble(ctx, err) {
				return false
			}
		default:
			return f.trouble(ctx, err)
		}
	}
}

// trouble sends an error as an event, once, and reports whether to go on.
func (f *follower) trouble(ctx context.Context, err error) bool {
	if f.said == err.Error() {
		return true
	}
	f.said = err.Error()
	return f.send(ctx, Event{V: EventVersion, Kind: KindLog, Time: time.Now(), Step: f.step, Log: &Log{Level: "error", Text: f.said}})
}

func (f *follower) send(ctx context.Context, e Event) bool {
	select {
	case f.out <- e:
		return true
	case <-ctx.Done():
		return false
	}
}
