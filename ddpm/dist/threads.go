package dist

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Threads makes n ranks of goroutines in this process, which tests need: all that is built on Comm can be seen without MPI.
func Threads(n int) []Comm {
	j := &joined{n: n}
	j.cond.L = &j.mu
	list := make([]Comm, n)
	for i := range list {
		list[i] = &thread{j: j, rank: i}
	}
	return list
}

// joined is what the ranks share: the meetings that are going on, by their number.
type joined struct {
	mu   sync.Mutex
	cond sync.Cond
	n    int
	at   map[int]*meeting
	err  error
}

// A meeting is one call that all ranks make.
type meeting struct {
	what    string
	came    int
	left    int
	floats  [][]float32
	bytes   [][]byte
	decided bool
	wrong   error
}

type thread struct {
	j    *joined
	rank int
	next int // number of the next meeting
}

func (t *thread) Rank() int { return t.rank }
func (t *thread) Size() int { return t.j.n }

// come enters the next meeting, and returns what waits for its end.
func (t *thread) come(what string, floats []float32, bytes []byte, decide func(*meeting) error) func() (*meeting, error) {
	j, id := t.j, t.next
	t.next++
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.at == nil {
		j.at = map[int]*meeting{}
	}
	m := j.at[id]
	if m == nil {
		m = &meeting{what: what, floats: make([][]float32, j.n), bytes: make([][]byte, j.n)}
		j.at[id] = m
	}
	m.floats[t.rank], m.bytes[t.rank] = floats, bytes
	if m.what != what {
		m.wrong = fmt.Errorf("dist: rank %d came to %s, others to %s", t.rank, what, m.what)
	}
	if m.came++; m.came == j.n {
		if m.wrong == nil {
			m.wrong = decide(m)
		}
		m.decided = true
		j.cond.Broadcast()
	}
	return func() (*meeting, error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		for !m.decided && j.err == nil {
			j.cond.Wait()
		}
		if m.left++; m.left == j.n {
			delete(j.at, id)
		}
		if !m.decided {
			return nil, j.err
		}
		return m, m.wrong
	}
}

func (t *thread) Broadcast(root int, p []byte) error {
	_, err := t.come("broadcast", nil, p, func(m *meeting) error {
		for _, q := range m.bytes {
			if len(q) != len(m.bytes[root]) {
				return fmt.Errorf("dist: a broadcast of %d bytes into %d", len(m.bytes[root]), len(q))
			}
			copy(q, m.bytes[root])
		}
		return nil
	})()
	return err
}

func (t *thread) AllReduce(v []float32) Pending {
	begin := time.Now()
	wait := t.come("all-reduce", v, nil, func(m *meeting) error {
		for _, w := range m.floats {
			if len(w) != len(m.floats[0]) {
				return fmt.Errorf("dist: an all-reduce of %d floats and of %d", len(m.floats[0]), len(w))
			}
		}
		for i := range m.floats[0] {
			sum := m.floats[0][i]
			for _, w := range m.floats[1:] {
				sum += w[i]
			}
			for _, w := range m.floats {
				w[i] = sum
			}
		}
		return nil
	})
	return &threadPending{wait: wait, begin: begin}
}

type threadPending struct {
	wait       func() (*meeting, error)
	begin, end time.Time
}

func (p *threadPending) Wait() error {
	_, err := p.wait()
	p.end = time.Now()
	return err
}

func (p *threadPending) Span() (begin, end time.Time) { return p.begin, p.end }

func (t *thread) Gather(p []byte) ([][]byte, error) {
	m, err := t.come("gather", nil, slices.Clone(p), func(*meeting) error { return nil })() // p is the caller's again afterwards
	if err != nil || t.rank != 0 {
		return nil, err
	}
	return m.bytes, nil
}

func (t *thread) Barrier() error {
	_, err := t.come("barrier", nil, nil, func(*meeting) error { return nil })()
	return err
}

func (t *thread) Fail(err error) {
	t.j.mu.Lock()
	defer t.j.mu.Unlock()
	if t.j.err == nil {
		t.j.err = &RankError{Rank: t.rank, Text: "failed: " + err.Error()}
	}
	t.j.cond.Broadcast()
}

func (t *thread) Abort(int) { t.Fail(fmt.Errorf("the job was ended")) }

func (t *thread) Close() error { return nil }
