package ddpm

import (
	"math"
	"regexp"
	"strconv"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/golden"
)

// goldenSchedule reads a schedule's config off the name of its vectors:
// sched_KIND[_PARAMETERS]_T1000[_nocap].
func goldenSchedule(t *testing.T, name string) ScheduleConfig {
	t.Helper()
	num := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v
	}
	m := regexp.MustCompile(`^sched_(.+)_T(\d+)(_nocap)?$`).FindStringSubmatch(name)
	if m == nil {
		t.Fatalf("%s: the name does not say T", name)
	}
	T, _ := strconv.Atoi(m[2])
	c := ScheduleConfig{T: T}
	if p := regexp.MustCompile(`^(linear|scaled_linear|sigmoid_geodiff)(?:_([0-9.e-]+)_([0-9.e-]+))?$`).FindStringSubmatch(m[1]); p != nil {
		c.Kind = map[string]string{"linear": Linear, "scaled_linear": ScaledLinear, "sigmoid_geodiff": SigmoidBeta}[p[1]]
		if p[2] != "" {
			c.BetaStart, c.BetaEnd = num(p[2]), num(p[3])
		}
	} else if p := regexp.MustCompile(`^(?:squaredcos_cap_v2|cosine)(?:_s([0-9.e-]+))?$`).FindStringSubmatch(m[1]); p != nil {
		c.Kind = Cosine
		if p[1] != "" {
			c.S = num(p[1])
		}
	} else if m[1] == "sigmoid_lucid" {
		c.Kind = SigmoidAlphaBar
	} else {
		t.Fatalf("%s: which schedule is %q?", name, m[1])
	}
	if m[3] != "" {
		c.Cap = 0.9999999 // so the vectors call "no cap"
	}
	return c
}

// maxRelative is the largest |got - want| / |want|.
func maxRelative(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var worst float64
	for i := range want {
		if got[i] == want[i] {
			continue
		}
		if d := math.Abs(got[i]-want[i]) / math.Abs(want[i]); !(d <= worst) {
			worst = d
		}
	}
	return worst
}

