package ddpm

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// For data x_0 ~ N(mu, s^2) everything is known: x_t = a x_0 + b eps is
// N(a mu, a^2 s^2 + b^2), the optimal network is linear in x_t,
//
//	E[eps | x_t] = b (x_t - a mu) / (a^2 s^2 + b^2)
//
// and a sampler is an affine recursion on a mean and a variance. It is computed
// here in float64 from the papers' formulas, in other forms than the samplers
// use, and nothing of package ddpm but the sampler itself takes part.
type gaussian struct{ mu, s float64 }

// eps returns E[eps | x] = slope x + offset at alphabar.
func (g gaussian) eps(bar float64) (slope, offset float64) {
	a, b := math.Sqrt(bar), math.Sqrt(1-bar)
	slope = b / (bar*g.s*g.s + 1 - bar)
	return slope, -slope * a * g.mu
}

// predict is the optimal network for g.
func (g gaussian) predict(bars []float64, p Prediction) Predict {
	return func(x []float32, t int, out []float32) error {
		a, b := math.Sqrt(bars[t]), math.Sqrt(1-bars[t])
		slope, offset := g.eps(bars[t])
		for i, v := range x {
			eps := slope*float64(v) + offset
			x0 := g.mu + a*g.s*g.s/(a*a*g.s*g.s+b*b)*(float64(v)-a*g.mu)
			switch p {
			case Sample0:
				out[i] = float32(x0)
			case VPrediction:
				out[i] = float32(a*eps - b*x0)
			default:
				out[i] = float32(eps)
			}
		}
		return nil
	}
}

// recursion returns the mean and variance that the sampler must reach from
// x_T ~ N(0, 1), visiting every stride-th timestep down to 0.
func (g gaussian) recursion(bars []float64, sampler string, o SamplerOptions, stride int) (mean, variance float64) {
	mean, variance = 0, 1
	for t := (o.Steps - 1) * stride; t >= 0; t -= stride {
		bar, next := bars[t], 1.0
		if t >= stride {
			next = bars[t-stride]
		}
		slope, offset := g.eps(bar)
		var k, c, sigma2 float64 // x' = k x + c + sigma z
		switch sampler {
		case "ddpm": // algorithm 2, line 4
			alpha := bar / next
			w := (1 - alpha) / math.Sqrt(1-bar)
			k, c = (1-w*slope)/math.Sqrt(alpha), -w*offset/math.Sqrt(alpha)
			sigma2 = (1 - alpha) * (1 - next) / (1 - bar)
			if o.Variance == FixedLarge && t > 0 {
				sigma2 = 1 - alpha
			}
		case "ddim": // eq. 12 and 16
			sigma2 = o.Eta * o.Eta * (1 - next) / (1 - bar) * (1 - bar/next)
			w := math.Sqrt(1-next-sigma2) - math.Sqrt(next*(1-bar)/bar)
			k, c = math.Sqrt(next/bar)+w*slope, w*offset
		}
		mean = k*mean + c
		variance = k*k*variance + sigma2
	}
	return mean, variance
}

// oracleBars computes alphabar without package ddpm.
func oracleBars(kind string, T int) []float64 {
	bars := make([]float64, T)
	product := 1.0
	for t := range bars {
		var beta float64
		if kind == Linear {
			beta = 1e-4 + (0.02-1e-4)*float64(t)/float64(T-1)
		} else {
			f := func(u float64) float64 { return math.Pow(math.Cos((u+0.008)/1.008*math.Pi/2), 2) }
			beta = math.Min(1-f(float64(t+1)/float64(T))/f(float64(t)/float64(T)), 0.999)
		}
		product *= 1 - beta
		bars[t] = product
	}
	return bars
}

