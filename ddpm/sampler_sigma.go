package ddpm

import (
	"math"
	"slices"
)

// A ladder is the noise levels of the samplers whose papers work with
// sigma = b/a, the noise for a signal of 1, rather than with timesteps.
// lambda = -log sigma is DPM-Solver's half log SNR.
type ladder struct {
	*process
	sigmas []float64 // [steps+1], falling; the last is the end
}

// newLadder places the levels on the timesteps as DDIM does. Karras' levels are
// rounded to timesteps (EDM's round_sigma), since a level that the network was
// not trained on would be an error of every step; levels that fall together
// count once.
func newLadder(p *process) (*ladder, error) {
	if err := p.spaced(); err != nil {
		return nil, err
	}
	l := &ladder{process: p}
	for _, t := range p.timesteps {
		l.sigmas = append(l.sigmas, sigmaOf(p.bars[t]))
	}
	l.sigmas = append(l.sigmas, 0)
	return l, nil
}

// newMultistepLadder places the levels as diffusers' multistep solvers do: the
// end counts as a level when timesteps are spaced, and Karras' levels stay where
// they are, with the network told the nearest timestep.
func newMultistepLadder(p *process) (*ladder, error) {
	l := &ladder{process: p}
	n, T, spacing := p.opts.Steps, len(p.bars), p.opts.Spacing
	var timesteps []int
	var err error
	switch spacing {
	case Karras:
		l.sigmas, timesteps, err = karras(p.bars, n)
	case Leading, Linspace:
		if timesteps, err = Timesteps(T, min(n+1, T), spacing, p.opts.StepsOffset); err == nil {
			timesteps = timesteps[:min(n, len(timesteps))]
		}
	default:
		timesteps, err = Timesteps(T, n, spacing, p.opts.StepsOffset)
	}
	if err != nil {
		return nil, err
	}
	skipped, err := p.visit(timesteps)
	if err != nil {
		return nil, err
	}
	if spacing == Karras {
		l.sigmas = slices.Clone(l.sigmas[skipped:])
	} else {
		for _, t := range p.timesteps {
			l.sigmas = append(l.sigmas, sigmaOf(p.bars[t]))
		}
	}
	end := 0.0
	if p.opts.EndAtFirst {
		end = sigmaOf(p.bars[0])
	}
	l.sigmas = append(l.sigmas, end)
	return l, nil
}

// Level implements Sampler.
func (l *ladder) Level(i int) float64 { return 1 / (1 + l.sigmas[i]*l.sigmas[i]) }

// ab returns the signal's and the noise's share of x at level i.
func (l *ladder) ab(i int) (a, b float64) {
	a = 1 / math.Sqrt(1+l.sigmas[i]*l.sigmas[i])
	return a, l.sigmas[i] * a
}

// cleanAt is the clean image that the network's output implies at level i,
// clamped; valid until the next call.
func (l *ladder) cleanAt(i int, x, out []float32) []float64 {
	return l.predictX0(l.opts.Prediction.convert(l.ab(i)), x, out)
}
