package metrics

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// little is a network of one level with random weights.
func little(t *testing.T, p ddpm.Prediction) Network {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	cfg := nn.DefaultConfig()
	cfg.SampleSize, cfg.LayersPerBlock, cfg.BlockOutChannels, cfg.NormNumGroups = 8, 1, []int{8}, 4
	cfg.DownBlockTypes, cfg.UpBlockTypes = []string{"DownBlock2D"}, []string{"UpBlock2D"}
	params, err := nn.UNetParams(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sch, err := ddpm.NewSchedule(ddpm.ScheduleConfig{Kind: ddpm.Linear, T: 50})
	if err != nil {
		t.Fatal(err)
	}
	m := &model.Trained{UNet: cfg, Schedule: sch, Params: params, Weights: params.Init(3)}
	f, mem, err := m.Forward(b, 5)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	return Network{f, sch, p}
}

// The loss is that of the definition, whatever the batch; a picture's does not depend on the others.
func TestLossIsItsDefinition(t *testing.T) {
	for _, p := range []ddpm.Prediction{ddpm.Epsilon, ddpm.Sample0, ddpm.VPrediction} {
		n := little(t, p)
		m := noise(rand.New(rand.NewPCG(1, 1)), 3, 8, 3, true)
		got, err := n.losses(context.Background(), m, 1, 3, 4, 9, nil)
		if err != nil {
			t.Fatal(err)
		}
		per := m.Per()
		for i := 1; i < 3; i++ {
			for k := range 4 {
				u := float64(rng.Uniform(rng.Uint32(9, rng.StreamEval, uint32(k), uint32(i), 0)))
				tt := int((float64(k) + u) * 50 / 4)
				x0, eps, xt, out, target := m.floats(i, i+1), make([]float32, per), make([]float32, per), make([]float32, per), make([]float32, per)
				rng.Normals(eps, 9, rng.StreamEvalNoise, uint32(i), uint64(k))
				n.Schedule.AddNoise(xt, x0, eps, tt)
				if err := n.Forward.Run(context.Background(), xt, []int{tt}, nil, out); err != nil {
					t.Fatal(err)
				}
				n.Schedule.Target(p, target, x0, eps, tt)
				if want := ddpm.Loss(out, target); math.Abs(float64(got[(i-1)*4+k])/want-1) > 1e-5 {
					t.Errorf("%s, picture %d, t = %d: %v, want %v", p, i, tt, got[(i-1)*4+k], want)
				}
			}
		}
		by, err := n.Loss(context.Background(), m, 4, 2, 9, nil)
		if err != nil || by.Total.N != 3 || len(by.Parts) != 2 {
			t.Fatalf("%+v, %v", by, err)
		}
		if want := (by.Parts[0].Value + by.Parts[1].Value) / 2; math.Abs(by.Total.Value-want) > 1e-9 {
			t.Errorf("the parts' mean is %v, the total %v", want, by.Total.Value)
		}
	}
}

// With every timestep asked the bound is the sum of its terms as the definition has them: the divergences of the posterior from the
// reverse process, means and variances written out.
func TestBoundIsItsDefinition(t *testing.T) {
	n := little(t, ddpm.Epsilon)
	m := noise(rand.New(rand.NewPCG(2, 1)), 2, 8, 3, true)
	s, T, per := n.Schedule, n.Schedule.T(), m.Per()
	draws := T - 1
	v, err := n.bits(context.Background(), m, 0, 2, draws, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, variance := range []string{ddpm.FixedSmall, ddpm.FixedLarge} {
		b := sumBits(s, v, draws, 7, 5, variance)
		want, decoders := 0.0, 0.0
		for i := range 2 {
			for tt := T - 1; tt >= 0; tt-- {
				k := tt - 1
				if tt == 0 {
					k = draws
				}
				x0, eps, xt, out, clean := m.floats(i, i+1), make([]float32, per), make([]float32, per), make([]float32, per), make([]float32, per)
				rng.Normals(eps, 5, rng.StreamEvalNoise, uint32(i), uint64(k))
				s.AddNoise(xt, x0, eps, tt)
				if err := n.Forward.Run(context.Background(), xt, []int{tt}, nil, out); err != nil {
					t.Fatal(err)
				}
				s.PredictX0(ddpm.Epsilon, clean, xt, out, tt)
				sigma2 := s.PosteriorVariance[max(tt, 1)]
				if variance == ddpm.FixedLarge && tt > 0 {
					sigma2 = s.Betas[tt]
				}
				for e := range clean {
					c := math.Max(-1, math.Min(1, float64(clean[e])))
					model := s.PosteriorMeanCoef1[tt]*c + s.PosteriorMeanCoef2[tt]*float64(xt[e])
					if tt == 0 {
						nats := -math.Log(math.Max(binMass(float64(x0[e]), model, math.Sqrt(sigma2)), decoderFloor))
						decoders += nats / math.Ln2 / float64(per) / 2
						continue
					}
					mean := s.PosteriorMeanCoef1[tt]*float64(x0[e]) + s.PosteriorMeanCoef2[tt]*float64(xt[e])
					q := s.PosteriorVariance[tt]
					kl := math.Log(math.Sqrt(sigma2/q)) + (q+(mean-model)*(mean-model))/(2*sigma2) - 0.5
					want += kl / math.Ln2 / float64(per) / 2
				}
			}
		}
		terms := 0.0
		for _, p := range b.Terms {
			terms += p.Value
		}
		if math.Abs(terms/want-1) > 1e-4 || math.Abs(b.Decoder.Value/decoders-1) > 1e-3 {
			t.Errorf("%s: terms %v, want %v; decoder %v, want %v", variance, terms, want, b.Decoder.Value, decoders)
		}
		if sum := terms + b.Prior.Value + b.Decoder.Value; math.Abs(b.Total.Value/sum-1) > 1e-9 {
			t.Errorf("%s: total %v of parts %v", variance, b.Total.Value, sum)
		}
	}
}

// binMass integrates the normal density over the bin of x by Simpson's rule.
func binMass(x, m, std float64) float64 {
	lo, hi := x-1.0/255, x+1.0/255
	if x < -0.999 {
		lo = min(lo, m) - 12*std
	}
	if x > 0.999 {
		hi = max(hi, m) + 12*std
	}
	const steps = 4000
	h, sum := (hi-lo)/steps, 0.0
	for i := range steps + 1 {
		w := 2.0
		switch {
		case i == 0 || i == steps:
			w = 1
		case i%2 == 1:
			w = 4
		}
		z := (lo + float64(i)*h - m) / std
		sum += w * math.Exp(-z*z/2)
	}
	return sum * h / 3 / (std * math.Sqrt(2*math.Pi))
}

// The decoder spreads one unit of probability over the 256 values.
func TestDecoderIsADistribution(t *testing.T) {
	for _, m := range []float64{-1.3, -1, -0.2, 0.999, 1.1} {
		for _, std := range []float64{0.003, 0.05, 0.8} {
			sum := 0.0
			for p := range 256 {
				sum += decoder(float64(p)/127.5-1, m, std)
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Errorf("mean %v, deviation %v: the masses add up to %v", m, std, sum)
			}
		}
	}
}

// The strata cover every timestep from 1 on once, whatever their number.
func TestStrata(t *testing.T) {
	for _, T := range []int{50, 300, 1000} {
		for _, k := range []int{20, 40, T - 1} {
			if k >= T {
				continue
			}
			at := 1
			for _, s := range strata(T, k) {
				if s.from != at || s.to <= s.from {
					t.Fatalf("T %d, %d parts: %+v after %d", T, k, s, at)
				}
				at = s.to
			}
			if at != T {
				t.Errorf("T %d, %d parts end at %d", T, k, at)
			}
		}
	}
}

func TestPrior(t *testing.T) {
	n := little(t, ddpm.Epsilon)
	// KL(N(m, v) || N(0, 1)) by its integral.
	bar := n.Schedule.AlphasCumprod[n.Schedule.T()-1]
	m, std, want := math.Sqrt(bar)*0.7, math.Sqrt(1-bar), 0.0
	for i := range 200000 {
		x := m + std*(-10+20*(float64(i)+0.5)/200000)
		z := (x - m) / std
		q := math.Exp(-z*z/2) / std / math.Sqrt(2*math.Pi)
		want += q * (-z*z/2 - math.Log(std) + x*x/2) * 20 * std / 200000 / math.Ln2
	}
	if got := prior(n.Schedule, []float32{0.7}); math.Abs(got/want-1) > 1e-5 {
		t.Errorf("%v, want %v", got, want)
	}
}
