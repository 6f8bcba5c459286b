package run

import "math"

// A spark is the course of the loss, for a line of a few characters.
type spark struct {
	steps  []int64
	losses []float64
}

// add takes an event's loss. A run that went back, to the checkpoint that it
// was resumed from, takes back what it had learnt after it.
func (s *spark) add(e Event) {
	if e.Start == nil && e.Metrics == nil {
		return
	}
	n := len(s.steps)
	for n > 0 && (s.steps[n-1] > e.Step || e.Metrics != nil && s.steps[n-1] == e.Step) {
		n--
	}
	s.steps, s.losses = s.steps[:n], s.losses[:n]
	if e.Metrics == nil {
		return
	}
	if v := float64(e.Metrics.LossEMA); !math.IsNaN(v) {
		s.steps, s.losses = append(s.steps, e.Step), append(s.losses, v)
	}
}

// thin returns at most n of the losses with their steps, evenly spaced in
// steps, the last one always.
func (s *spark) thin(n int) ([]int64, []float64) {
	if len(s.losses) <= n {
		return s.steps, s.losses
	}
	last := len(s.steps) - 1
	first, span := float64(s.steps[0]), float64(s.steps[last]-s.steps[0])
	steps, out := make([]int64, 0, n), make([]float64, 0, n)
	for i, k := 0, 0; k < n; k++ {
		// The k-th point is the last one at or before the k-th of n equal parts.
		for i < last && float64(s.steps[i+1])-first <= span*float64(k)/float64(n-1) {
			i++
		}
		if k == n-1 {
			i = last
		}
		steps, out = append(steps, s.steps[i]), append(out, s.losses[i])
	}
	return steps, out
}
