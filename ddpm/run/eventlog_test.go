package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func step(n int64, loss float64) Event {
	return Event{Step: n, Metrics: &Metrics{Loss: Float(loss), LossEMA: Float(loss), LR: 1e-3}}
}

// openLog opens a log that must not need repair.
func openLog(t testing.TB, f *Folder) *EventLog {
	t.Helper()
	l, warning, err := f.OpenLog()
	if err != nil || warning != "" {
		t.Fatalf("%q, %v", warning, err)
	}
	return l
}

func appendAll(t testing.TB, l *EventLog, events ...Event) {
	t.Helper()
	for _, e := range events {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, f *Folder, from int64) ([]Event, int64) {
	t.Helper()
	events, next, err := ReadEvents(f.Dir(), from)
	if err != nil {
		t.Fatal(err)
	}
	return events, next
}

func TestEventsRoundTrip(t *testing.T) {
	f := create(t)
	if events, next := read(t, f, 0); len(events) != 0 || next != 0 {
		t.Errorf("a run without a log has %d events", len(events))
	}
	l := openLog(t, f)
	at := time.Date(2025, 1, 2, 3, 4, 5, 6789012, time.FixedZone("x", 3600))
	m := &Metrics{Loss: Float(math.NaN()), GradNorm: Float(math.Inf(1)), LR: 1e-30, Buckets: []Float{1, Float(math.NaN())}}
	appendAll(t, l, Event{Step: 3, Time: at, Metrics: m}, Event{Log: &Log{Level: "info", Text: "a\nb\x1b[31m\xff"}})
	if err := l.Append(Event{Kind: KindStep}); err == nil {
		t.Error("an event without content was logged")
	}
	if err := l.Append(Event{Log: &Log{}, End: &End{}}); err == nil {
		t.Error("an event with two contents was logged")
	}
	events, next := read(t, f, 0)
	if len(events) != 2 {
		t.Fatalf("%d events, want 2", len(events))
	}
	e := events[0]
	if e.V != EventVersion || e.Kind != KindStep || !e.Time.Equal(at.Truncate(time.Millisecond)) || e.Step != 3 {
		t.Errorf("event %+v", e)
	}
	if g := e.Metrics; !math.IsNaN(float64(g.Loss)) || !math.IsNaN(float64(g.GradNorm)) || g.LR != 1e-30 || !math.IsNaN(float64(g.Buckets[1])) {
		t.Errorf("metrics %+v", e.Metrics)
	}
	if time.Since(events[1].Time) > time.Minute || events[1].Log.Text != "a\nb\x1b[31m�" {
		t.Errorf("event %+v", events[1])
	}
	appendAll(t, l, step(4, 1))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if more, _ := read(t, f, next); len(more) != 1 || more[0].Step != 4 {
		t.Errorf("after the first two: %+v", more)
	}
}

func TestTornLine(t *testing.T) {
	f := create(t)
	l := openLog(t, f)
	appendAll(t, l, step(1, 1), step(2, 1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole := must(os.ReadFile(f.Path(eventsName)))(t)
	for _, tail := range []string{`{"v":1,"ki`, "\x00\x00\x00", strings.Repeat("x", 200<<10), string(whole[:len(whole)/2-1])} {
		write(t, f.Path(eventsName), string(whole)+tail)
		if events, next := read(t, f, 0); len(events) != 2 || next != int64(len(whole)) {
			t.Errorf("%d events and %d bytes are read before a torn line", len(events), next)
		}
		l, warning, err := f.OpenLog()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(warning, "torn") || !strings.Contains(warning, fmt.Sprint(len(tail))) {
			t.Errorf("the warning is %q", warning)
		}
		appendAll(t, l, step(3, 1))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if events, _ := read(t, f, 0); len(events) != 3 || events[2].Step != 3 {
			t.Errorf("%d events after the repair", len(events))
		}
	}
	write(t, f.Path(eventsName), "no line at all")
	if _, warning, err := f.OpenLog(); err != nil || warning == "" {
		t.Errorf("%q, %v", warning, err)
	}
}

func TestCorruptAndNewer(t *testing.T) {
	f := create(t)
	good := `{"v":1,"kind":"state","time":"2025-01-01T00:00:00Z","step":1,"state":{"name":"running"}}` + "\n"
	for _, bad := range []string{
		"not json", `{"v":1}`, `{"kind":"log","log":{}}`, `{"v":1,"kind":"log"}`, `{"v":1,"kind":"step","log":{}}`, `[]`, "\x00\x00",
		`{"v":1,"kind":"step","metrics":{"loss":"x"}}`, strings.Repeat("y", maxLine+1),
	} {
		write(t, f.Path(eventsName), good+"\n"+good+bad+"\n"+good)
		events, next, err := ReadEvents(f.Dir(), 0)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Line != 4 || len(events) != 2 {
			t.Errorf("%.30q: %d events, %v", bad, len(events), err)
		}
		wantError(t, err, "events.jsonl", "line 4")
		if events, _ := read(t, f, next); len(events) != 1 {
			t.Errorf("%.30q: %d events behind it", bad, len(events))
		}
	}
	for _, later := range []string{`{"v":9,"kind":"log","log":{}}`, `{"v":9,"kind":{"new":1},"step":"x"}`} {
		write(t, f.Path(eventsName), good+later+"\n"+good)
		events, next, err := ReadEvents(f.Dir(), 0)
		var newer *NewerError
		if !errors.As(err, &newer) || newer.Version != 9 || len(events) != 1 || next != int64(len(good)) {
			t.Errorf("a newer event: %d events, next %d, %v", len(events), next, err)
		}
		wantError(t, err, "version 9", "line 2")
	}
	// A kind of the same version that is not known is no trouble.
	write(t, f.Path(eventsName), `{"v":1,"kind":"applause","applause":{"loud":true}}`+"\n")
	if events, _ := read(t, f, 0); len(events) != 1 || events[0].Kind != "applause" {
		t.Errorf("an unknown kind: %+v", events)
	}
}

// A fullDisk is a file that takes room bytes more.
type fullDisk struct {
	logFile
	room int
	dead bool // not even truncating works
}

var errFull = errors.New("no space left on device")

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) <= d.room {
		d.room -= len(p)
		return d.logFile.Write(p)
	}
	n, _ := d.logFile.Write(p[:d.room])
	d.room = 0
	return n, errFull
}

func (d *fullDisk) Truncate(n int64) error {
	if d.dead {
		return errFull
	}
	return d.logFile.Truncate(n)
}

func TestAppendOnFullDisk(t *testing.T) {
	for _, dead := range []bool{false, true} {
		f := create(t)
		l := openLog(t, f)
		appendAll(t, l, step(1, 1))
		disk := &fullDisk{logFile: l.file, room: 20, dead: dead}
		l.file = disk
		for range 3 {
			if err := l.Append(step(2, 1)); !errors.Is(err, errFull) {
				t.Errorf("error %v", err)
			}
			if events, next := read(t, f, 0); len(events) != 1 {
				t.Errorf("%d events are read on the full disk", len(events))
			} else if size := must(os.Stat(f.Path(eventsName)))(t).Size(); !dead && size != next {
				t.Errorf("a part of a line is left: %d bytes", size-next)
			}
		}
		disk.room, disk.dead = 1<<20, false
		appendAll(t, l, step(3, 1))
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if events, _ := read(t, f, 0); len(events) != 2 || events[1].Step != 3 {
			t.Errorf("dead %v: %+v", dead, events)
		}
	}
}

func TestAppendConcurrently(t *testing.T) {
	f := create(t)
	l := openLog(t, f)
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range 100 {
				if err := l.Append(step(int64(k*100+i), 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if events, _ := read(t, f, 0); len(events) != 400 {
		t.Errorf("%d events", len(events))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// receive takes n events, or fails.
func receive(t testing.TB, ch <-chan Event, n int) []Event {
	t.Helper()
	var got []Event
	timeout := time.After(time.Minute)
	for len(got) < n {
		select {
		case e, ok := <-ch:
			if !ok {
				t.Fatalf("the channel is closed after %d events", len(got))
			}
			got = append(got, e)
		case <-timeout:
			t.Fatalf("%d events came, want %d", len(got), n)
		}
	}
	return got
}

func closed(t testing.TB, ch <-chan Event) {
	t.Helper()
	select {
	case e, ok := <-ch:
		if ok {
			t.Errorf("one event too many: %+v", e)
		}
	case <-time.After(time.Minute):
		t.Error("the channel stays open")
	}
}

func TestFollow(t *testing.T) {
	f := create(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	early := Follow(ctx, f.Dir(), time.Millisecond) // before there is a log
	l := openLog(t, f)
	appendAll(t, l, step(1, 1), step(2, 1))
	late := Follow(ctx, f.Dir(), time.Millisecond)
	for name, ch := range map[string]<-chan Event{"early": early, "late": late} {
		if got := receive(t, ch, 2); got[0].Step != 1 || got[1].Step != 2 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// A line that comes in two parts comes once.
	raw := l.file.(io.Writer)
	for _, part := range []string{`{"v":1,"kind":"log","step":3,`, `"log":{"text":"x"}}` + "\n"} {
		if _, err := io.WriteString(raw, part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	// Something that is no event is said, and what follows still comes.
	if _, err := io.WriteString(raw, "junk\n"); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, step(4, 1))
	for _, ch := range []<-chan Event{early, late} {
		got := receive(t, ch, 3)
		if got[0].Step != 3 || got[1].Log == nil || got[1].Log.Level != "error" || !strings.Contains(got[1].Log.Text, "line 4") || got[2].Step != 4 {
			t.Errorf("%+v", got)
		}
	}
	cancel()
	closed(t, early)
	closed(t, late)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// What was written before a trainer was seen to have ended is told, however seldom one looks.
func TestFollowTo(t *testing.T) {
	f := create(t)
	l := openLog(t, f)
	appendAll(t, l, step(1, 1))
	last := make(chan struct{})
	ch := FollowTo(t.Context(), f.Dir(), time.Hour, last, nil)
	receive(t, ch, 1)
	appendAll(t, l, step(2, 1), step(3, 1))
	close(last)
	if got := receive(t, ch, 2); got[0].Step != 2 || got[1].Step != 3 {
		t.Errorf("%+v", got)
	}
	closed(t, ch)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Who has asked the trainer for something sees what comes of it, however seldom one looks.
func TestFollowSoon(t *testing.T) {
	f := create(t)
	l := openLog(t, f)
	appendAll(t, l, step(1, 1))
	soon := make(chan struct{})
	ch := FollowTo(t.Context(), f.Dir(), time.Hour, nil, soon)
	receive(t, ch, 1)
	appendAll(t, l, step(2, 1))
	soon <- struct{}{}
	receive(t, ch, 1)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestFollowNewer(t *testing.T) {
	f := create(t)
	write(t, f.Path(eventsName), `{"v":2,"kind":"log","log":{}}`+"\n")
	ch := Follow(t.Context(), f.Dir(), time.Millisecond)
	if got := receive(t, ch, 1); got[0].Log == nil || !strings.Contains(got[0].Log.Text, "version 2") {
		t.Errorf("%+v", got)
	}
	closed(t, ch)
}

// Trouble that lasts is said once.
func TestFollowTrouble(t *testing.T) {
	f := create(t)
	if err := os.Mkdir(f.Path(eventsName), 0o777); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ch := Follow(ctx, f.Dir(), time.Millisecond)
	if got := receive(t, ch, 1); got[0].Log == nil {
		t.Errorf("%+v", got)
	}
	time.Sleep(20 * time.Millisecond)
	cancel()
	closed(t, ch)
}

// A follower that nobody reads from ends with its context.
func TestFollowAbandoned(t *testing.T) {
	f := create(t)
	l := openLog(t, f)
	for i := range 1000 {
		appendAll(t, l, step(int64(i), 1))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ch := Follow(ctx, f.Dir(), time.Millisecond)
	receive(t, ch, 1)
	cancel()
	for range ch { // what was under way, then closed
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkReadEvents(b *testing.B) {
	f := create(b)
	l := openLog(b, f)
	for i := range 10000 {
		appendAll(b, l, step(int64(i), 0.123456789))
	}
	stat, err := os.Stat(f.Path(eventsName))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(stat.Size())
	for b.Loop() {
		read(b, f, 0)
	}
}
