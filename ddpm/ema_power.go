package ddpm

import "math"

// The relative widths (sigma_rel) that an average with a power-function profile can have: gamma 0 is the widest.
const (
	MinEMAStd = 0.01
	MaxEMAStd = 0.2886
)

// EMAGamma is the exponent gamma of the profile t^gamma on [0,1] whose standard deviation is std (Karras et al. 2024, equation 17
// solved by bisection: it falls as gamma grows).
func EMAGamma(std float64) float64 {
	lo, hi := 0.0, 1e6
	for range 200 {
		mid := (lo + hi) / 2
		if emaStd(mid) > std {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// emaStd is the standard deviation of the density (gamma+1) t^gamma on [0,1].
func emaStd(gamma float64) float64 {
	return math.Sqrt((gamma+1)/(gamma+3)) / (gamma + 2)
}
