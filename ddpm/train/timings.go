package train

import (
	"cmp"
	"slices"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// timingsEvery is the time between two steps whose operations are timed.
const timingsEvery = 15 * time.Second

// clocks are the times around steps.
type clocks struct {
	ended  time.Time     // the last step; zero after anything but a step
	waited time.Duration // between the last two steps
	timed  time.Time     // the last step whose operations were
	before []time.Duration
}

// beginStep is called before a step.
func (c *clocks) beginStep() time.Time {
	now := time.Now()
	c.waited = 0
	if !c.ended.IsZero() {
		c.waited = now.Sub(c.ended)
	}
	return now
}

// endStep is called after it, and returns how long it took.
func (c *clocks) endStep(start time.Time) time.Duration {
	c.ended = time.Now()
	return c.ended.Sub(start)
}

// pauseClock says that something else than steps was done.
func (c *clocks) pauseClock() { c.ended = time.Time{} }

// timeStep turns the timing of operations on, now and then, where the backend has it.
func (t *Trainer) timeStep() bool {
	e := t.Step.Executable()
	timer, ok := e.(backend.Timer)
	if !ok || t.seen < 2 || time.Since(t.timed) < timingsEvery { // the first steps are not as the others
		return false
	}
	t.timed = time.Now()
	t.before = t.before[:0]
	for _, k := range e.Timings() {
		t.before = append(t.before, k.Total)
	}
	timer.SetTiming(true)
	return true
}

// reportTimings turns it off and says what was measured.
func (t *Trainer) reportTimings() {
	e := t.Step.Executable()
	e.(backend.Timer).SetTiming(false)
	byOp := map[string]*run.OpTime{}
	flops := map[string]int64{}
	var all run.Timings
	for i, k := range e.Timings() {
		d := k.Total
		if i < len(t.before) {
			d = max(0, d-t.before[i])
		}
		o := byOp[k.Step.Op]
		if o == nil {
			o = &run.OpTime{Op: k.Step.Op}
			byOp[k.Step.Op] = o
		}
		o.Calls++
		o.Seconds += run.Float(d.Seconds())
		flops[k.Step.Op] += k.Step.FLOPs
		all.StepS += run.Float(d.Seconds())
	}
	for name, o := range byOp {
		if o.Seconds > 0 {
			o.GFLOPS = run.Float(float64(flops[name]) / float64(o.Seconds) / 1e9)
		}
		all.Ops = append(all.Ops, *o)
	}
	slices.SortFunc(all.Ops, func(a, b run.OpTime) int { return cmp.Or(-cmp.Compare(a.Seconds, b.Seconds), cmp.Compare(a.Op, b.Op)) })
	if len(all.Ops) > 0 {
		t.emit(run.Event{Kind: run.KindTimings, Timings: &all})
	}
}

// parts are the buffers of the memory plan, the largest first.
func (s *Step) memoryParts() []run.Part {
	var list []run.Part
	for name, n := range s.need {
		list = append(list, run.Part{Name: name, Bytes: int64(n)})
	}
	slices.SortFunc(list, func(a, b run.Part) int { return cmp.Or(-cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.Name, b.Name)) })
	return list
}
