package ddpm

import (
	"fmt"
	"math"
)

// rho bends Karras spacing: 7 (EDM section 3) takes short steps where there is
// little noise, at the cost of long ones at the start.
const rho = 7

// sigmaOf is the noise for a signal of 1 at alphabar, b/a. No signal at all
// counts as the 2^-24 that diffusers takes, so that a first step can be computed.
func sigmaOf(bar float64) float64 {
	if bar == 0 {
		bar = 0x1p-24
	}
	return math.Sqrt((1 - bar) / bar)
}

// karras returns n noise levels from the schedule's largest to its smallest,
// equally spaced in sigma^(1/rho) (EDM eq. 5), and the timestep nearest to each,
// between timesteps by the logarithm of sigma. bars: alphabar of the timesteps.
func karras(bars []float64, n int) (sigmas []float64, timesteps []int, err error) {
	if n < 1 || n > len(bars) {
		return nil, nil, fmt.Errorf("%d sampling steps: want 1 to the schedule's %d timesteps", n, len(bars))
	}
	most, least := sigmaOf(bars[len(bars)-1]), sigmaOf(bars[0])
	for _, root := range linspace(math.Pow(most, 1./rho), math.Pow(least, 1./rho), n) {
		sigma := math.Pow(root, rho)
		sigmas = append(sigmas, sigma)
		timesteps = append(timesteps, nearest(bars, sigma))
	}
	return sigmas, timesteps, nil
}

// nearest is the timestep whose log sigma is nearest.
func nearest(bars []float64, sigma float64) int {
	high := 1
	for high < len(bars)-1 && sigmaOf(bars[high]) < sigma {
		high++
	}
	if len(bars) == 1 {
		return 0
	}
	low := math.Log(sigmaOf(bars[high-1]))
	w := (math.Log(sigma) - low) / (math.Log(sigmaOf(bars[high])) - low)
	return int(math.RoundToEven(float64(high-1) + min(max(w, 0), 1)))
}
