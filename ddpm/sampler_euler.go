package ddpm

import "math"

func init() {
	samplers["euler"] = func(p *process) (Sampler, error) { return newEuler(p, false) }
	samplers["euler-a"] = func(p *process) (Sampler, error) { return newEuler(p, true) }
}

// eulerSampler follows the probability flow in y = x/a, whose noise is sigma:
//
//	dy/dsigma = (y - x_0)/sigma                             EDM eq. 1 with s = 1
//	y_next = y + (sigma_next - sigma) (y - x_0)/sigma
//
// which is DDIM without noise, but that the direction is taken from the clamped
// x_0. The ancestral form goes further down, to sigma_down, and noises back up:
// y_next has the variance of the posterior of fixed_small (k-diffusion).
type eulerSampler struct {
	*ladder
	ancestral bool
}

func newEuler(p *process, ancestral bool) (Sampler, error) {
	l, err := newLadder(p)
	return &eulerSampler{l, ancestral}, err
}

func (s *eulerSampler) Step(i int, x, out, x0 []float32, noise func([]float32)) {
	clean := s.cleanAt(i, x, out)
	store(x0, clean)
	sigma, next := s.sigmas[i], s.sigmas[i+1]
	down, up := next, 0.0
	if s.ancestral {
		up = next * math.Sqrt(1-next*next/(sigma*sigma))
		down = next * next / sigma // sqrt(next^2 - up^2)
	}
	a, _ := s.ab(i)
	aNext, _ := s.ab(i + 1)
	// With r = down/sigma, y + (down - sigma)(y - x_0)/sigma = r y + (1 - r) x_0.
	r := down / sigma
	coefX, coefX0, coefZ := aNext*r/a, aNext*(1-r), aNext*up
	var z []float32
	if up > 0 {
		z = s.noise(len(x), noise)
	}
	for e := range x {
		v := float64(coefX*float64(x[e])) + float64(coefX0*clean[e])
		if z != nil {
			v += float64(coefZ * float64(z[e]))
		}
		x[e] = float32(v)
	}
}
