package ddpm

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
)

func linearSchedule(t *testing.T, T int) *Schedule {
	t.Helper()
	s, err := NewSchedule(ScheduleConfig{Kind: Linear, T: T})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTimesteps(t *testing.T) {
	for _, c := range []struct {
		T, steps int
		spacing  Spacing
		offset   int
		want     []int
	}{
		{1000, 4, Leading, 0, []int{750, 500, 250, 0}},
		{1000, 4, Leading, 1, []int{751, 501, 251, 1}},
		{1000, 3, Leading, 0, []int{666, 333, 0}},
		{1000, 4, Trailing, 0, []int{999, 749, 499, 249}},
		{1000, 3, Trailing, 0, []int{999, 666, 332}},
		{1000, 4, Linspace, 0, []int{999, 666, 333, 0}},
		{1000, 1, Linspace, 0, []int{0}},
		{3, 3, Trailing, 0, []int{2, 1, 0}},
		{3, 3, Linspace, 0, []int{2, 1, 0}},
	} {
		got, err := Timesteps(c.T, c.steps, c.spacing, c.offset)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("T=%d %d steps %s +%d: %v, %v, want %v", c.T, c.steps, c.spacing, c.offset, got, err, c.want)
		}
	}
	for _, spacing := range []Spacing{Leading, Trailing, Linspace} {
		for T := 1; T <= 60; T++ {
			for steps := 1; steps <= T; steps++ {
				got, err := Timesteps(T, steps, spacing, 0)
				if err != nil || len(got) != steps {
					t.Fatalf("T=%d %d steps %s: %v, %v", T, steps, spacing, got, err)
				}
				for i := 1; i < steps; i++ {
					if got[i] >= got[i-1] {
						t.Fatalf("T=%d %d steps %s: %v does not fall", T, steps, spacing, got)
					}
				}
			}
		}
	}
}

func TestSamplerErrors(t *testing.T) {
	sch := linearSchedule(t, 100)
	zero, err := NewSchedule(ScheduleConfig{Kind: Linear, T: 100, ZeroTerminalSNR: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		sch  *Schedule
		o    SamplerOptions
		want string
	}{
		{"plms", sch, SamplerOptions{}, "want one of [ddim ddpm dpmpp2m dpmpp2m-sde euler euler-a heun unipc]"},
		{"ddpm", sch, SamplerOptions{Steps: 101}, "101 sampling steps"},
		{"ddpm", sch, SamplerOptions{Steps: -1}, "-1 sampling steps"},
		{"ddpm", sch, SamplerOptions{Spacing: "log"}, `"log"`},
		{"ddpm", sch, SamplerOptions{StepsOffset: 5}, "steps_offset is 5"},
		{"ddpm", sch, SamplerOptions{Prediction: "x"}, `"x"`},
		{"ddpm", sch, SamplerOptions{Variance: "learned"}, `"learned"`},
		{"ddim", sch, SamplerOptions{Eta: 1.5}, "eta is 1.5"},
		{"ddim", sch, SamplerOptions{Eta: math.NaN()}, "eta is NaN"},
		{"ddim", sch, SamplerOptions{ClipRange: -1}, "clip_range is -1"},
		{"ddim", sch, SamplerOptions{ThresholdRatio: 2}, "threshold_ratio is 2"},
		{"ddim", sch, SamplerOptions{ThresholdMax: 0.5}, "threshold_max is 0.5"},
		{"ddim", zero, SamplerOptions{}, "predict v or sample"},
		{"heun", zero, SamplerOptions{Spacing: Trailing}, "predict v or sample"},
		{"ddim", sch, SamplerOptions{Strength: 1.5}, "strength is 1.5"},
		{"dpmpp2m", sch, SamplerOptions{LambdaMin: 5}, "lambda_min is 5"},
		{"dpmpp2m", sch, SamplerOptions{LambdaMin: math.NaN()}, "lambda_min is NaN"},
		{"dpmpp2m", sch, SamplerOptions{Solver: "bh1"}, "want midpoint or heun"},
		{"unipc", sch, SamplerOptions{Solver: "heun"}, "want bh1 or bh2"},
		{"unipc", sch, SamplerOptions{Order: 4}, "order is 4"},
		{"euler", sch, SamplerOptions{Steps: 101, Spacing: Karras}, "101 sampling steps"},
		{"unipc", sch, SamplerOptions{Steps: 101, Spacing: Karras}, "101 sampling steps"},
	} {
		if _, err := NewSampler(c.name, c.sch, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: error %v, want one with %q", c.name, c.o, err, c.want)
		}
	}
	if _, err := NewSampler("ddim", zero, SamplerOptions{Prediction: VPrediction}); err != nil {
		t.Error(err)
	}
}

// Noise is asked for where the method needs it and nowhere else, x_0 is clamped
// in every step, and the last step of both samplers lands on it.
func TestNoiseAndClamping(t *testing.T) {
	sch := linearSchedule(t, 100)
	wild := func(x []float32, _ int, out []float32) error {
		for i := range out {
			out[i] = float32(3 * math.Sin(float64(i)))
		}
		return nil
	}
	for _, c := range []struct {
		name  string
		o     SamplerOptions
		draws int
		limit float32
	}{
		{"ddim", SamplerOptions{Steps: 10, Clip: true}, 0, 1},
		{"ddim", SamplerOptions{Steps: 10, Clip: true, Eta: 0.5}, 9, 1},
		{"ddpm", SamplerOptions{Steps: 10, Clip: true, ClipRange: 0.5}, 9, 0.5},
		{"ddpm", SamplerOptions{Steps: 10, Thresholding: true, ThresholdMax: 2, ImageLen: 8}, 9, 1},
	} {
		s, err := NewSampler(c.name, sch, c.o)
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float32, 32)
		for i := range x {
			x[i] = float32(math.Cos(float64(i)))
		}
		draws := 0
		noise := func(_ int, dst []float32) {
			if draws++; len(dst) != len(x) {
				t.Errorf("%s: noise of %d for an image of %d", c.name, len(dst), len(x))
			}
			clear(dst)
		}
		err = Sample(context.Background(), s, x, wild, noise, func(i, step int, x, x0 []float32) {
			if slices.Max(x0) > c.limit || slices.Min(x0) < -c.limit {
				t.Errorf("%s %+v step %d: x_0 from %g to %g", c.name, c.o, i, slices.Min(x0), slices.Max(x0))
			}
			if step == 0 && !slices.Equal(x, x0) {
				t.Errorf("%s %+v: the last step is not at its x_0", c.name, c.o)
			}
		})
		if err != nil || draws != c.draws {
			t.Errorf("%s %+v: %d draws, %v, want %d", c.name, c.o, draws, err, c.draws)
		}
	}
}

