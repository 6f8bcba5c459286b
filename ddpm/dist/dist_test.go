package dist

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// exercise calls everything that a Comm has, as one of its ranks, and says what is wrong.
func exercise(c Comm) error {
	rank, size := c.Rank(), c.Size()
	for _, root := range []int{0, size - 1} {
		p := bytes.Repeat([]byte{byte(10 + rank)}, 1000)
		if err := c.Broadcast(root, p); err != nil {
			return err
		}
		if !bytes.Equal(p, bytes.Repeat([]byte{byte(10 + root)}, 1000)) {
			return fmt.Errorf("rank %d: the broadcast of %d gave %d", rank, root, p[0])
		}
	}
	// Several sums under way at a time, of lengths that take every way an MPI has.
	var pending []Pending
	var all [][]float32
	for _, n := range []int{1, 7, 5000, 300001} {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rank+1) * float32(i%1000)
		}
		all, pending = append(all, v), append(pending, c.AllReduce(v))
	}
	for k, p := range pending {
		if err := p.Wait(); err != nil {
			return err
		}
		for i, got := range all[k] {
			if want := float32(size*(size+1)/2) * float32(i%1000); got != want {
				return fmt.Errorf("rank %d: element %d of %d is %v, want %v", rank, i, len(all[k]), got, want)
			}
		}
		if begin, end := p.Span(); size > 1 && (begin.IsZero() || end.Before(begin)) {
			return fmt.Errorf("rank %d: a sum from %v to %v", rank, begin, end)
		}
	}
	// All ranks have the same bits, whatever the order in which they were added.
	v := make([]float32, 10007)
	for i := range v {
		v[i] = float32(math.Sin(float64(i*(rank+3)))) * float32(math.Pow(10, float64(rank%5)))
	}
	if err := c.AllReduce(v).Wait(); err != nil {
		return err
	}
	bits := ""
	for _, f := range v {
		bits += string(rune(math.Float32bits(f) % 50000))
	}
	sums, err := GatherJSON(c, bits)
	if err != nil {
		return err
	}
	for r, s := range sums {
		if s != sums[0] {
			return fmt.Errorf("rank %d has other bits than rank 0", r)
		}
	}
	list, err := c.Gather(bytes.Repeat([]byte{byte(rank)}, 3*rank)) // rank 0's is empty
	if err != nil {
		return err
	}
	if (list == nil) != (rank != 0) {
		return fmt.Errorf("rank %d gathered %v", rank, list)
	}
	for r, p := range list {
		if !bytes.Equal(p, bytes.Repeat([]byte{byte(r)}, 3*r)) {
			return fmt.Errorf("rank %d sent %v", r, p)
		}
	}
	word := map[string]int{"rank": rank}
	if err := Tell(c, &word); err != nil || word["rank"] != 0 {
		return fmt.Errorf("rank %d was told %v, %v", rank, word, err)
	}
	peers, err := Introduce(c)
	if err != nil || len(peers) != size {
		return fmt.Errorf("rank %d knows of %v, %v", rank, peers, err)
	}
	if before, of, cpus := Place(peers, rank); before != rank || of != size || cpus < 1 {
		return fmt.Errorf("rank %d is number %d of %d here, with %d processors", rank, before, of, cpus)
	}
	return c.Barrier()
}

func TestAlone(t *testing.T) {
	if err := errors.Join(exercise(Alone), Alone.Close()); err != nil {
		t.Error(err)
	}
}

func TestThreads(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		errs := make([]error, n)
		var wait sync.WaitGroup
		for r, c := range Threads(n) {
			wait.Go(func() {
				if errs[r] = exercise(c); errs[r] != nil {
					c.Fail(errs[r])
				}
			})
		}
		wait.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Errorf("%d ranks: %v", n, err)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct{ n, size int }{{32, 4}, {10, 3}, {2, 2}, {3, 5}, {0, 2}} {
		at, most, least := 0, 0, c.n
		for r := range c.size {
			begin, end := Share(c.n, r, c.size)
			if begin != at {
				t.Errorf("%d things, rank %d of %d: from %d, the one before ended at %d", c.n, r, c.size, begin, at)
			}
			at = end
			most, least = max(most, end-begin), min(least, end-begin)
		}
		if at != c.n || most-least > 1 {
			t.Errorf("%d things for %d ranks: ended at %d, shares of %d to %d", c.n, c.size, at, least, most)
		}
	}
}

