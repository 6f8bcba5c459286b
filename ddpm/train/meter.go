package train

import (
	"math"
	"time"
)

var nan = math.NaN()

// meter is a running mean of the time a step takes, over about the last twenty.
type meter struct {
	mean float64
	n    int
}

func (m *meter) add(d time.Duration) {
	m.n++
	m.mean += max(0.05, 1/float64(m.n)) * (d.Seconds() - m.mean)
}

// seconds is the mean; steps that take no time at all count as a nanosecond.
func (m *meter) seconds() float64 { return max(m.mean, 1e-9) }

func (m *meter) reset() { *m = meter{} }
