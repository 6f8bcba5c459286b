package experiment

import (
	"context"
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

var denoise = &Experiment{
	Name: "denoise", Short: "from noise to an image, step by step",
	Explain: []string{
		"It begins with nothing but noise. Each step the network says what is noise in x_t, and a little of it is taken away.",
		"x_0 as predicted from x_t is a blur at first, the mean of all that is still possible, and becomes sharp as x_t decides.",
		"One evaluation of the network a step, whatever the size of the image.",
	},
	Knobs: []Knob{KnobT, KnobSchedule, KnobSeed}, Trains: true,
	adjust: func(p *Params) {
		p.Head = lab.Noise
		def(&p.Steps, 6000) // at the noisy end only a good predictor is better than none
	},
}

func init() { denoise.run = runDenoise }

// Denoised is what denoise measures.
type Denoised struct {
	NFE      int      `json:"network_evaluations"` // T
	Variance float64  `json:"variance_of_images"`  // of the values drawn
	Data     float64  `json:"variance_of_data"`
	Mean     float64  `json:"mean_of_images"`
	DataMean float64  `json:"mean_of_data"`
	Oracle   Oracle   `json:"gaussian_oracle"`
	ByTime   []Bucket `json:"held_out_loss_by_t"` // squared error of the noise
}

// Oracle is the sampler with the best possible predictor of a Gaussian's noise, against what it should give.
type Oracle struct {
	Mean     float64 `json:"mean"`
	Variance float64 `json:"variance"`
	// Expected is what the recursion of the sampler on mean and variance gives, Data the variance of the Gaussian.
	Expected float64 `json:"expected_variance"`
	Data     float64 `json:"data_variance"`
	SE       float64 `json:"standard_error"` // of the variance
}

// Bucket is the mean loss of a range of timesteps.
type Bucket struct {
	From int     `json:"from"` // 1..T
	To   int     `json:"to"`
	Loss float64 `json:"loss"`
}

func runDenoise(ctx context.Context, j *job) (any, error) {
	t, set, err := j.network(ctx, j.task())
	if err != nil {
		return nil, err
	}
	n := t.net
	const cols = drawn / 2
	grid := func(name, caption string, x []float32) Picture {
		return Picture{name, caption, model.Grid(x, drawn, n.Side, n.C, cols), 2, cols}
	}
	every := max(1, n.Schedule.T()/100)
	before := n.Calls
	x, err := n.Denoise(ctx, lab.Denoise{
		N: drawn, Sampler: "ddpm", Options: ddpm.SamplerOptions{Clip: true}, Seed: j.p.Seed,
		OnStep: func(i, steps, tt int, x, eps, x0 []float32) {
			if (steps-i-1)%every != 0 {
				return
			}
			at := ddpm.DisplayStep(tt) - 1
			level := lab.LevelAt(n.Schedule, tt-1)
			j.emit(Frame{
				Phase: "denoising", Done: int64(i + 1), Total: int64(steps), Moment: true,
				Pictures: []Picture{
					grid("xt", fmt.Sprintf("x_t, t = %d", at), x), grid("eps", "the noise predicted in it", halved(eps)), grid("x0", "the x_0 predicted from it", x0),
				},
				Figures: []Figure{{"t", fmt.Sprintf("%d of %d", at, steps), ""}, figure("alphabar", level.AlphaBar, 4, ""), {"SNR", fmt.Sprintf("%.3g", level.SNR), ""}},
			})
		},
	})
	if err != nil {
		return nil, err
	}
	r := &Denoised{NFE: (n.Calls - before) / drawn, Oracle: runOracle(n.Schedule, j.p.Seed)}
	r.Mean, r.Variance = momentsOf(x)
	images := lab.Floats(held(set, heldOut))
	r.DataMean, r.Data = momentsOf(images)
	const buckets = 10
	if r.ByTime, err = j.lossByTime(ctx, n, images, buckets); err != nil {
		return nil, err
	}
	line := Line{Name: "held out"}
	for _, b := range r.ByTime {
		line.X, line.Y = append(line.X, float64(b.From+b.To)/2), append(line.Y, b.Loss)
	}
	j.emit(Frame{
		Phase:    "done",
		Pictures: []Picture{grid("result", "x_0", x)},
		Charts:   []Chart{{Name: "held-out loss by t", X: "t", Y: "squared error of the noise", LogY: true, Lines: []Line{line}}},
		Figures: []Figure{
			{"network evaluations", fmt.Sprint(r.NFE), "an image: T"},
			figure("variance", r.Variance, 4, fmt.Sprintf("of the values; of the images it is %.4f", r.Data)),
			figure("mean", r.Mean, 4, fmt.Sprintf("of the values; of the images it is %.4f", r.DataMean)),
			{"Gaussian oracle", fmt.Sprintf("%.4f ± %.4f", r.Oracle.Variance, r.Oracle.SE), fmt.Sprintf("variance; the recursion says %.4f, the data has %.4f", r.Oracle.Expected, r.Oracle.Data)},
		},
	})
	return r, nil
}

// halved is noise made visible: most of it lies within 2 deviations.
func halved(eps []float32) []float32 {
	out := make([]float32, len(eps))
	for i, v := range eps {
		out[i] = v / 2
	}
	return out
}

func momentsOf(x []float32) (mean, variance float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	return mean, variance
}

// lossByTime is the squared error of the noise on held-out images: [n,D], by ranges of t.
func (j *job) lossByTime(ctx context.Context, n *lab.Network, images []float32, buckets int) ([]Bucket, error) {
	T := n.Schedule.T()
	progress := j.phase("held-out loss")
	var out []Bucket
	for b := range buckets {
		from, to := b*T/buckets, (b+1)*T/buckets
		if from == to {
			continue
		}
		loss, err := n.NoiseLoss(ctx, images, (from+to)/2, j.p.Seed)
		if err != nil {
			return nil, err
		}
		out = append(out, Bucket{from + 1, to, loss.Mean})
		progress(b+1, buckets)
	}
	return out, nil
}

// runOracle samples N(mu, s^2) with the best predictor there is, E[eps | x_t] = b (x_t - a mu)/(a^2 s^2 + b^2), and compares the variance
// with the sampler's recursion: each step is affine in x_t, so a variance goes in and a variance comes out.
func runOracle(s *ddpm.Schedule, seed uint64) Oracle {
	const mu, dev, n = 0.3, 0.5, 20000
	o := Oracle{Data: dev * dev}
	x := lab.Normals(n, seed)
	variance := 1.0
	for t := s.T() - 1; t >= 0; t-- {
		a, b := s.SqrtAlphasCumprod[t], s.SqrtOneMinusAlphasCumprod[t]
		k := b / (a*a*dev*dev + b*b) // of eps by x_t
		sigma := math.Sqrt(s.PosteriorVariance[t])
		z := lab.Normals(n, seed+1+uint64(t))
		for i, v := range x {
			eps := k * (v - a*mu)
			x0 := (v - b*eps) / a
			x[i] = s.PosteriorMeanCoef1[t]*x0 + s.PosteriorMeanCoef2[t]*v + sigma*z[i]
		}
		slope := s.PosteriorMeanCoef1[t]*(1-b*k)/a + s.PosteriorMeanCoef2[t]
		variance = slope*slope*variance + s.PosteriorVariance[t]
	}
	for _, v := range x {
		o.Mean += v / n
	}
	for _, v := range x {
		o.Variance += (v - o.Mean) * (v - o.Mean) / n
	}
	o.Expected, o.SE = variance, variance*math.Sqrt(2.0/n)
	return o
}
