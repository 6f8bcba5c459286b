package chart

import (
	"math"
	"strconv"
	"strings"
)

// An axis maps numbers to the unit interval.
type axis struct {
	low, high float64
	log       bool
}

// newAxis covers low to high with a little room. It is logarithmic only where all is above zero.
func newAxis(low, high float64, log bool) axis {
	a := axis{log: log && low > 0}
	if a.log {
		l, h := math.Log(low), math.Log(high)
		pad := max((h-l)*.04, .01)
		a.low, a.high = l-pad, h+pad
		return a
	}
	pad := max((high-low)*.04, math.Abs(high)*.005, 1e-12)
	a.low, a.high = low-pad, high+pad
	return a
}

// at is v's place, 0 at the bottom; it may lie outside of 0 to 1.
func (a axis) at(v float64) float64 {
	if a.log {
		if v <= 0 {
			return math.Inf(-1)
		}
		v = math.Log(v)
	}
	f := (v - a.low) / (a.high - a.low)
	if math.IsNaN(f) { // the range overflows
		return .5
	}
	return f
}

// ticks are about n round numbers on the axis, ascending.
func (a axis) ticks(n int) []float64 {
	if n <= 0 {
		return nil
	}
	low, high := a.low, a.high
	if a.log {
		low, high = math.Exp(low), math.Exp(high)
		for _, mantissas := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
			out := decades(low, high, mantissas)
			if len(out) >= 2 && len(out) <= n {
				return out
			}
			if len(out) < 2 {
				break
			}
		}
	}
	step := round(high-low, n)
	var out []float64
	for i := math.Ceil(low / step); i*step <= high && len(out) <= n; i++ {
		out = append(out, i*step+0) // + 0 makes of -0 a plain zero
	}
	return out
}

// decades are the numbers m 10^k inside the range.
func decades(low, high float64, mantissas []float64) []float64 {
	low, high = max(low, math.SmallestNonzeroFloat64), min(high, math.MaxFloat64) // the logarithm must be finite
	var out []float64
	for k := math.Floor(math.Log10(low)); k <= math.Ceil(math.Log10(high)); k++ {
		for _, m := range mantissas {
			if v := m * math.Pow(10, k); v >= low && v <= high {
				out = append(out, v)
			}
		}
	}
	return out
}

// round is the smallest step of 1, 2 or 5 times a power of ten that divides the range into at most n parts.
func round(width float64, n int) float64 {
	raw := width / float64(n)
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= raw {
			return m * p
		}
	}
	return 10 * p
}

// Label writes a number for an axis, short.
func Label(v float64) string {
	a := math.Abs(v)
	switch {
	case !finite(v):
		return "-"
	case a >= 1e15 || (a > 0 && a < 1e-3):
		s := strconv.FormatFloat(v, 'e', 0, 64)
		return strings.NewReplacer("e+0", "e", "e+", "e", "e-0", "e-").Replace(s)
	case a >= 1e9:
		return short(v/1e9) + "G"
	case a >= 1e6:
		return short(v/1e6) + "M"
	case a >= 1e3:
		return short(v/1e3) + "k"
	}
	return short(v)
}

// short is v with three significant digits, without trailing zeros.
func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
