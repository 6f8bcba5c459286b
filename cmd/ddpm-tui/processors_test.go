package main

import (
	"runtime"
	"testing"
	"time"
)

// A screen that watches has one processor, and all while it computes, in whatever order the two end.
func TestProcessors(t *testing.T) {
	const all = 3
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(all))
	is := func(want int, when string) {
		t.Helper()
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("%s: %d processors, want %d", when, got, want)
		}
	}
	watched := calm()
	is(1, "watching")
	first, second := heavy(), heavy()
	is(all, "computing")
	first()
	is(all, "computing still")
	second()
	is(1, "watching again")
	last := heavy()
	watched()
	is(all, "the screen has ended")
	last()
	is(all, "the end")
	calmAfter(time.Hour)()
	is(all, "an end before the beginning")
	soon := calmAfter(0)
	for deadline := time.Now().Add(30 * time.Second); runtime.GOMAXPROCS(0) != 1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	is(1, "after a while")
	soon()
	is(all, "the end of that")
}