// DDIM with eta 1 is DDPM with the small variance (DDIM section 4.1).
func TestDDIMEta1IsDDPM(t *testing.T) {
	sch := linearSchedule(t, 1000)
	run := func(name string, o SamplerOptions) []float32 {
		s, err := NewSampler(name, sch, o)
		if err != nil {
			t.Fatal(err)
		}
		x := []float32{1, -0.5, 0.2}
		noise := func(i int, dst []float32) {
			for e := range dst {
				dst[e] = float32(math.Sin(float64(7*i + e)))
			}
		}
		if err := Sample(context.Background(), s, x, goldenPredictor("epsilon"), noise, nil); err != nil {
			t.Fatal(err)
		}
		return x
	}
	a, b := run("ddpm", SamplerOptions{Steps: 50}), run("ddim", SamplerOptions{Steps: 50, Eta: 1})
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-4*math.Abs(float64(a[i])) {
			t.Errorf("element %d: DDPM %g, DDIM with eta 1 %g", i, a[i], b[i])
		}
	}
}

// What is sampled with where nothing else is said begins where the prediction can tell something of the image.
func TestDefaults(t *testing.T) {
	cosine := ScheduleConfig{Kind: Cosine, T: 1000}
	zero := cosine
	zero.ZeroTerminalSNR = true
	for _, c := range []struct {
		sampler    string
		schedule   ScheduleConfig
		prediction Prediction
		steps      int
		want       SamplerOptions
	}{
		{"ddim", cosine, Epsilon, 20, SamplerOptions{Steps: 20, LambdaMin: -2.5}},
		{"ddim", cosine, "", 0, SamplerOptions{Steps: 50, LambdaMin: -2.5}},
		{"ddim", cosine, VPrediction, 0, SamplerOptions{Steps: 50, LambdaMin: -5.1}},
		{"dpmpp2m", zero, VPrediction, 0, SamplerOptions{Steps: 50}},
		{"dpmpp2m", ScheduleConfig{Kind: Linear, T: 30}, Epsilon, 0, SamplerOptions{Steps: 30, LambdaMin: -2.5}},
		{"heun", cosine, Epsilon, 10, SamplerOptions{Steps: 10, LambdaMin: -2.5, Spacing: Karras}},
		{"ddpm", cosine, Epsilon, 0, SamplerOptions{}},
		{"ddpm", cosine, Epsilon, 20, SamplerOptions{Steps: 20, LambdaMin: -2.5}},
		{"ddpm", cosine, Epsilon, 1000, SamplerOptions{Steps: 1000}},
	} {
		c.want.Prediction, c.want.Clip = c.prediction, true
		if c.want.Spacing == "" {
			c.want.Spacing = Trailing
		}
		if got := Defaults(c.sampler, c.schedule, c.prediction, c.steps); got != c.want {
			t.Errorf("%s, %+v, %s, %d steps: %+v, want %+v", c.sampler, c.schedule, c.prediction, c.steps, got, c.want)
		}
	}
	sch, err := NewSchedule(cosine)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSampler("ddim", sch, Defaults("ddim", cosine, Epsilon, 20))
	if err != nil {
		t.Fatal(err)
	}
	first := s.Timesteps()[0]
	lambda := func(t int) float64 { return math.Log(sch.AlphasCumprod[t]/(1-sch.AlphasCumprod[t])) / 2 }
	if lambda(first) < -2.5 || lambda(first+1) >= -2.5 || len(s.Timesteps()) != 20 {
		t.Errorf("it begins at %d of %d levels, where lambda is %v", first, len(s.Timesteps()), lambda(first))
	}
}
