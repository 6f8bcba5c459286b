package ddpm

import "math"

func init() { samplers["ddpm"] = newDDPM }

// ddpmSampler is ancestral sampling, DDPM algorithm 2, written through the
// predicted x_0 so that it can be clamped: x_{t-1} is drawn from the posterior
// q(x_{t-1} | x_t, x_0) of eq. 6 and 7, or with the larger variance beta_t.
// Fewer steps than T use the alphas between the timesteps that are visited
// (IDDPM section 4): alpha = alphabar_t / alphabar_next.
type ddpmSampler struct{ *process }

func newDDPM(p *process) (Sampler, error) { return &ddpmSampler{p}, p.spaced() }

func (s *ddpmSampler) Step(i int, x, out, x0 []float32, noise func([]float32)) {
	l := s.level(i, 1)
	coefX0 := math.Sqrt(l.barNext) * l.beta / l.noise
	coefX := math.Sqrt(l.alpha) * l.noiseNext / l.noise
	variance := l.beta * l.noiseNext / l.noise // sigma_t^2 of fixed_small
	if s.opts.Variance == FixedLarge {
		variance = l.beta
	}

	clean := s.predictX0(s.opts.Prediction.convert(math.Sqrt(l.bar), math.Sqrt(l.noise)), x, out)
	store(x0, clean)
	if s.next(i) < 0 { // the last step adds no noise: z = 0 at t = 1 in the paper
		for e := range x {
			x[e] = float32(float64(coefX0*clean[e]) + float64(coefX*float64(x[e])))
		}
		return
	}
	sigma := math.Sqrt(variance)
	z := s.noise(len(x), noise)
	for e := range x {
		mean := float64(coefX0*clean[e]) + float64(coefX*float64(x[e]))
		x[e] = float32(mean + float64(sigma*float64(z[e])))
	}
}
