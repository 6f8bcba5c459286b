package main

import (
	"runtime"
	"testing"
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
}
