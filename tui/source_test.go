package tui

import (
	"testing"
	"time"
)

// What is gathered waits for its time, unless something is urgent, or is to be shown now.
func TestGather(t *testing.T) {
	items := make(chan int, 8)
	now := make(chan struct{}, 1)
	take := func(most time.Duration, n ...int) []int {
		for _, i := range n {
			items <- i
		}
		return gatherFor(items, most, now, func(i int) bool { return i < 0 })().(batchMsg[int]).items
	}
	if got := take(time.Hour, 1, -1); len(got) != 2 {
		t.Error("with something urgent: ", got)
	}
	if got := take(time.Millisecond, 1); len(got) != 1 {
		t.Error("after its time: ", got)
	}
	now <- struct{}{}
	if got := take(time.Hour, 1); len(got) != 1 {
		t.Error("now: ", got)
	}
}
