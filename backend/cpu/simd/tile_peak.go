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

const peakGenericFlops = 2 * 8

// peakSink keeps the compiler from dropping peakGeneric's loop.
var peakSink float32

func peakGeneric(steps int) {
	x := peakSink
	var a, b, c, d, e, f, g, h float32
	for range steps {
		a += x * x
		b += x * x
		c += x * x
		d += x * x
		e += x * x
		f += x * x
		g += x * x
		h += x * x
	}
	if a+b+c+d+e+f+g+h != 0 {
		peakSink = a
	}
}
