package ddpm

import (
	"fmt"
	"math"
)

// A Spacing chooses which of the T timesteps a sampler visits.
type Spacing string

const (
	Leading  Spacing = "leading"  // 0, r, 2r, ... with r = T/steps rounded down: ends at 0
	Trailing Spacing = "trailing" // T-1, T-1-r, ... with r = T/steps: begins at T-1
	Linspace Spacing = "linspace" // equally spaced from T-1 to 0, both included
	Karras   Spacing = "karras"   // equally spaced in sigma^(1/7), from the noisiest to the cleanest; see spacing_karras.go
)

// Timesteps returns the timesteps that a sampler with so many steps visits, in
// descending order (Lin et al. 2024, table 2). offset is added by leading
// spacing only. Halves round to even, as in numpy.
func Timesteps(T, steps int, spacing Spacing, offset int) ([]int, error) {
	if steps < 1 || steps > T {
		return nil, fmt.Errorf("%d sampling steps: want 1 to the schedule's %d timesteps", steps, T)
	}
	ts := make([]int, steps)
	// numpy.arange takes the difference of its first two values for the step;
	// its rounding decides where a trailing value is just about a half.
	back := (float64(T) - float64(T)/float64(steps)) - float64(T)
	for i := range ts {
		switch spacing {
		case Leading:
			ts[i] = (steps-1-i)*(T/steps) + offset
		case Trailing:
			ts[i] = int(math.RoundToEven(float64(T)+float64(float64(i)*back))) - 1
		case Linspace:
			if steps > 1 { // one step is at timestep 0
				ts[i] = int(math.RoundToEven(float64(steps-1-i) * (float64(T-1) / float64(steps-1))))
			}
		default:
			return nil, fmt.Errorf("spacing %q is unknown, want %s, %s, %s or %s", string(spacing), Leading, Trailing, Linspace, Karras)
		}
	}
	if ts[0] >= T || ts[steps-1] < 0 {
		return nil, fmt.Errorf("timesteps %d to %d lie outside 0..%d: steps_offset is %d", ts[0], ts[steps-1], T-1, offset)
	}
	return ts, nil
}
