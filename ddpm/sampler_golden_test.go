package ddpm

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/golden"
)

// diffusersConfig is the part of a scheduler's config that samplers need.
type diffusersConfig struct {
	Prediction string `json:"prediction_type"`
	Steps      int    `json:"steps"`
	StepArgs   struct {
		Eta float64 `json:"eta"`
	} `json:"step_args"`
	Config struct {
		T              int     `json:"num_train_timesteps"`
		BetaStart      float64 `json:"beta_start"`
		BetaEnd        float64 `json:"beta_end"`
		BetaSchedule   string  `json:"beta_schedule"`
		Variance       string  `json:"variance_type"`
		Clip           bool    `json:"clip_sample"`
		ClipRange      float64 `json:"clip_sample_range"`
		Thresholding   bool    `json:"thresholding"`
		ThresholdRatio float64 `json:"dynamic_thresholding_ratio"`
		ThresholdMax   float64 `json:"sample_max_value"`
		AlphaToOne     *bool   `json:"set_alpha_to_one"`
		StepsOffset    int     `json:"steps_offset"`
		Spacing        string  `json:"timestep_spacing"`
		ZeroSNR        bool    `json:"rescale_betas_zero_snr"`
	} `json:"config"`
}

func (c diffusersConfig) build(name string, imageLen int, float32Tables bool) (Sampler, error) {
	kind, err := KindFromDiffusers(c.Config.BetaSchedule)
	if err != nil {
		return nil, err
	}
	sc := ScheduleConfig{Kind: kind, T: c.Config.T, ZeroTerminalSNR: c.Config.ZeroSNR}
	if kind != Cosine {
		sc.BetaStart, sc.BetaEnd = c.Config.BetaStart, c.Config.BetaEnd
	}
	sch, err := NewSchedule(sc)
	if err != nil {
		return nil, err
	}
	return NewSampler(name, sch, SamplerOptions{
		Steps: c.Steps, Spacing: Spacing(c.Config.Spacing), StepsOffset: c.Config.StepsOffset,
		Prediction: Prediction(c.Prediction), Variance: c.Config.Variance, Eta: c.StepArgs.Eta,
		EndAtFirst: c.Config.AlphaToOne != nil && !*c.Config.AlphaToOne,
		Clip:       c.Config.Clip, ClipRange: c.Config.ClipRange,
		Thresholding: c.Config.Thresholding, ThresholdRatio: c.Config.ThresholdRatio, ThresholdMax: c.Config.ThresholdMax,
		ImageLen: imageLen, Float32: float32Tables,
	})
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

// goldenTrajectories runs a sampler from x[0] with its own x at every step and
// compares each x with the vectors': with diffusers' float32 coefficients to
// 1e-5 of the largest value, and with the exact ones, from which diffusers' own
// rounding takes the vectors away near the clean image, to 1e-3.
func goldenTrajectories(t *testing.T, pattern, sampler string) {
	golden.Run(t, pattern, func(t *testing.T, f *golden.File) {
		rounded := goldenTrajectory(t, f, sampler, true)
		exact := goldenTrajectory(t, f, sampler, false)
		t.Logf("largest difference over the largest value of its step: %.3g, with exact coefficients %.3g", rounded, exact)
		if !(rounded <= 1e-5) {
			t.Errorf("difference %.3g of the largest value, want at most 1e-5", rounded)
		}
		if !(exact <= 1e-3) {
			t.Errorf("with exact coefficients, difference %.3g of the largest value, want at most 1e-3", exact)
		}
	})
}

func goldenTrajectory(t *testing.T, f *golden.File, sampler string, float32Tables bool) (worst float64) {
	t.Helper()
	var c diffusersConfig
	f.Sidecar(t, &c)
	want, shape := f.F32(t, "x"), f.Shape(t, "x")
	n := len(want) / shape[0]
	s, err := c.build(sampler, n/shape[1], float32Tables)
	if err != nil {
		t.Fatal(err)
	}
	var steps []int
	for _, v := range f.I64(t, "timesteps") {
		steps = append(steps, int(v))
	}
	if !slices.Equal(s.Timesteps(), steps) {
		t.Fatalf("timesteps %v, want %v", s.Timesteps(), steps)
	}
	noise := func(int, []float32) { t.Fatal("noise was asked for and the vectors have none") }
	if f.Has("noise") {
		z := f.F32(t, "noise")
		noise = func(i int, dst []float32) { copy(dst, z[i*n:(i+1)*n]) }
	}
	x := slices.Clone(want[:n])
	err = Sample(context.Background(), s, x, goldenPredictor(c.Prediction), noise, func(i, _ int, x, _ []float32) {
		diff, scale := golden.Diff(x, want[(i+1)*n:(i+2)*n])
		worst = max(worst, diff/scale)
	})
	if err != nil {
		t.Fatal(err)
	}
	return worst
}

func TestDDPMGolden(t *testing.T) { goldenTrajectories(t, "sampler_ddpm_*", "ddpm") }
func TestDDIMGolden(t *testing.T) { goldenTrajectories(t, "sampler_ddim_*", "ddim") }

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
