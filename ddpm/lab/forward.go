package lab

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// A Forward is the ink drop: an image that dissolves, by steps and at once.
type Forward struct {
	Schedule string       `json:"schedule"`
	T        int          `json:"T"`
	Levels   []Level      `json:"levels"`        // the pictures of the strip
	Moments  []Moments    `json:"moments"`       // the two ways compared
	Agree    bool         `json:"moments_agree"` // within 4 standard errors everywhere
	Final    KS           `json:"ks_x_T_standard_normal"`
	Checks   []Quadrature `json:"quadrature"`
}

// A Level is how much of the image is left at t, counted 1..T, with 0 for the image.
type Level struct {
	T        int     `json:"t"`
	AlphaBar float64 `json:"alphabar"`
	SNR      float64 `json:"snr"`
}

// LevelAt is the level of a timestep 0..T-1, or of the image at -1.
func LevelAt(s *ddpm.Schedule, t int) Level {
	if t < 0 {
		return Level{0, 1, math.Inf(1)}
	}
	return Level{ddpm.DisplayStep(t), s.AlphasCumprod[t], s.SNR[t]}
}

// Moments are those of many x_t that began at the same value, by t steps of eq. 2 and by eq. 4 in one.
type Moments struct {
	T            int     `json:"t"`
	Value        float64 `json:"x_0"`
	StepMean     float64 `json:"mean_by_steps"`
	OnceMean     float64 `json:"mean_at_once"`
	Mean         float64 `json:"mean"` // sqrt(alphabar) x_0
	StepVariance float64 `json:"variance_by_steps"`
	OnceVariance float64 `json:"variance_at_once"`
	Variance     float64 `json:"variance"` // 1 - alphabar
}

// NewForward runs n values of x_0 through both forms of the forward process, and looks at count levels.
func NewForward(s *ddpm.Schedule, n, count int, seed uint64) *Forward {
	f := &Forward{Schedule: s.Config.Kind, T: s.T(), Agree: true}
	const value = 0.8
	x, eps, once := make([]float32, n), make([]float32, n), make([]float32, n)
	x0 := make([]float32, n)
	for i := range x {
		x[i], x0[i] = value, value
	}
	at := 0
	for t := range s.T() {
		rng.Normals(eps, seed, rng.StreamNoise, 0, uint64(t))
		s.ForwardStep(x, x, eps, t)
		if t+1 < (at+1)*s.T()/count {
			continue
		}
		at++
		rng.Normals(eps, seed, rng.StreamNoise, 1, uint64(t))
		s.AddNoise(once, x0, eps, t)
		m := Moments{T: ddpm.DisplayStep(t), Value: value, Mean: s.SqrtAlphasCumprod[t] * value, Variance: 1 - s.AlphasCumprod[t]}
		m.StepMean, m.StepVariance = moments(wide(x))
		m.OnceMean, m.OnceVariance = moments(wide(once))
		dMean, dVar := 4*math.Sqrt(m.Variance/float64(n)), 4*m.Variance*math.Sqrt(2/float64(n))
		for _, v := range []float64{m.StepMean, m.OnceMean} {
			f.Agree = f.Agree && math.Abs(v-m.Mean) < dMean
		}
		for _, v := range []float64{m.StepVariance, m.OnceVariance} {
			f.Agree = f.Agree && math.Abs(v-m.Variance) < dVar
		}
		f.Moments = append(f.Moments, m)
		f.Levels = append(f.Levels, LevelAt(s, t))
	}
	f.Final = ksOf(wide(x), normalCDF(0, 1))
	f.Checks = Quadratures(s)
	return f
}

// Strip is an image x0: [D] at each of the levels, one after another: [levels,D], with the same eps in all.
func (f *Forward) Strip(s *ddpm.Schedule, x0 []float32, seed uint64) []float32 {
	out := append([]float32(nil), x0...)
	eps, xt := make([]float32, len(x0)), make([]float32, len(x0))
	rng.Normals(eps, seed, rng.StreamNoise, 2, 0)
	for _, l := range f.Levels {
		s.AddNoise(xt, x0, eps, l.T-1)
		out = append(out, xt...)
	}
	return out
}

// A Quadrature is a formula of the paper beside the same number by numerical integration, which knows only eq. 2.
type Quadrature struct {
	What     string  `json:"what"`
	T        int     `json:"t"`
	Formula  float64 `json:"formula"`
	Integral float64 `json:"integral"`
}

// Quadratures check the closed form and the posterior by integrating products of densities.
func Quadratures(s *ddpm.Schedule) []Quadrature {
	var out []Quadrature
	const x0 = 0.6
	for _, t := range []int{1, s.T() / 4, s.T() / 2, 3 * s.T() / 4} {
		if t < 1 || t >= s.T() {
			continue
		}
		a, b := math.Sqrt(s.Alphas[t]), s.Betas[t]                            // of the step to t, eq. 2
		mean, variance := s.SqrtAlphasCumprod[t-1]*x0, 1-s.AlphasCumprod[t-1] // of x_{t-1}
		// The step applied to q(x_{t-1} | x_0), at one deviation above the mean of x_t.
		xt := s.SqrtAlphasCumprod[t]*x0 + math.Sqrt(1-s.AlphasCumprod[t])
		joint := func(x float64) float64 { return Density(xt, a*x, b) * Density(x, mean, variance) }
		// The product is narrow where beta is small: integrate around where its mass is.
		peak := mean + (xt-a*mean)*a*variance/(a*a*variance+b)
		dev := math.Sqrt(b * variance / (a*a*variance + b))
		integrate := func(g func(float64) float64) float64 { return simpson(g, peak-12*dev, peak+12*dev, 4000) }
		mass := integrate(joint)
		m1 := integrate(func(x float64) float64 { return x * joint(x) }) / mass
		m2 := integrate(func(x float64) float64 { return (x - m1) * (x - m1) * joint(x) }) / mass
		T := ddpm.DisplayStep(t)
		out = append(out,
			Quadrature{"density of x_t given x_0 (eq. 4)", T, Density(xt, s.SqrtAlphasCumprod[t]*x0, 1-s.AlphasCumprod[t]), mass},
			Quadrature{"mean of x_{t-1} given x_t and x_0 (eq. 7)", T, s.PosteriorMeanCoef1[t]*x0 + s.PosteriorMeanCoef2[t]*xt, m1},
			Quadrature{"variance of x_{t-1} given x_t and x_0 (eq. 7)", T, s.PosteriorVariance[t], m2})
	}
	return out
}

// Density is that of N(mean, variance) at x.
func Density(x, mean, variance float64) float64 {
	return math.Exp(-(x-mean)*(x-mean)/(2*variance)) / math.Sqrt(2*math.Pi*variance)
}

// simpson integrates f from a to b in n steps, n even.
func simpson(f func(float64) float64, a, b float64, n int) float64 {
	h, sum := (b-a)/float64(n), f(a)+f(b)
	for i := 1; i < n; i++ {
		sum += float64(2+2*(i%2)) * f(a+float64(i)*h)
	}
	return sum * h / 3
}
