package cpu

import (
	"runtime"
	"sync/atomic"
	"time"
)

// pool runs loops over a fixed set of workers; the caller is worker 0. Each worker has a share of a loop's tasks, one after the
// other, and then helps with what is left of the others': what it has just written, the next loop's tasks of the same images find
// in its cache. A loop ends when its tasks are done, not when every worker has taken part, so that a worker whom the system has put
// aside costs nothing but the task it is in. A waiting worker spins for some milliseconds, since the next loop of a program
// comes sooner, and then parks.
type pool struct {
	n       int
	loops   atomic.Uint32
	pending atomic.Int64 // tasks not yet done
	shares  []share
	f       func(worker, task int)
	stop    atomic.Bool
	sleeper []sleeper
}

// share is one worker's part of a loop: loop number << 32 | tasks not yet claimed, and behind the last of them.
type share struct {
	left atomic.Uint64
	end  int
	_    [48]byte // one cache line each
}

type sleeper struct {
	parked atomic.Bool
	wake   chan struct{}
	_      [64]byte // one cache line each
}

// A waiting thread lets others have its processor now and then, and gives up after a while: a wake-up takes long where the processor itself
// has gone to sleep, above all in a virtual machine (tens of microseconds to a hundred), and a program has hundreds of loops a second.
// With 20 us in place of milliseconds, a training step of R64 on two threads took 1.39 s in place of 1.13.
const (
	waitRound = 1000                 // looks between two offers of the processor to other goroutines: about a microsecond
	waitYield = 50 * waitRound       // and to other threads and processes, which take it for milliseconds
	waitWork  = 5 * time.Millisecond // of a worker for the next loop, before it parks
	waitEnd   = 5 * time.Millisecond // of the caller for the end of a loop, before it sleeps between rounds of looks
	waitSleep = 100 * time.Microsecond
)

// A wait counts the looks of one that waits.
type wait struct {
	looks int
	since time.Time
}

// over is called after each look in vain: it says whether the wait has lasted for longer than limit.
func (w *wait) over(limit time.Duration) bool {
	if w.looks++; w.looks%waitRound != 0 {
		return false
	}
	runtime.Gosched()
	if w.looks%waitYield != 0 {
		return false
	}
	yield()
	now := time.Now()
	if w.since.IsZero() {
		w.since = now
	}
	return now.Sub(w.since) > limit
}

func newPool(n int) *pool {
	p := &pool{n: n, shares: make([]share, n), sleeper: make([]sleeper, n)}
	for w := 1; w < n; w++ {
		p.sleeper[w].wake = make(chan struct{}, 1)
		go p.loop(w)
	}
	return p
}

// run calls f(worker, task) for each task in 0..tasks-1. A worker does one task at a time.
func (p *pool) run(tasks int, f func(worker, task int)) {
	if p.n == 1 || tasks <= 1 {
		for i := range tasks {
			f(0, i)
		}
		return
	}
	p.f = f
	p.pending.Store(int64(tasks))
	loop := p.loops.Load() + 1
	for w := range p.shares {
		from, to := w*tasks/p.n, (w+1)*tasks/p.n
		p.shares[w].end = to
		p.shares[w].left.Store(uint64(loop)<<32 | uint64(to-from))
	}
	p.loops.Store(loop)
	for w := 1; w < p.n; w++ {
		if s := &p.sleeper[w]; s.parked.Load() && s.parked.CompareAndSwap(true, false) {
			s.wake <- struct{}{}
		}
	}
	p.work(0)
	for w := (wait{}); p.pending.Load() != 0; {
		if w.over(waitEnd) { // the system has put a worker aside in a task
			time.Sleep(waitSleep)
		}
	}
}

// work claims tasks until there are none. A claim succeeds only while its loop is going on, and the loop cannot end before
// the task is done, so f and the share's end are that loop's.
func (p *pool) work(w int) {
	for k := range p.n {
		s := &p.shares[(w+k)%p.n]
		for {
			left := s.left.Load()
			if uint32(left) == 0 {
				break
			}
			if s.left.CompareAndSwap(left, left-1) {
				p.f(w, s.end-int(uint32(left)))
				p.pending.Add(-1)
			}
		}
	}
}

func (p *pool) loop(w int) {
	s := &p.sleeper[w]
	for {
		seen := p.loops.Load()
		p.work(w)
		for idle := (wait{}); p.loops.Load() == seen; {
			if p.stop.Load() {
				return
			}
			if !idle.over(waitWork) {
				continue
			}
			s.parked.Store(true)
			if (p.loops.Load() != seen || p.stop.Load()) && s.parked.CompareAndSwap(true, false) {
				break // work came while parking, and nobody has woken us
			}
			<-s.wake
			idle = wait{}
		}
	}
}

// close ends the workers; no loop may be going on.
func (p *pool) close() {
	if p.stop.Swap(true) {
		return
	}
	for w := 1; w < p.n; w++ {
		if s := &p.sleeper[w]; s.parked.CompareAndSwap(true, false) {
			s.wake <- struct{}{}
		}
	}
}