// A sampler of a linear network is affine in x_T and every z, so one run finds
// its exact mean and variance: element 0 has all of them zero, each other
// element has a single one of them set to 1, and the variance is the sum of the
// squared responses.
func impulseMoments(t *testing.T, s Sampler, predict Predict) (mean, variance float64) {
	t.Helper()
	x := make([]float32, 2+len(s.Timesteps()))
	x[1] = 1
	err := Sample(context.Background(), s, x, predict, func(i int, dst []float32) {
		clear(dst)
		dst[2+i] = 1
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range x[1:] {
		r := float64(v) - float64(x[0])
		variance += r * r
	}
	return float64(x[0]), variance
}

func TestGaussianOracle(t *testing.T) {
	data := []gaussian{{0, 1}, {0.3, 0.5}, {-0.4, 0.05}}
	type method struct {
		sampler string
		o       SamplerOptions
	}
	methods := []method{
		{"ddpm", SamplerOptions{Variance: FixedSmall}}, {"ddpm", SamplerOptions{Variance: FixedLarge}},
		{"ddim", SamplerOptions{}}, {"ddim", SamplerOptions{Eta: 0.5}}, {"ddim", SamplerOptions{Eta: 1}},
	}
	var worstMean, worstVar float64
	for _, kind := range []string{Linear, Cosine} {
		const T = 1000
		bars := oracleBars(kind, T)
		sch, err := NewSchedule(ScheduleConfig{Kind: kind, T: T})
		if err != nil {
			t.Fatal(err)
		}
		for _, steps := range []int{T, 100, 20} {
			for _, m := range methods {
				for _, p := range []Prediction{Epsilon, Sample0, VPrediction} {
					if steps == T && p != Epsilon { // a million evaluations each
						continue
					}
					m.o.Steps, m.o.Prediction, m.o.Exact = steps, p, true
					s, err := NewSampler(m.sampler, sch, m.o)
					if err != nil {
						t.Fatal(err)
					}
					for _, g := range data {
						wantMean, wantVar := g.recursion(bars, m.sampler, m.o, T/steps)
						mean, variance := impulseMoments(t, s, g.predict(bars, p))
						dm, dv := math.Abs(mean-wantMean), math.Abs(variance-wantVar)
						worstMean, worstVar = max(worstMean, dm), max(worstVar, dv)
						// The cosine schedule begins at alphabar 2e-9, where the float32 of
						// x and eps comes back 20,000 times larger in x_0 = (x - b eps)/a.
						if !(dm <= 1e-4) || !(dv <= 1e-4) {
							t.Errorf("%s %s %+v on N(%g, %g^2): mean %.7g variance %.7g, want %.7g and %.7g", kind, m.sampler, m.o, g.mu, g.s, mean, variance, wantMean, wantVar)
						}
					}
				}
			}
		}
	}
	t.Logf("largest difference of a mean %.3g, of a variance %.3g", worstMean, worstVar)
}

// DDPM section 3.2: beta_t is the right variance for N(0, 1) data, where every
// step then keeps variance 1 until the last, which adds no noise and leaves
// alpha_0; betatilde_t is right for a single point, which it ends in exactly.
func TestVariancesOnTheirOwnData(t *testing.T) {
	const T = 1000
	bars := oracleBars(Linear, T)
	sch, err := NewSchedule(ScheduleConfig{Kind: Linear, T: T})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		variance string
		g        gaussian
		mean     float64
		want     float64
		tol      float64
	}{
		{FixedLarge, gaussian{0, 1}, 0, 1 - 1e-4, 1e-5},
		{FixedSmall, gaussian{0.3, 0}, 0.3, 0, 1e-5},
		// The wrong one for the data, yet near: with many steps both are.
		{FixedSmall, gaussian{0, 1}, 0, 1, 0.01},
	} {
		s, err := NewSampler("ddpm", sch, SamplerOptions{Variance: c.variance, Exact: true})
		if err != nil {
			t.Fatal(err)
		}
		mean, variance := impulseMoments(t, s, c.g.predict(bars, Epsilon))
		t.Logf("%s on N(%g, %g^2): mean %.6f, variance %.6f", c.variance, c.g.mu, c.g.s, mean, variance)
		if math.Abs(mean-c.mean) > 1e-5 || math.Abs(variance-c.want) > c.tol {
			t.Errorf("%s on N(%g, %g^2): mean %g, variance %g, want %g and %g within %g", c.variance, c.g.mu, c.g.s, mean, variance, c.mean, c.want, c.tol)
		}
	}
}

// The same by drawing: the noise of the project's generator goes through the
// sampler, and the moments agree within five standard errors.
func TestGaussianOracleMonteCarlo(t *testing.T) {
	const n, T, steps = 100_000, 1000, 25
	g := gaussian{0.3, 0.5}
	bars := oracleBars(Linear, T)
	sch, err := NewSchedule(ScheduleConfig{Kind: Linear, T: T})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range []struct {
		sampler string
		o       SamplerOptions
	}{
		{"ddpm", SamplerOptions{Variance: FixedSmall}}, {"ddpm", SamplerOptions{Variance: FixedLarge}},
		{"ddim", SamplerOptions{}}, {"ddim", SamplerOptions{Eta: 0.7}},
	} {
		t.Run(fmt.Sprint(m.sampler, m.o.Variance, m.o.Eta), func(t *testing.T) {
			m.o.Steps = steps
			s, err := NewSampler(m.sampler, sch, m.o)
			if err != nil {
				t.Fatal(err)
			}
			x := make([]float32, n)
			rng.Normals(x, 3, rng.StreamSample, uint32(i), 0)
			err = Sample(context.Background(), s, x, g.predict(bars, Epsilon), func(step int, dst []float32) {
				rng.Normals(dst, 3, rng.StreamSampleNoise, uint32(i), uint64(step))
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			mean, variance := moments(x)
			wantMean, wantVar := g.recursion(bars, m.sampler, m.o, T/steps)
			t.Logf("mean %.5f, recursion %.5f; variance %.5f, recursion %.5f", mean, wantMean, variance, wantVar)
			if math.Abs(mean-wantMean) > 5*math.Sqrt(wantVar/n) || math.Abs(variance-wantVar) > 5*wantVar*math.Sqrt(2.0/n) {
				t.Errorf("mean %g variance %g, want %g and %g", mean, variance, wantMean, wantVar)
			}
		})
	}
}

func moments(x []float32) (mean, variance float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	return mean, variance
}
