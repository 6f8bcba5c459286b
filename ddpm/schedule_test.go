package ddpm

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// For every kind and any T: the tables obey the identities that make the
// posterior of eq. 6 and 7 consistent with the forward process.
func TestScheduleIdentities(t *testing.T) {
	for _, kind := range Kinds() {
		for _, T := range []int{1, 2, 7, 50, 300, 1000, 4000} {
			for _, zero := range []bool{false, true} {
				if zero && T == 1 {
					continue
				}
				s, err := NewSchedule(ScheduleConfig{Kind: kind, T: T, ZeroTerminalSNR: zero})
				if err != nil {
					t.Fatalf("%s T=%d: %v", kind, T, err)
				}
				if s.T() != T || len(s.PosteriorLogVarianceClipped) != T {
					t.Fatalf("%s T=%d: tables of length %d", kind, T, s.T())
				}
				if zero && s.AlphasCumprod[T-1] != 0 {
					t.Errorf("%s T=%d: the last alphabar is %g, want 0", kind, T, s.AlphasCumprod[T-1])
				}
				for i := range T {
					bar, prev := s.AlphasCumprod[i], s.AlphasCumprodPrev[i]
					if !(bar < prev) || i > 0 && prev != s.AlphasCumprod[i-1] {
						t.Errorf("%s T=%d t=%d: alphabar %g after %g", kind, T, i, bar, prev)
					}
					c1, c2 := s.PosteriorMeanCoef1[i], s.PosteriorMeanCoef2[i]
					mean := c1 + c2*math.Sqrt(bar) - math.Sqrt(prev)
					variance := c2*c2*(1-bar) + s.PosteriorVariance[i] - (1 - prev)
					if math.Abs(mean) > 1e-11 || math.Abs(variance) > 1e-11 {
						t.Errorf("%s T=%d t=%d: the posterior's mean is off by %g, its variance by %g", kind, T, i, mean, variance)
					}
					if lv := s.PosteriorLogVarianceClipped[i]; math.IsNaN(lv) || math.IsInf(lv, 0) {
						t.Errorf("%s T=%d t=%d: log variance %g", kind, T, i, lv)
					}
				}
			}
		}
	}
}

func TestLinearEndPointsAreFixed(t *testing.T) {
	for _, T := range []int{10, 300, 1000} {
		s, err := NewSchedule(ScheduleConfig{Kind: Linear, T: T})
		if err != nil {
			t.Fatal(err)
		}
		if s.Betas[0] != 1e-4 || s.Betas[T-1] != 0.02 {
			t.Errorf("T=%d: betas from %g to %g, want 1e-4 to 0.02", T, s.Betas[0], s.Betas[T-1])
		}
	}
	if DisplayStep(0) != 1 || DisplayStep(999) != 1000 || DisplayStep(-1) != 0 {
		t.Error("DisplayStep is not t + 1")
	}
}

func TestScheduleErrors(t *testing.T) {
	nan := math.NaN()
	for want, c := range map[string]ScheduleConfig{
		"unknown":               {Kind: "quadratic", T: 10},
		"there are two":         {Kind: "sigmoid", T: 10},
		"timesteps is 0":        {Kind: Linear},
		"timesteps is -3":       {Kind: Cosine, T: -3},
		"timesteps is 2000000":  {Kind: Cosine, T: 2000000},
		"beta_start is 0.5":     {Kind: Linear, T: 10, BetaStart: 0.5},
		"beta_end 1":            {Kind: ScaledLinear, T: 10, BetaEnd: 1},
		"beta_start is -1":      {Kind: SigmoidBeta, T: 10, BetaStart: -1},
		"beta_end is NaN":       {Kind: Linear, T: 10, BetaEnd: nan},
		"s is -0.1":             {Kind: Cosine, T: 10, S: -0.1},
		"cap is 1.5":            {Kind: Cosine, T: 10, Cap: 1.5},
		"cap is -1":             {Kind: SigmoidAlphaBar, T: 10, Cap: -1},
		"tau is -1":             {Kind: SigmoidAlphaBar, T: 10, Tau: -1},
		"start < end":           {Kind: SigmoidAlphaBar, T: 10, SigmoidStart: 3, SigmoidEnd: -3},
		"at least 2 timesteps":  {Kind: Linear, T: 1, ZeroTerminalSNR: true},
		"beta at timestep 0 is": {Kind: SigmoidAlphaBar, T: 10, SigmoidStart: -1000, SigmoidEnd: 1000},
	} {
		if _, err := NewSchedule(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", c, err, want)
		}
	}
	if _, err := KindFromDiffusers("laplace"); err == nil {
		t.Error("KindFromDiffusers accepts laplace")
	}
}

func TestScheduleConfigJSON(t *testing.T) {
	c := ScheduleConfig{Kind: Cosine, T: 300}
	b, err := json.Marshal(c)
	if err != nil || string(b) != `{"kind":"cosine","timesteps":300}` {
		t.Errorf("%s, %v", b, err)
	}
	s, err := NewSchedule(c)
	if err != nil {
		t.Fatal(err)
	}
	if s.Config.S != 0.008 || s.Config.Cap != 0.999 {
		t.Errorf("defaults are not filled in: %+v", s.Config)
	}
}

func TestEMADecay(t *testing.T) {
	for step, want := range map[uint64]float64{0: 0, 1: 0, 10000: 0.999, 1 << 40: 0.9999} {
		if got := EMADecay(step, 0.9999, 0.75, 1); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %g, want %g", step, got, want)
		}
	}
}