func TestScheduleGolden(t *testing.T) {
	golden.Run(t, "sched_*", func(t *testing.T, f *golden.File) {
		s, err := NewSchedule(goldenSchedule(t, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string][]float64{
			"betas_f64":                          s.Betas,
			"alphas_cumprod_f64":                 s.AlphasCumprod,
			"posterior_variance_f64":             s.PosteriorVariance,
			"posterior_log_variance_clipped_f64": s.PosteriorLogVarianceClipped,
			"posterior_mean_coef1_f64":           s.PosteriorMeanCoef1,
			"posterior_mean_coef2_f64":           s.PosteriorMeanCoef2,
			"snr_f64":                            s.SNR,
		} {
			if d := maxRelative(got, f.F64(t, name)); !(d <= 1e-10) {
				t.Errorf("%s: relative difference %.3g, want at most 1e-10", name, d)
			} else {
				t.Logf("%s: relative difference %.3g", name, d)
			}
		}
		bars := make([]float32, s.T())
		for i, v := range s.alphasCumprodFloat32() {
			bars[i] = float32(v)
		}
		if d, _ := golden.Diff(bars, f.F32(t, "alphas_cumprod_f32")); !(d <= 1e-7) {
			t.Errorf("alphas_cumprod_f32: difference %.3g, want at most 1e-7", d)
		} else {
			t.Logf("alphas_cumprod_f32: difference %.3g", d)
		}
	})
}

func TestForwardProcessGolden(t *testing.T) {
	golden.Run(t, "forward_process*", func(t *testing.T, f *golden.File) {
		x0, noise, steps := f.F32(t, "x0"), f.F32(t, "noise"), f.I64(t, "timesteps")
		n := len(x0) / len(steps)
		for suffix, kind := range map[string]string{"linear": Linear, "cosine": Cosine} {
			s, err := NewSchedule(ScheduleConfig{Kind: kind, T: 1000})
			if err != nil {
				t.Fatal(err)
			}
			xt, v := make([]float32, len(x0)), make([]float32, len(x0))
			for i, step := range steps {
				lo, hi := i*n, (i+1)*n
				s.AddNoise(xt[lo:hi], x0[lo:hi], noise[lo:hi], int(step))
				s.Velocity(v[lo:hi], x0[lo:hi], noise[lo:hi], int(step))
			}
			for name, got := range map[string][]float32{"xt_" + suffix: xt, "velocity_" + suffix: v} {
				diff, scale := golden.Diff(got, f.F32(t, name))
				t.Logf("%s: %.3g of the largest value", name, diff/scale)
				if !(diff <= 1e-5*scale) {
					t.Errorf("%s: difference %g at a largest value of %g", name, diff, scale)
				}
			}
		}
	})
}

func TestEMADecayGolden(t *testing.T) {
	for _, path := range golden.Files(t, "ema_decay*.json") {
		var file struct {
			Table map[string]struct {
				Args struct {
					Warmup   bool    `json:"use_ema_warmup"`
					InvGamma float64 `json:"inv_gamma"`
					Power    float64 `json:"power"`
					After    float64 `json:"update_after_step"`
					Min      float64 `json:"min_decay"`
				}
				Decay [][2]float64
			}
		}
		golden.JSON(t, path, &file)
		for name, c := range file.Table {
			t.Run(name, func(t *testing.T) {
				power := c.Args.Power
				if !c.Args.Warmup {
					power = 0
				}
				for _, row := range c.Decay {
					step, want := row[0], row[1]
					// A late start is a shift of the count, and a floor a max.
					got := max(EMADecay(uint64(max(step-c.Args.After, 0)), 0.9999, power, c.Args.InvGamma), c.Args.Min)
					if step-c.Args.After <= 1 {
						got = 0
					}
					if math.Abs(got-want) > 1e-12 {
						t.Errorf("step %g: decay %.17g, want %.17g", step, got, want)
					}
				}
			})
		}
	}
}

func TestEMARunGolden(t *testing.T) {
	golden.Run(t, "ema_run*", func(t *testing.T, f *golden.File) {
		params, want, shape := f.F32(t, "params"), f.F32(t, "shadow"), f.Shape(t, "params")
		n := shape[1]
		shadow := append([]float32(nil), params[:n]...)
		var worst float64
		for step := 1; step < shape[0]; step++ {
			decay := EMADecay(uint64(step), 0.9999, 0.75, 1)
			for i := range shadow {
				shadow[i] -= float32(1-decay) * (shadow[i] - params[step*n+i])
			}
			diff, _ := golden.Diff(shadow, want[step*n:(step+1)*n])
			worst = max(worst, diff)
		}
		t.Logf("largest difference %.3g", worst)
		if !(worst <= 1e-6) {
			t.Errorf("largest difference %g, want at most 1e-6", worst)
		}
	})
}

// The betas that a well-known tutorial prints are the cosine schedule of 300
// steps. A zero is missing near the end of its third, which should read
// 0.00026444758275567803; its last is 1, before the cap.
func TestTutorialBetas(t *testing.T) {
	s, err := NewSchedule(ScheduleConfig{Kind: Cosine, T: 300, S: 0.008, Cap: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]float64{
		0: 0.0001564962795991276, 1: 0.0002104677074292738, 2: 0.0002644475827556783,
		3: 0.0003184388213015587, 298: 0.7499932543469323, 299: 1,
	} {
		if d := math.Abs(s.Betas[i]-want) / want; d > 1e-12 {
			t.Errorf("beta[%d] = %.17g, want %.17g (relative %.2g)", i, s.Betas[i], want, d)
		}
	}
	capped, err := NewSchedule(ScheduleConfig{Kind: Cosine, T: 300})
	if err != nil {
		t.Fatal(err)
	}
	if capped.Betas[299] != 0.999 {
		t.Errorf("the default cap leaves the last beta at %g", capped.Betas[299])
	}
}
