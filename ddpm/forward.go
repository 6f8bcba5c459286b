package ddpm

import "math"

// ForwardStep adds the noise of one timestep, DDPM eq. 2:
//
//	x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) eps
//
// All slices have the same length; dst may be prev.
func (s *Schedule) ForwardStep(dst, prev, eps []float32, t int) {
	a, b := math.Sqrt(s.Alphas[t]), math.Sqrt(s.Betas[t])
	combine(dst, a, prev, b, eps)
}

// AddNoise goes from the clean image to x_t at once, DDPM eq. 4:
//
//	x_t = sqrt(alphabar_t) x_0 + sqrt(1 - alphabar_t) eps
//
// All slices have the same length; dst may be x0.
func (s *Schedule) AddNoise(dst, x0, eps []float32, t int) {
	combine(dst, s.SqrtAlphasCumprod[t], x0, s.SqrtOneMinusAlphasCumprod[t], eps)
}

// NoiseTo is AddNoise to a noise level that need not be a timestep's, as a
// sampler's Level says it.
func NoiseTo(alphaBar float64, dst, x0, eps []float32) {
	combine(dst, math.Sqrt(alphaBar), x0, math.Sqrt(1-alphaBar), eps)
}

// Velocity is the target of v prediction (Salimans & Ho 2022):
//
//	v = sqrt(alphabar_t) eps - sqrt(1 - alphabar_t) x_0
func (s *Schedule) Velocity(dst, x0, eps []float32, t int) {
	combine(dst, s.SqrtAlphasCumprod[t], eps, -s.SqrtOneMinusAlphasCumprod[t], x0)
}

// combine writes a x + b y.
func combine(dst []float32, a float64, x []float32, b float64, y []float32) {
	for i := range dst {
		dst[i] = float32(float64(a*float64(x[i])) + float64(b*float64(y[i])))
	}
}
