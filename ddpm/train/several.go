package train

import (
	"context"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// Where the device can, several steps are submitted at a time: one that had to wait for the host between two short steps would stand
// still. How many at a time changes nothing that is computed. A step with a bad value changes no weights, nor do those after it, since its
// norm, which stays in the metrics, makes theirs bad too (with loss scaling such a step is skipped on the device, and the next one counts).
var atOnce = 100 * time.Millisecond // of steps: so long may a command wait; a variable for tests

const mostAt = 64

// RunSeveral does n training steps without a word from the host in between. Next then gives their results, in order.
func (s *Step) RunSeveral(ctx context.Context, n int) error {
	ring, p := make([][]float32, n), make([][]byte, n)
	for i := range ring {
		ring[i] = make([]float32, len(s.metrics))
		p[i] = model.BytesOf(ring[i])
	}
	if err := s.exec.(backend.Recorder).RunRecorded(ctx, s.Memory.Buffer(bufMetrics), p); err != nil {
		return err
	}
	s.ring = ring
	return nil
}

// Next is the result of the first step that RunSeveral did and Next has not told of. Only now the step counts as done.
func (s *Step) Next() *Result {
	s.metrics, s.ring = s.ring[0], s.ring[1:]
	return s.next()
}

// several is how many steps to do at once: none beyond one after which something is due.
func (t *Trainer) several(timed bool) int {
	c, done := t.Config, t.Step.Done
	if _, ok := t.Step.Executable().(backend.Recorder); !ok || timed || t.team.Size() > 1 || t.rate.n < 3 {
		return 1
	}
	n := min(int64(atOnce.Seconds()/t.rate.seconds()), mostAt, c.Steps-done)
	every := func(steps int64) {
		if steps > 0 {
			n = min(n, steps-done%steps)
		}
	}
	every(c.CheckpointSteps)
	every(c.EMA.SnapshotSteps)
	if c.Eval != nil {
		every(c.Eval.Steps)
	}
	if len(t.ahead) > 0 {
		n = min(n, t.ahead[0].Step-done)
	}
	if c.scaled() { // at worst each step halves the scale, and below the least the run stops at once
		n = min(n, int64(exponent(t.Step.scaling.Scale)-exponent(leastScale)))
	}
	return int(max(n, 1))
}

// run does steps, and returns how many and what gives their results in order.
func (t *Trainer) run(ctx context.Context, timed bool) (n int, next func() *Result, err error) {
	if n = t.several(timed); n > 1 {
		return n, t.Step.Next, t.Step.RunSeveral(ctx, n)
	}
	r, err := t.Step.Run(ctx)
	return 1, func() *Result { return r }, err
}
