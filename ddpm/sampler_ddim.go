package ddpm

import "math"

func init() { samplers["ddim"] = newDDIM }

// ddimSampler is DDIM eq. 12:
//
//	x_next = sqrt(alphabar_next) x_0 + sqrt(1 - alphabar_next - sigma^2) eps + sigma z
//
// with sigma = eta sqrt((1 - alphabar_next)/(1 - alphabar)) sqrt(1 - alphabar/alphabar_next)
// (eq. 16). x_0 is clamped; eps stays as the network says it, as in diffusers.
type ddimSampler struct{ *process }

func newDDIM(p *process) (Sampler, error) { return &ddimSampler{p}, p.spaced() }

func (s *ddimSampler) Step(i int, x, out, x0 []float32, noise func([]float32)) {
	end := 1.0
	if s.opts.EndAtFirst {
		end = s.bars[0]
	}
	l := s.level(i, end)
	// At the first timestep EndAtFirst goes nowhere, and rounding must not make
	// the root of a negative.
	variance := max(l.noiseNext/l.noise*l.beta, 0)
	sigma := s.opts.Eta * math.Sqrt(variance)
	coefX0 := math.Sqrt(l.barNext)
	coefEps := math.Sqrt(max(l.noiseNext-float64(sigma*sigma), 0))

	c := s.opts.Prediction.convert(math.Sqrt(l.bar), math.Sqrt(l.noise))
	clean := s.predictX0(c, x, out)
	store(x0, clean)
	var z []float32
	if sigma > 0 {
		z = s.noise(len(x), noise)
	}
	for e := range x {
		v := float64(coefX0*clean[e]) + float64(coefEps*c.eps(float64(x[e]), float64(out[e])))
		if z != nil {
			v += float64(sigma * float64(z[e]))
		}
		x[e] = float32(v)
	}
}
