package train

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// aids are the training aids, each alone and all together.
func aids() map[string]func(c *Config) {
	list := map[string]func(c *Config){
		"min-SNR":      func(c *Config) { c.MinSNR = 5 },
		"accumulation": func(c *Config) { c.Accumulate = 3 },
		"cosine":       func(c *Config) { c.Optimizer.Course, c.Optimizer.Floor, c.Steps = "cosine", 0.1, 8 },
		"linear":       func(c *Config) { c.Optimizer.Course, c.Steps = "linear", 8 },
		"dropout":      func(c *Config) { c.UNet.Dropout = 0.2 },
		"crop":         func(c *Config) { c.Crop = 2 },
		"augment":      func(c *Config) { c.Augment = 0.5 },
		"averages":     func(c *Config) { c.EMA.Lengths = []float64{0.05, 0.1} },
	}
	each := maps.Clone(list)
	list["all"] = func(c *Config) {
		for _, name := range slices.Sorted(maps.Keys(each)) {
			each[name](c)
		}
	}
	return list
}

// A run that goes on from a snapshot equals one that was never interrupted, to the last bit, whatever aid is on; and the aid does
// something.
func TestAidsResumeExactly(t *testing.T) {
	const images = 7
	b := processor(t, "", 2)
	plain := newStep(t, b, smallConfig(), pictures(images), images)
	steps(t, plain, 4)
	without := snapshot(t, plain)
	for name, on := range aids() {
		t.Run(name, func(t *testing.T) {
			c := smallConfig()
			on(c)
			whole := newStep(t, b, c, pictures(images), images)
			steps(t, whole, 4)
			want := snapshot(t, whole)
			first := newStep(t, b, c, pictures(images), images)
			steps(t, first, 2)
			half := snapshot(t, first)
			second := newStep(t, b, c, pictures(images), images)
			restore(t, second, half)
			steps(t, second, 2)
			got := snapshot(t, second)
			sameState(t, "resumed", got, want)
			for i := range want.Averages {
				if k := firstDifferent(got.Averages[i], want.Averages[i]); k >= 0 {
					t.Errorf("element %d of average %d is %v, want %v", k, i, got.Averages[i][k], want.Averages[i][k])
				}
			}
			if changed := firstDifferent(want.Params, without.Params) >= 0; changed != (name != "averages") {
				t.Errorf("the weights differ from those without it: %t", changed)
			}
		})
	}
}

// Whole steps with every aid against the float64 references of the same graph, on every instruction set.
func TestAidsMatchReferences(t *testing.T) {
	const images, n = 7, 3
	c := smallConfig()
	aids()["all"](c)
	params, err := nn.UNetParams(c.UNet)
	if err != nil {
		t.Fatal(err)
	}
	g, err := buildStep(c, params, images, c.Batch/c.micro())
	if err != nil {
		t.Fatal(err)
	}
	start := params.Init(c.Seed)
	want := referenceBuffers(t, c, params, start, pictures(images))
	one := want[bufControl]
	want[bufControl] = nil
	for i := range c.micro() {
		control := slices.Clone(one)
		control[backend.CtlSample] = float64(i * c.Batch / c.micro())
		want[bufControl] = append(want[bufControl], control...)
	}
	sch, err := ddpm.NewSchedule(c.Schedule)
	if err != nil {
		t.Fatal(err)
	}
	want[bufOne], want[bufWeights] = []float64{1 / float64(c.micro())}, widen(snrTable(c, sch))
	for i := range c.EMA.Lengths {
		want[averageBuffer(i)] = widen(start)
	}
	var losses []float64
	for range n {
		g.Eval(want)
		losses = append(losses, want[bufMetrics][metLoss])
	}
	eachLevel(t, func(t *testing.T, b *cpu.Backend) {
		s := newStep(t, b, c, pictures(images), images)
		for k, r := range steps(t, s, n) {
			if d := math.Abs(r.Loss - losses[k]); !(d <= 1e-5) {
				t.Errorf("step %d: loss %v, want %v", k, r.Loss, losses[k])
			}
		}
		got := snapshot(t, s)
		for i, average := range got.Averages {
			if d := largest(average, want[averageBuffer(i)]); !(d <= 1e-3) {
				t.Errorf("average %d is off by %g", i, d)
			}
		}
	})
}

