package ddpm

import (
	"fmt"
	"math"
	"slices"
)

// A Schedule holds a noise schedule's tables, each [T], indexed by the network's
// timestep 0..T-1, all in float64. It is read-only after NewSchedule.
type Schedule struct {
	Config ScheduleConfig // with its defaults filled in

	Betas             []float64 // beta_t
	Alphas            []float64 // alpha_t = 1 - beta_t
	AlphasCumprod     []float64 // alphabar_t
	AlphasCumprodPrev []float64 // alphabar_{t-1}, 1 at t = 0

	SqrtAlphasCumprod         []float64 // the signal's share of x_t
	SqrtOneMinusAlphasCumprod []float64 // the noise's share of x_t
	SNR                       []float64 // alphabar_t / (1 - alphabar_t)

	// The forward posterior q(x_{t-1} | x_t, x_0), DDPM eq. 6 and 7:
	// mean coef1_t x_0 + coef2_t x_t.
	PosteriorMeanCoef1 []float64
	PosteriorMeanCoef2 []float64
	PosteriorVariance  []float64 // 0 at t = 0
	// Its logarithm; entry 0, which would be -Inf, repeats entry 1.
	PosteriorLogVarianceClipped []float64
}

// minVariance replaces a variance of 0 where a logarithm is taken.
const minVariance = 1e-20

// NewSchedule computes the tables of a schedule.
func NewSchedule(c ScheduleConfig) (*Schedule, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	var betas []float64
	switch c.Kind {
	case Linear:
		betas = linearBetas(c.T, c.BetaStart, c.BetaEnd)
	case ScaledLinear:
		betas = scaledLinearBetas(c.T, c.BetaStart, c.BetaEnd)
	case SigmoidBeta:
		betas = sigmoidBetas(c.T, c.BetaStart, c.BetaEnd)
	case Cosine:
		betas = betasFromAlphaBar(c.T, c.Cap, func(u float64) float64 { return cosineAlphaBar(u, c.S) })
	case SigmoidAlphaBar:
		betas = betasFromAlphaBar(c.T, c.Cap, func(u float64) float64 { return sigmoidAlphaBar(u, c.SigmoidStart, c.SigmoidEnd, c.Tau) })
	case TrainedBetas:
		betas = slices.Clone(c.Betas)
	}
	if c.ZeroTerminalSNR {
		betas = zeroTerminalSNR(betas)
	}
	for t, beta := range betas {
		if !(beta > 0 && beta <= 1) || beta == 1 && t < c.T-1 {
			return nil, fmt.Errorf("schedule %s: beta at timestep %d is %g; betas must be more than 0, and 1 only at the last", c.Kind, t, beta)
		}
	}
	return tables(c, betas), nil
}

func tables(c ScheduleConfig, betas []float64) *Schedule {
	s := &Schedule{Config: c, Betas: betas}
	for _, table := range []*[]float64{&s.Alphas, &s.AlphasCumprod, &s.AlphasCumprodPrev, &s.SqrtAlphasCumprod, &s.SqrtOneMinusAlphasCumprod,
		&s.SNR, &s.PosteriorMeanCoef1, &s.PosteriorMeanCoef2, &s.PosteriorVariance, &s.PosteriorLogVarianceClipped} {
		*table = make([]float64, c.T)
	}
	prev := 1.0
	for t, beta := range betas {
		alpha := 1 - beta
		bar := prev * alpha
		s.Alphas[t], s.AlphasCumprod[t], s.AlphasCumprodPrev[t] = alpha, bar, prev
		s.SqrtAlphasCumprod[t], s.SqrtOneMinusAlphasCumprod[t] = math.Sqrt(bar), math.Sqrt(1-bar)
		s.SNR[t] = bar / (1 - bar)

		s.PosteriorMeanCoef1[t] = math.Sqrt(prev) * beta / (1 - bar)
		s.PosteriorMeanCoef2[t] = math.Sqrt(alpha) * (1 - prev) / (1 - bar)
		s.PosteriorVariance[t] = beta * (1 - prev) / (1 - bar)
		s.PosteriorLogVarianceClipped[t] = math.Log(max(s.PosteriorVariance[t], minVariance))
		prev = bar
	}
	if c.T > 1 {
		s.PosteriorLogVarianceClipped[0] = s.PosteriorLogVarianceClipped[1]
	}
	return s
}

// T is the number of timesteps.
func (s *Schedule) T() int { return len(s.Betas) }

// DisplayStep turns the network's timestep 0..T-1 into the paper's 1..T, which
// is what people are shown; the clean image, timestep -1, becomes 0.
func DisplayStep(t int) int { return t + 1 }