func TestPlace(t *testing.T) {
	peers := []Peer{{Host: "a", CPUs: "0-7", Count: 8}, {Host: "b", CPUs: "0-3", Count: 4}, {Host: "a", CPUs: "0-7", Count: 8}, {Host: "b", CPUs: "4", Count: 1}}
	for r, want := range [][3]int{{0, 2, 4}, {0, 2, 4}, {1, 2, 4}, {1, 2, 1}} {
		if before, all, cpus := Place(peers, r); [3]int{before, all, cpus} != want {
			t.Errorf("rank %d: %d of %d, %d processors; want %v", r, before, all, cpus, want)
		}
	}
}

// A job of watches whose messages a test carries.
type jobOfWatches struct {
	ws   []*watch
	now  time.Time
	lost []*RankError
	mute map[int]bool // neither heard nor hearing
	dead map[int]bool
}

func newJob(n int) *jobOfWatches {
	peers := make([]Peer, n)
	for i := range peers {
		peers[i] = Peer{Host: fmt.Sprintf("host%d", i), PID: 100 + i}
	}
	j := &jobOfWatches{now: time.Unix(1000, 0), lost: make([]*RankError, n), mute: map[int]bool{}, dead: map[int]bool{}}
	for i := range n {
		w := newWatch(i, peers, Options{})
		w.alive = func(p Peer) bool { return !j.dead[p.PID-100] }
		j.ws = append(j.ws, w)
	}
	return j
}

// pass lets time go by, with messages at the end of each moment.
func (j *jobOfWatches) pass(d time.Duration) {
	for end := j.now.Add(d); j.now.Before(end); {
		j.now = j.now.Add(watchEvery)
		for r, w := range j.ws {
			if j.dead[r] {
				continue
			}
			said, lost := w.tick(j.now)
			j.lost[r] = lost
			for _, m := range said {
				if !j.mute[r] && !j.mute[m.to] {
					j.ws[m.to].hear(r, m.text, j.now)
				}
			}
		}
	}
}

func TestWatch(t *testing.T) {
	quiet := func(j *jobOfWatches) {
		t.Helper()
		for r, l := range j.lost {
			if l != nil {
				t.Fatalf("rank %d misses %v", r, l)
			}
		}
	}
	found := func(j *jobOfWatches, rank int, text string) {
		t.Helper()
		for r, l := range j.lost {
			if r != rank && (l == nil || l.Rank != rank || l.Host != fmt.Sprintf("host%d", rank) || !strings.Contains(l.Error(), text)) {
				t.Errorf("rank %d knows %v, want that rank %d %s", r, l, rank, text)
			}
		}
	}
	j := newJob(4)
	j.pass(time.Minute)
	quiet(j)
	j.mute[2] = true // its host is gone
	j.pass(Silence - time.Second)
	quiet(j)
	j.pass(2 * time.Second)
	found(j, 2, "was not heard of")

	j = newJob(4)
	j.pass(time.Minute)
	j.mute[0] = true // each of the others sees it
	j.pass(Silence + time.Second)
	found(j, 0, "was not heard of")

	j = newJob(3)
	j.pass(time.Second)
	j.dead[1] = true
	j.pass(3 * watchEvery)
	found(j, 1, "process 101")

	// What a rank says of its end reaches all within a moment; so does what it learnt of another.
	j = newJob(4)
	j.pass(time.Second)
	for _, m := range j.ws[3].failed(errors.New("the device is gone")) {
		j.ws[m.to].hear(3, m.text, j.now)
	}
	j.pass(3 * watchEvery)
	found(j, 3, "failed: the device is gone")
	if again := j.ws[0].failed(j.lost[0]); again != nil {
		t.Errorf("the same is said twice: %v", again)
	}

	// A machine that slept finds everybody silent, and must not believe it.
	j = newJob(3)
	j.pass(time.Second)
	j.now = j.now.Add(time.Hour)
	j.pass(Silence - time.Second)
	quiet(j)

	// Who is asked to stop looks at once who has been silent for long, and otherwise goes on as before.
	j = newJob(3)
	j.pass(time.Minute)
	stop := make(chan struct{})
	j.ws[0].stop = stop
	j.mute[2] = true
	j.pass(stopSilence + time.Second)
	quiet(j)
	close(stop)
	j.pass(3 * watchEvery)
	found(j, 2, "was not heard of for 4s")
	j = newJob(3)
	j.pass(time.Minute)
	stop = make(chan struct{})
	j.ws[0].stop = stop
	close(stop)
	j.mute[2] = true
	j.pass(Silence - time.Second)
	quiet(j)

	// A job that ends in order misses nobody.
	j = newJob(2)
	j.pass(time.Second)
	j.ws[0].off, j.mute[1] = true, true
	if said, lost := j.ws[0].tick(j.now.Add(time.Hour)); said != nil || lost != nil {
		t.Errorf("%v %v after the end", said, lost)
	}
}

