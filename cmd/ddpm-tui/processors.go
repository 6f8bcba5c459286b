package main

import (
	"runtime"
	"sync"
	"time"
)

// A screen that watches has little to do, often: with two processors Go wakes a second one each time, to look whether there is work for it
// too, which was a sixth of all that a viewer cost. So it gets one, but while it computes samples.
var processors struct {
	mu          sync.Mutex
	all         int // without us
	calm, heavy int // who has asked for one, and for all
}

// settled is how long a screen has all processors at its start, when there is a history to read beside the first frames.
const settled = 3 * time.Second

// calmAfter is calm after a while.
func calmAfter(d time.Duration) (end func()) {
	var mu sync.Mutex
	stop, over := func() {}, false
	timer := time.AfterFunc(d, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			stop = calm()
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
		stop()
	}
}

// calm makes one processor do, until end is called.
func calm() (end func()) { return use(&processors.calm) }

// heavy lets all processors work, until end is called.
func heavy() (end func()) { return use(&processors.heavy) }

func use(n *int) (end func()) {
	change := func(by int) {
		p := &processors
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.calm == 0 || p.heavy > 0 {
			p.all = runtime.GOMAXPROCS(0)
		}
		if *n += by; p.calm > 0 && p.heavy == 0 {
			runtime.GOMAXPROCS(1)
		} else {
			runtime.GOMAXPROCS(p.all)
		}
	}
	change(1)
	return func() { change(-1) }
}