// A batch in micro-batches is the same batch: the same samples, the same loss and gradient but for rounding.
func TestAccumulationIsTheSameBatch(t *testing.T) {
	const images = 7
	b := processor(t, "", 2)
	c := smallConfig()
	c.Batch, c.Flip, c.Crop = 6, true, 2
	want := steps(t, newStep(t, b, c, pictures(images), images), 1)[0]
	for _, k := range []int{2, 3, 6} {
		c := *c
		c.Accumulate = k
		got := steps(t, newStep(t, b, &c, pictures(images), images), 1)[0]
		if !slices.Equal(got.T, want.T) {
			t.Errorf("%d micro-batches: t %v, want %v", k, got.T, want.T)
		}
		if d := largest(got.SampleLoss, widen(want.SampleLoss)); !(d <= 1e-6) {
			t.Errorf("%d micro-batches: a sample's loss is off by %g", k, d)
		}
		if d := math.Abs(got.GradNorm/want.GradNorm - 1); !(d <= 1e-5) {
			t.Errorf("%d micro-batches: gradient norm %v, want %v", k, got.GradNorm, want.GradNorm)
		}
	}
}

// The loss with min-SNR is the mean of the samples' errors with the paper's weights.
func TestMinSNRWeighsTheLoss(t *testing.T) {
	const images = 7
	b := processor(t, "", 2)
	for _, p := range []ddpm.Prediction{ddpm.Epsilon, ddpm.Sample0, ddpm.VPrediction} {
		c := smallConfig()
		c.Prediction, c.MinSNR, c.Batch = p, 5, 8
		s := newStep(t, b, c, pictures(images), images)
		for _, r := range steps(t, s, 2) {
			want := 0.0
			for i, tt := range r.T {
				snr := s.Schedule.AlphasCumprod[tt] / (1 - s.Schedule.AlphasCumprod[tt])
				w := math.Min(snr, 5)
				switch p {
				case ddpm.Epsilon:
					w /= snr
				case ddpm.VPrediction:
					w /= snr + 1
				}
				want += w * float64(r.SampleLoss[i]) / 8
			}
			if d := math.Abs(r.Loss/want - 1); !(d <= 2e-5) {
				t.Errorf("%s: loss %v, want %v", p, r.Loss, want)
			}
		}
	}
}

// An average with a power-function profile is the weighted mean that its definition says.
func TestAveragesHaveTheirProfile(t *testing.T) {
	const images, n = 7, 6
	c := smallConfig()
	c.EMA.Lengths = []float64{0.15}
	s := newStep(t, processor(t, "", 2), c, pictures(images), images)
	gamma := ddpm.EMAGamma(0.15)
	want, total := make([]float64, s.Params.Elems()), 0.0
	for k := 1; k <= n; k++ {
		steps(t, s, 1)
		// The weight of step k after n steps: (1 - beta_k) times the product of the later betas, beta = (1 - 1/t)^(gamma+1).
		w := 1 - math.Pow(1-1/float64(k), gamma+1)
		for j := k + 1; j <= n; j++ {
			w *= math.Pow(1-1/float64(j), gamma+1)
		}
		total += w
		for i, p := range snapshot(t, s).Params {
			want[i] += w * float64(p)
		}
	}
	if math.Abs(total-1) > 1e-12 {
		t.Fatalf("the weights add up to %v", total)
	}
	if d := largest(snapshot(t, s).Averages[0], want); !(d <= 1e-6) {
		t.Errorf("off by %g", d)
	}
}