// What a message carries comes from another process: nonsense is no reason to fall over.
func TestWatchHearsNonsense(t *testing.T) {
	for _, text := range []string{"", "e", "e7 far", "e-1 x", "ex y", "z", "e 1"} {
		w := newWatch(0, make([]Peer, 2), Options{})
		w.hear(1, text, time.Now())
		if w.lost != nil {
			t.Errorf("%q: %v", text, w.lost)
		}
	}
	long := newWatch(0, make([]Peer, 2), Options{}).failed(errors.New(strings.Repeat("x", 2*messageMost)))
	if len(long) != 1 || len(long[0].text) > messageMost {
		t.Errorf("%d messages", len(long))
	}
}

func TestThisProcessIsAlive(t *testing.T) {
	p := self()
	if !p.alive() || p.PID == 0 || p.Count < 1 {
		t.Errorf("%+v", p)
	}
	if p.PID = 1 << 30; p.Space != "" && p.alive() {
		t.Error("a process that cannot be is alive")
	}
}

// each calls f as every one of n ranks and returns what they return.
func each(n int, f func(c Comm) error) []error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for r, c := range Threads(n) {
		wait.Go(func() { errs[r] = f(c) })
	}
	wait.Wait()
	return errs
}

// An error of any rank is one of all: rank 0's has all of them in it, and the fault of the first.
func TestAgree(t *testing.T) {
	full := &run.DiskError{Err: errors.New("full")}
	for _, c := range []struct {
		name  string
		errs  [3]error
		wants []string
		fault *run.Fault
	}{
		{"none", [3]error{}, nil, nil},
		{"rank 0's", [3]error{full, nil, nil}, []string{"make room"}, &run.FaultDisk},
		{"another's", [3]error{nil, nil, full}, []string{"rank 2", "make room"}, &run.FaultDisk},
		{"two", [3]error{nil, errors.New("no"), full}, []string{"rank 1", "no", "rank 2"}, &run.FaultDisk},
		{"all alike", [3]error{full, full, full}, []string{"make room"}, &run.FaultDisk},
	} {
		for r, err := range each(3, func(comm Comm) error { return Agree(comm, c.errs[comm.Rank()]) }) {
			if (err != nil) != (c.wants != nil) {
				t.Errorf("%s: rank %d returns %v", c.name, r, err)
				continue
			}
			if err != nil && (!errors.As(err, new(*AgreedError)) || run.FaultOf(err) != c.fault) {
				t.Errorf("%s: rank %d returns %v with fault %v", c.name, r, err, run.FaultOf(err))
			}
			for _, want := range c.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: rank %d returns %q, which lacks %q", c.name, r, err, want)
				}
			}
			if own := c.errs[0]; own != nil && r == 0 && !errors.Is(err, own) {
				t.Errorf("%s: rank 0 has lost its error: %v", c.name, err)
			}
		}
	}
	if err := Agree(Alone, full); err != error(full) {
		t.Errorf("one alone returns %v", err)
	}
}

func TestSame(t *testing.T) {
	type config struct {
		Batch int            `json:"batch"`
		Net   map[string]any `json:"net"`
	}
	for _, c := range []struct {
		name   string
		change func(v *config)
		want   string
	}{
		{"nothing", func(*config) {}, ""},
		{"a number", func(v *config) { v.Batch = 64 }, "has batch 64, rank 0 32"},
		{"inside", func(v *config) { v.Net["layers"] = 3 }, "has net.layers 3, rank 0 2"},
		{"one more", func(v *config) { v.Net["bias"] = true }, "has net.bias true, rank 0 none"},
	} {
		for r, err := range each(3, func(comm Comm) error {
			v := &config{32, map[string]any{"layers": 2}}
			if comm.Rank() == 1 {
				c.change(v)
			}
			facts, err := FactsOf(v)
			if err != nil {
				return err
			}
			return Same(comm, facts)
		}) {
			switch {
			case c.want == "" && err == nil:
			case c.want == "" || err == nil:
				t.Errorf("%s: rank %d returns %v", c.name, r, err)
			case !strings.Contains(err.Error(), "rank 1") || !strings.Contains(err.Error(), c.want) || run.FaultOf(err) != &run.FaultDiffer:
				t.Errorf("%s: rank %d returns %v with fault %v", c.name, r, err, run.FaultOf(err))
			}
		}
	}
}
