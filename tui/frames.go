package tui

import (
	"reflect"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A frameClock is bubbletea's own, which wakes the process frameRate times a second to look whether there is a frame to write. Where a
// screen seldom changes, waking is a good part of what it costs; so the clock goes slowly until there is something to write.
type frameClock struct {
	ticker *time.Ticker // nil: this bubbletea keeps its clock elsewhere, and it always goes fast
	calm   *time.Timer  // tells when nothing has changed for a while
	fast   bool
}

const (
	idleRate  = 1                     // looks a second while nothing changes
	idleAfter = 25 * time.Millisecond // without a change: a frame and a half
)

// calmMsg says that nothing has changed for a while.
type calmMsg struct{}

// newFrameClock finds the clock of a program that runs. Its field is not exported, so it may be gone in another version of bubbletea,
// which TestFrameClock would tell.
func newFrameClock(p *tea.Program) *frameClock {
	c := &frameClock{fast: true}
	if f := reflect.ValueOf(p).Elem().FieldByName("ticker"); f.IsValid() && f.Type() == reflect.TypeFor[*time.Ticker]() {
		c.ticker = (*time.Ticker)(f.UnsafePointer())
	}
	return c
}

// hurry is for a frame that is to be written. After a while without one, send brings a calmMsg to the event loop, for rest.
func (c *frameClock) hurry(send func(tea.Msg)) {
	if c.ticker == nil {
		return
	}
	if c.calm == nil {
		c.calm = time.AfterFunc(idleAfter, func() { send(calmMsg{}) })
	}
	c.calm.Reset(idleAfter)
	if !c.fast {
		c.fast = true
		c.ticker.Reset(time.Second / frameRate)
	}
}

// rest makes the clock go slowly, unless a frame is still being written: then what changed meanwhile waits for the next tick.
func (c *frameClock) rest(writing bool) {
	if writing {
		c.calm.Reset(idleAfter)
		return
	}
	c.fast = false
	c.ticker.Reset(time.Second / idleRate)
}
