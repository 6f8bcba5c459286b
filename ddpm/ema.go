package ddpm

import "math"

// EMADecay is the decay of the weights' moving average at an update, with
// warm-up: the average must forget the random start, so it begins as a copy and
// lengthens its memory with time. step counts updates from 1:
//
//	decay = min(max, 1 - (1 + (step-1)/invGamma)^-power),  0 at step <= 1
//
// then average = decay average + (1 - decay) weights. Power 3/4 reaches 0.999
// after 10,000 updates, 2/3 after 31,600. A power of 0 or less means the form
// without invGamma, min(max, step/(step+9)).
func EMADecay(step uint64, max, power, invGamma float64) float64 {
	if step <= 1 {
		return 0
	}
	n := float64(step - 1)
	if power <= 0 {
		return math.Min(max, (1+n)/(10+n))
	}
	return math.Min(max, 1-math.Pow(1+n/invGamma, -power))
}
