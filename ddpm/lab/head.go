package lab

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// Bits is what value q costs under the parameters p of a head with a distribution; for the others it is the error.
func (t *Task) Bits(p []float32, q float32) float64 {
	return graph.LossOf(t.Likelihood(), wide(p), float64(q), nil)
}

func wide(p []float32) []float64 {
	v := make([]float64, len(p))
	for i, x := range p {
		v[i] = float64(x)
	}
	return v
}

// Distribution is the probability of each of 256 levels.
func (t *Task) Distribution(p []float32) []float64 {
	prob, w, l := make([]float64, 256), wide(p), t.Likelihood()
	for b := range prob {
		prob[b] = math.Exp2(-graph.LossOf(l, w, float64(b)/127.5-1, nil))
	}
	return prob
}

// Spread reports whether the head has a distribution to draw from.
func (t *Task) Spread() bool { return t.Head == Mixture || t.Head == Categorical }

// Draw draws a value with a uniform number u of (0,1): the level at which the distribution's sum passes u.
func (t *Task) Draw(p []float32, u float64) float32 {
	if !t.Spread() {
		return p[0]
	}
	prob := t.Distribution(p)
	total := 0.0
	for _, v := range prob {
		total += v
	}
	sum, level := 0.0, len(prob)-1
	for b, v := range prob {
		if sum += v / total; u < sum {
			level = b
			break
		}
	}
	return float32(level)/127.5 - 1
}

// Greedy is the level that is most probable; the first of them.
func (t *Task) Greedy(p []float32) float32 {
	if !t.Spread() {
		return p[0]
	}
	best, level := -1.0, 0
	for b, v := range t.Distribution(p) {
		if v > best {
			best, level = v, b
		}
	}
	return float32(level)/127.5 - 1
}

// Mean is the mean of what is possible.
func (t *Task) Mean(p []float32) float32 {
	if !t.Spread() {
		return p[0]
	}
	sum, total := 0.0, 0.0
	for b, v := range t.Distribution(p) {
		sum, total = sum+v*(float64(b)/127.5-1), total+v
	}
	return float32(sum / total)
}
