package ddpm

import (
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// Adding noise a step at a time and all at once give the same distribution:
// mean, variance, and the covariance with x_0, for two-valued data that is not
// Gaussian. Bounds are five standard errors.
func TestIteratedForwardIsClosedForm(t *testing.T) {
	const n, T = 100_000, 50
	for _, kind := range []string{Linear, Cosine} {
		c := ScheduleConfig{Kind: kind, T: T}
		if kind == Linear {
			c.BetaEnd = 0.2 // so that fifty steps reach noise
		}
		s, err := NewSchedule(c)
		if err != nil {
			t.Fatal(err)
		}
		x0, eps := make([]float32, n), make([]float32, n)
		for i := range x0 {
			x0[i] = 0.8
			if i%4 == 0 {
				x0[i] = -0.6
			}
		}
		mean0, var0 := moments(x0)
		iterated, closed := append([]float32(nil), x0...), make([]float32, n)
		for step := range T {
			rng.Normals(eps, 4, rng.StreamNoise, 0, uint64(step))
			s.ForwardStep(iterated, iterated, eps, step)
			if step%10 != 9 {
				continue
			}
			rng.Normals(eps, 4, rng.StreamNoise, 1, uint64(step))
			s.AddNoise(closed, x0, eps, step)
			bar := s.AlphasCumprod[step]
			wantMean, wantVar := math.Sqrt(bar)*mean0, bar*var0+1-bar
			for name, x := range map[string][]float32{"iterated": iterated, "closed": closed} {
				mean, variance := moments(x)
				var cov float64
				for i := range x {
					cov += (float64(x[i]) - mean) * (float64(x0[i]) - mean0) / n
				}
				if math.Abs(mean-wantMean) > 5*math.Sqrt(wantVar/n) || math.Abs(variance-wantVar) > 5*wantVar*math.Sqrt(2.0/n) ||
					math.Abs(cov-math.Sqrt(bar)*var0) > 5*math.Sqrt(var0*wantVar/n) {
					t.Errorf("%s %s at t=%d: mean %g variance %g covariance %g, want %g, %g and %g", kind, name, step, mean, variance, cov, wantMean, wantVar, math.Sqrt(bar)*var0)
				}
			}
		}
	}
}

// From x_0 and eps, each parametrisation's target gives both back.
func TestPredictionsInvertTargets(t *testing.T) {
	s, err := NewSchedule(ScheduleConfig{Kind: Linear, T: 1000})
	if err != nil {
		t.Fatal(err)
	}
	x0, eps := []float32{-1, -0.25, 0, 0.5, 1}, []float32{0.3, -2, 1, 0.01, -0.7}
	n := len(x0)
	xt, target, gotX0, gotEps := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	for _, p := range []Prediction{Epsilon, Sample0, VPrediction} {
		for _, step := range []int{0, 1, 500, 999} {
			s.AddNoise(xt, x0, eps, step)
			s.Target(p, target, x0, eps, step)
			s.PredictX0(p, gotX0, xt, target, step)
			s.PredictEps(p, gotEps, xt, target, step)
			// Rounding of x_t is magnified by 1/a toward x_0 and 1/b toward eps.
			tol := 1e-6 / math.Min(s.SqrtAlphasCumprod[step], s.SqrtOneMinusAlphasCumprod[step])
			for i := range x0 {
				if math.Abs(float64(gotX0[i]-x0[i])) > tol || math.Abs(float64(gotEps[i]-eps[i])) > tol {
					t.Errorf("%s at t=%d: x_0 %g eps %g, want %g and %g", p, step, gotX0[i], gotEps[i], x0[i], eps[i])
				}
			}
		}
	}
	if Prediction("").Check() != nil || Prediction("x0").Check() == nil {
		t.Error("Check accepts or refuses the wrong names")
	}
}

func TestTrainExample(t *testing.T) {
	s, err := NewSchedule(ScheduleConfig{Kind: Cosine, T: 20})
	if err != nil {
		t.Fatal(err)
	}
	x0 := []float32{1, -1, 0.5, 0, 0.25}
	xt, target, noise := make([]float32, 5), make([]float32, 5), make([]float32, 5)
	counts := make([]float64, s.T())
	const draws = 20_000
	for i := range uint32(draws) {
		step := s.TrainExample(Epsilon, xt, target, noise, x0, 1, i, 7)
		counts[step]++
		if i > 0 {
			continue
		}
		want := make([]float32, 5)
		s.AddNoise(want, x0, noise, step)
		if Loss(xt, want) != 0 || Loss(target, noise) != 0 || Loss(noise, x0) == 0 {
			t.Error("x_t or the target is not what the drawn t and eps make")
		}
		if step != TrainTimestep(s.T(), 1, i, 7) {
			t.Error("TrainTimestep draws another t")
		}
	}
	var x2 float64
	for _, c := range counts {
		x2 += (c - draws/20) * (c - draws/20) / (draws / 20)
	}
	if x2 > 43.8 { // 19 degrees of freedom, p = 1e-3
		t.Errorf("t is not uniform: chi squared %g, counts %v", x2, counts)
	}
	if got := Loss([]float32{1, 2}, []float32{0, 4}); got != 2.5 {
		t.Errorf("Loss = %g, want 2.5", got)
	}
}
