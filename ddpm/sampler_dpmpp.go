package ddpm

import (
	"fmt"
	"math"
	"slices"
)

func init() {
	samplers["dpmpp2m"] = func(p *process) (Sampler, error) { return newDPM(p, false) }
	samplers["dpmpp2m-sde"] = func(p *process) (Sampler, error) { return newDPM(p, true) }
}

// dpmSampler is DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) and its SDE form.
// The flow is linear in x but for the network, so that part is solved exactly in
// lambda = log(a/b), and x_0, taken as a line through its last two values, is
// integrated: with h = lambda_next - lambda, r = h_before/h and D1 = (m_0 - m_1)/r,
//
//	x_next = (b_next/b) x + a_next (1 - e^-h) (m_0 + D1/2)
//	x_next = (b_next/b) e^-h x + a_next (1 - e^-2h) (m_0 + D1/2) + b_next sqrt(1 - e^-2h) z
//
// The first step and the one to the clean image, where h is infinite, know one
// value only; so does the last of fewer than 15, as in diffusers. Solver heun
// integrates the line exactly instead of at its middle.
type dpmSampler struct {
	*ladder
	sde, heun bool
	last      []float64 // m_1
}

func newDPM(p *process, sde bool) (Sampler, error) {
	switch p.opts.Solver {
	case "", "midpoint", "heun":
	default:
		return nil, fmt.Errorf("solver %q is unknown, want midpoint or heun", p.opts.Solver)
	}
	l, err := newMultistepLadder(p)
	return &dpmSampler{ladder: l, sde: sde, heun: p.opts.Solver == "heun"}, err
}

func (s *dpmSampler) Step(i int, x, out, x0 []float32, noise func([]float32)) {
	clean := s.cleanAt(i, x, out)
	store(x0, clean)
	_, b := s.ab(i)
	aNext, bNext := s.ab(i + 1)
	n := len(s.timesteps)
	first := i == 0 || i == n-1 && (n < 15 || bNext == 0)

	e := s.sigmas[i+1] / s.sigmas[i] // e^-h
	decay, shrink, sigma := e, bNext/b, 0.0
	if s.sde {
		decay, shrink, sigma = e*e, bNext/b*e, bNext*math.Sqrt(1-e*e)
	}
	coef, coefD := aNext*(1-decay), 0.0
	if !first {
		h, before := -math.Log(e), math.Log(s.sigmas[i-1]/s.sigmas[i])
		coefD = coef / 2
		if s.heun {
			coefD = aNext * ((1-decay)/math.Log(decay) + 1)
		}
		coefD *= h / before
	}
	var z []float32
	if sigma > 0 {
		z = s.noise(len(x), noise)
	}
	for e := range x {
		v := float64(shrink*float64(x[e])) + float64(coef*clean[e])
		if coefD != 0 {
			v += float64(coefD * (clean[e] - s.last[e]))
		}
		if z != nil {
			v += float64(sigma * float64(z[e]))
		}
		x[e] = float32(v)
	}
	s.last = append(slices.Grow(s.last[:0], len(x)), clean...)
}
