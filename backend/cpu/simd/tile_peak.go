package simd

import "time"

// PeakFlops measures for about the given time what one thread reaches at level
// l on independent multiply-adds in registers, in FLOP/s: the compute roof of
// a roofline. It takes the best of short runs, since the clock drifts. For
// Generic it is what compiled Go reaches, not what the machine could.
func PeakFlops(l Level, seconds float64) float64 {
	run, flops := peakStep(min(l, hardware()))
	const steps = 1 << 16
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	best := 0.0
	for {
		start := time.Now()
		run(steps)
		if d := time.Since(start).Seconds(); d > 0 {
			best = max(best, steps*float64(flops)/d)
		}
		if !time.Now().Before(end) {
			return best
		}
	}
}

const peakGenericFlops = 2 * 12

// peakState holds the chains of peakGeneric. Each starts from memory: the
// compiler merges chains that it can see are equal.
var peakState [12]float32

// peakGeneric runs steps of 12 independent multiply-adds; more chains would
// not fit amd64's registers.
func peakGeneric(steps int) {
	s := peakState
	a, b, c, d, e, f := s[0], s[1], s[2], s[3], s[4], s[5]
	g, h, i, j, k, l := s[6], s[7], s[8], s[9], s[10], s[11]
	x, y := 0.5+s[0], 1+s[1]
	for range steps {
		a = a*x + y
		b = b*x + y
		c = c*x + y
		d = d*x + y
		e = e*x + y
		f = f*x + y
		g = g*x + y
		h = h*x + y
		i = i*x + y
		j = j*x + y
		k = k*x + y
		l = l*x + y
	}
	// Always false, which the compiler cannot know.
	if a+b+c+d+e+f+g+h+i+j+k+l < 0 {
		peakState[0] = a
	}
}
