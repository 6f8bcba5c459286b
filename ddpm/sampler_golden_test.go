package ddpm

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/golden"
)

// goldenSampler builds the sampler that the JSON beside a trajectory describes,
// the way a scheduler_config.json is read.
func goldenSampler(t *testing.T, f *golden.File, imageLen int, exact bool) (s Sampler, prediction string) {
	t.Helper()
	var c struct {
		Prediction string         `json:"prediction_type"`
		Steps      int            `json:"steps"`
		Scheduler  string         `json:"scheduler"`
		Config     map[string]any `json:"config"`
		StepArgs   struct {
			Eta float64 `json:"eta"`
		} `json:"step_args"`
	}
	f.Sidecar(t, &c)
	c.Config["_class_name"] = c.Scheduler
	b, err := json.Marshal(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	from, err := ParseScheduler(b)
	if err != nil {
		t.Fatal(err)
	}
	sch, err := NewSchedule(from.Schedule)
	if err != nil {
		t.Fatal(err)
	}
	o := from.Options
	o.Steps, o.Eta, o.ImageLen, o.Exact = c.Steps, c.StepArgs.Eta, imageLen, exact
	if s, err = NewSampler(from.Sampler, sch, o); err != nil {
		t.Fatal(err)
	}
	return s, c.Prediction
}

// goldenPredictor is the stand-in for a network that made the vectors.
func goldenPredictor(prediction string) Predict {
	a, b := 0.1, 0.01
	switch Prediction(prediction) {
	case VPrediction:
		a, b = 0.3, -0.02
	case Sample0:
		a, b = 0.5, 0.05
	}
	return func(x []float32, t int, out []float32) error {
		for i := range x {
			out[i] = float32(a*float64(x[i]) + b*float64(t)/1000)
		}
		return nil
	}
}

// Each sampler goes from x[0] with its own x at every step, and each x is
// compared with the vectors': as it is by default to 1e-5 of the largest value,
// and with exact coefficients, from which diffusers' own rounding takes the
// vectors away near the clean image, to 1e-3.
func TestSamplersGolden(t *testing.T) {
	golden.Run(t, "sampler_*", func(t *testing.T, f *golden.File) {
		rounded, exact := goldenTrajectory(t, f, false), goldenTrajectory(t, f, true)
		t.Logf("largest difference over the largest value of its step: %.3g, with exact coefficients %.3g", rounded, exact)
		if !(rounded <= 1e-5) {
			t.Errorf("difference %.3g of the largest value, want at most 1e-5", rounded)
		}
		if !(exact <= 1e-3) {
			t.Errorf("with exact coefficients, difference %.3g of the largest value, want at most 1e-3", exact)
		}
	})
}

func goldenTrajectory(t *testing.T, f *golden.File, exact bool) (worst float64) {
	t.Helper()
	want, shape := f.F32(t, "x"), f.Shape(t, "x")
	n := len(want) / shape[0]
	s, prediction := goldenSampler(t, f, n/shape[1], exact)
	var steps []int
	for _, v := range f.I64(t, "timesteps") {
		steps = append(steps, int(v))
	}
	if !slices.Equal(s.Timesteps(), steps) {
		t.Fatalf("timesteps %v, want %v", s.Timesteps(), steps)
	}
	if f.Has("sigmas") {
		for i, sigma := range f.F64(t, "sigmas") {
			if got := math.Sqrt(1/s.Level(i) - 1); math.Abs(got-sigma) > 1e-3*sigma {
				t.Fatalf("sigma %d is %g, want %g", i, got, sigma)
			}
		}
	}
	noise := func(int, []float32) { t.Fatal("noise was asked for and the vectors have none") }
	if f.Has("noise") {
		z := f.F32(t, "noise")
		noise = func(i int, dst []float32) { copy(dst, z[i*n:(i+1)*n]) }
	}
	x := slices.Clone(want[:n])
	err := Sample(context.Background(), s, x, goldenPredictor(prediction), noise, func(i, _ int, x, _ []float32) {
		diff, scale := golden.Diff(x, want[(i+1)*n:(i+2)*n])
		worst = max(worst, diff/scale)
	})
	if err != nil {
		t.Fatal(err)
	}
	return worst
}

func TestSampleStops(t *testing.T) {
	sch, err := NewSchedule(ScheduleConfig{Kind: Linear, T: 10})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSampler("ddim", sch, SamplerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	predict := func(x []float32, t int, out []float32) error {
		if calls++; calls == 3 {
			cancel()
		}
		return nil
	}
	if err := Sample(ctx, s, make([]float32, 4), predict, nil, nil); !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("after cancel: error %v, %d calls", err, calls)
	}
	broken := errors.New("no device")
	fails := func([]float32, int, []float32) error { return broken }
	if err := Sample(context.Background(), s, make([]float32, 4), fails, nil, nil); !errors.Is(err, broken) {
		t.Errorf("a failing network gave %v", err)
	}
	inf := func(x []float32, _ int, out []float32) error { out[2] = float32(1e30); out[2] *= out[2]; return nil }
	if err := Sample(context.Background(), s, make([]float32, 4), inf, nil, nil); err == nil {
		t.Error("an infinite image gave no error")
	}
}
