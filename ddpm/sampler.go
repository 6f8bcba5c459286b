package ddpm

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
)

// A Sampler turns noise into an image with a few evaluations of the network. It
// is built for one image or batch after another: step 0 begins a new trajectory
// and forgets whatever a multistep method kept. Not safe for concurrent use.
//
// Whatever space a method's paper works in, x here is always the network's x_t,
// of variance 1 for data of variance 1.
type Sampler interface {
	// Timesteps are the network's timesteps, 0..T-1, in order of use, one for
	// each evaluation. Read-only.
	Timesteps() []int

	// Level is alphabar of x before step i, and for i = len(Timesteps()) at the
	// end: where to noise a picture to, in order to begin there.
	Level(i int) float64

	// Step moves x from its noise level at step i to the next, in place, given
	// the network's output at Timesteps()[i]. noise(dst) fills z ~ N(0, I) and is
	// called only where the method needs it, at most once a step. x0 receives
	// the predicted clean image, clamped as it is used, unless it is nil. x, out
	// and x0 have the same length.
	Step(i int, x, out, x0 []float32, noise func(dst []float32))
}

// Variances of the DDPM sampler.
const (
	FixedSmall = "fixed_small" // betatilde_t, right for one point of data
	FixedLarge = "fixed_large" // beta_t, right for N(0, I) data (DDPM section 3.2)
)

// SamplerOptions configure a sampler. Zero means the default. The names and the
// defaults are diffusers', but clipping is off unless asked for.
type SamplerOptions struct {
	Steps   int     `json:"steps,omitempty"`   // noise levels, default T; heun evaluates the network twice at all but one
	Spacing Spacing `json:"spacing,omitempty"` // default leading
	// StepsOffset is added to the timesteps of leading spacing.
	StepsOffset int        `json:"steps_offset,omitempty"`
	Prediction  Prediction `json:"prediction,omitempty"` // default epsilon
	Variance    string     `json:"variance,omitempty"`   // DDPM only, default fixed_small
	Eta         float64    `json:"eta,omitempty"`        // DDIM only: 0 is deterministic, 1 as noisy as DDPM
	// Exact takes tables and coefficients in float64 instead of rounding them to
	// float32 as diffusers does; see float32.go.
	Exact bool `json:"exact,omitempty"`
	// EndAtFirst ends DDIM, DPM-Solver++ and UniPC at the noise of timestep 0
	// rather than at the clean image (diffusers' set_alpha_to_one = false and
	// final_sigmas_type = sigma_min).
	EndAtFirst bool `json:"end_at_first,omitempty"`
	// Strength in (0, 1) leaves out the noisiest part of the way, to begin from a
	// picture with noise added; 0 means 1, the whole way.
	Strength float64 `json:"strength,omitempty"`
	// LambdaMin leaves out the timesteps whose log(a/b), half the log SNR, is
	// less; 0 means none.
	LambdaMin float64 `json:"lambda_min,omitempty"`
	Order     int     `json:"order,omitempty"`  // UniPC's, 1 to 3, default 2
	Solver    string  `json:"solver,omitempty"` // DPM-Solver++: midpoint (default) or heun; UniPC: bh2 (default) or bh1

	Clip      bool    `json:"clip,omitempty"`       // clamp the predicted x_0
	ClipRange float64 `json:"clip_range,omitempty"` // to [-r, r], default 1

	// Thresholding clamps each image's predicted x_0 to a quantile of its
	// magnitudes and divides by it (Imagen), instead of Clip.
	Thresholding   bool    `json:"thresholding,omitempty"`
	ThresholdRatio float64 `json:"threshold_ratio,omitempty"` // the quantile, default 0.995
	ThresholdMax   float64 `json:"threshold_max,omitempty"`   // its largest value, default 1; never under 1
	ImageLen       int     `json:"-"`                         // elements of one image; 0: all of x is one
}

// Where sampling begins, in log(a/b). Under -5.1, where DPM-Solver's authors cut
// cosine schedules, noise hides all, b/a = 160. A network that predicts eps says
// little of x_0 = (x_t - b eps)/a already before: its error is multiplied by
// b/a, and what a young network gets wrong there, the colour of all of the
// image, stays in it to the end. docs/benchmarks.md has what it does.
const lambdaMin, lambdaMinEps = -5.1, -2.5

// Defaults are the options to sample with in so many steps (0: all of the
// schedule's for DDPM, at most 50 for the others) where nothing else is said:
// x_0 is clamped, spacing is trailing. Heun's step multiplies the slope at its
// end by all of a step's sigma, which is wild at the start of trailing steps, so
// it takes Karras' levels, which EDM made for it. The noisiest levels are left
// out, but not of DDPM in all its steps, which is algorithm 2 as it stands, nor
// of a schedule that is meant to end without any signal.
func Defaults(sampler string, c ScheduleConfig, prediction Prediction, steps int) SamplerOptions {
	o := SamplerOptions{Clip: true, Spacing: Trailing, Prediction: prediction, Steps: steps}
	T := c.withDefaults().T
	whole := sampler == "ddpm" && (steps == 0 || steps == T)
	if steps == 0 && !whole {
		o.Steps = min(50, T)
	}
	if sampler == "heun" {
		o.Spacing = Karras
	}
	switch {
	case whole || c.ZeroTerminalSNR:
	case prediction == Epsilon || prediction == "":
		o.LambdaMin = lambdaMinEps
	default:
		o.LambdaMin = lambdaMin
	}
	return o
}

// samplers maps a name to its constructor; each sampler's file adds itself.
var samplers = map[string]func(*process) (Sampler, error){}

// SamplerNames returns the names that NewSampler accepts, sorted.
func SamplerNames() []string { return slices.Sorted(maps.Keys(samplers)) }

// NewSampler builds the sampler of that name for a schedule.
func NewSampler(name string, sch *Schedule, opts SamplerOptions) (Sampler, error) {
	build, ok := samplers[name]
	if !ok {
		return nil, fmt.Errorf("sampler %q is unknown, want one of %v", name, SamplerNames())
	}
	p, err := newProcess(sch, opts)
	if err != nil {
		return nil, fmt.Errorf("sampler %s: %w", name, err)
	}
	s, err := build(p)
	if err != nil {
		return nil, fmt.Errorf("sampler %s: %w", name, err)
	}
	return s, nil
}

// A process is what samplers share: the checked options, the timesteps, and
// reading x_0 out of the network's output.
type process struct {
	opts      SamplerOptions
	timesteps []int
	bars      []float64 // alphabar of the timesteps that may be visited: [T], or fewer with LambdaMin
	z         []float32 // noise of a step
	clean     []float64 // predicted x_0 of a step
	sorted    []float64 // of thresholding
}

func newProcess(sch *Schedule, o SamplerOptions) (*process, error) {
	if o.Steps == 0 {
		o.Steps = sch.T()
	}
	if o.Spacing == "" {
		o.Spacing = Leading
	}
	if o.Prediction == "" {
		o.Prediction = Epsilon
	}
	if o.Variance == "" {
		o.Variance = FixedSmall
	}
	for _, f := range []struct {
		v   *float64
		def float64
	}{{&o.ClipRange, 1}, {&o.ThresholdRatio, 0.995}, {&o.ThresholdMax, 1}} {
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	switch {
	case o.Variance != FixedSmall && o.Variance != FixedLarge:
		return nil, fmt.Errorf("variance %q is unknown, want %s or %s", o.Variance, FixedSmall, FixedLarge)
	case !(o.Eta >= 0 && o.Eta <= 1):
		return nil, fmt.Errorf("eta is %g, want 0 to 1", o.Eta)
	case !(o.ClipRange > 0):
		return nil, fmt.Errorf("clip_range is %g, want more than 0", o.ClipRange)
	case !(o.ThresholdRatio > 0 && o.ThresholdRatio <= 1):
		return nil, fmt.Errorf("threshold_ratio is %g, want more than 0 and at most 1", o.ThresholdRatio)
	case !(o.ThresholdMax >= 1):
		return nil, fmt.Errorf("threshold_max is %g, want at least 1", o.ThresholdMax)
	case !(o.Strength >= 0 && o.Strength <= 1):
		return nil, fmt.Errorf("strength is %g, want more than 0 and at most 1", o.Strength)
	case !(o.LambdaMin <= 0):
		return nil, fmt.Errorf("lambda_min is %g, want less than 0", o.LambdaMin)
	case o.ImageLen < 0:
		return nil, fmt.Errorf("the length of an image is %d", o.ImageLen)
	}
	if err := o.Prediction.Check(); err != nil {
		return nil, err
	}
	bars := sch.alphasCumprodFloat32()
	if o.Exact {
		bars = sch.AlphasCumprod
	}
	if o.LambdaMin < 0 {
		// alphabar falls with t, so these are the first.
		n := sort.Search(len(bars), func(t int) bool { return math.Log(bars[t]/(1-bars[t]))/2 < o.LambdaMin })
		if n == 0 {
			return nil, fmt.Errorf("lambda_min is %g, under which the whole schedule lies", o.LambdaMin)
		}
		bars = bars[:n]
		o.Steps = min(o.Steps, n)
	}
	return &process{opts: o, bars: bars}, nil
}

// visit takes the timesteps of a sampler, those of strength 1, and keeps the
// last part of them that the strength says. It returns how many it left out.
func (p *process) visit(timesteps []int) (skipped int, err error) {
	if p.opts.Strength > 0 {
		keep := int(math.Round(p.opts.Strength * float64(len(timesteps))))
		skipped = len(timesteps) - min(max(keep, 1), len(timesteps))
	}
	p.timesteps = timesteps[skipped:]
	for _, t := range p.timesteps {
		if p.opts.Prediction == Epsilon && p.bars[t] == 0 {
			return 0, fmt.Errorf("at timestep %d nothing is left of the image (alphabar is 0), and eps does not determine it: predict v or sample, or cap the schedule", t)
		}
	}
	return skipped, nil
}

// spaced visits the timesteps as DDPM and DDIM do.
func (p *process) spaced() error {
	var timesteps []int
	var err error
	if p.opts.Spacing == Karras {
		_, timesteps, err = karras(p.bars, p.opts.Steps)
		timesteps = slices.Compact(timesteps)
	} else {
		timesteps, err = Timesteps(len(p.bars), p.opts.Steps, p.opts.Spacing, p.opts.StepsOffset)
	}
	if err != nil {
		return err
	}
	_, err = p.visit(timesteps)
	return err
}

func (p *process) Timesteps() []int { return p.timesteps }

// next is the timestep that step i goes to; below 0 is the clean image. As in
// diffusers it is T/Steps under t, which for spacings that do not divide evenly
// is a little off the next entry of the list.
func (p *process) next(i int) int {
	if p.opts.Spacing != Karras {
		return p.timesteps[i] - len(p.bars)/p.opts.Steps
	}
	if i+1 == len(p.timesteps) {
		return -1
	}
	return p.timesteps[i+1]
}

// Level implements Sampler for DDPM and DDIM.
func (p *process) Level(i int) float64 {
	switch {
	case i < len(p.timesteps):
		return p.bars[p.timesteps[i]]
	case p.opts.EndAtFirst:
		return p.bars[0]
	}
	return 1
}

// A level is the arithmetic of alphabar that a step needs.
type level struct {
	bar, barNext     float64 // alphabar now and after the step
	noise, noiseNext float64 // 1 - alphabar, the variance of the noise
	alpha, beta      float64 // of the step: alphabar / alphabar next, 1 - alpha
}

// level returns the noise levels of step i, where alphabar of the clean image
// counts as end.
func (p *process) level(i int, end float64) level {
	round := func(v float64) float64 { return float64(float32(v)) }
	if p.opts.Exact {
		round = func(v float64) float64 { return v }
	}
	l := level{bar: p.bars[p.timesteps[i]], barNext: end}
	if next := p.next(i); next >= 0 {
		l.barNext = p.bars[next]
	}
	l.noise, l.noiseNext = round(1-l.bar), round(1-l.barNext)
	l.alpha = round(l.bar / l.barNext)
	l.beta = round(1 - l.alpha)
	return l
}

// noise fills the process' own buffer with z.
func (p *process) noise(n int, fill func([]float32)) []float32 {
	p.z = slices.Grow(p.z[:0], n)[:n]
	fill(p.z)
	return p.z
}

// Predict evaluates the network: out = f(x, t). x must not be changed.
type Predict func(x []float32, t int, out []float32) error

// Sample drives a sampler from x ~ N(0, I) to an image, in place. noise fills z
// for step i. onStep, if not nil, sees x after each step, and the clean image
// predicted in it; t is the network's timestep of the step.
func Sample(ctx context.Context, s Sampler, x []float32, predict Predict, noise func(i int, dst []float32), onStep func(i, t int, x, x0 []float32)) error {
	w := walker{s: s, predict: predict, out: make([]float32, len(x))}
	if onStep != nil {
		w.x0 = make([]float32, len(x))
	}
	for i, t := range s.Timesteps() {
		if err := w.step(ctx, i, x, func(dst []float32) { noise(i, dst) }); err != nil {
			return err
		}
		if onStep != nil {
			onStep(i, t, x, w.x0)
		}
	}
	return nil
}

// A walker takes a sampler's steps with a network.
type walker struct {
	s       Sampler
	predict Predict
	out, x0 []float32 // x0 may be nil
}

// step moves x from level i to the next.
func (w *walker) step(ctx context.Context, i int, x []float32, noise func(dst []float32)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ts := w.s.Timesteps()
	if err := w.predict(x, ts[i], w.out); err != nil {
		return fmt.Errorf("sampling step %d of %d (t = %d): %w", i+1, len(ts), DisplayStep(ts[i]), err)
	}
	w.s.Step(i, x, w.out, w.x0, noise)
	if e := slices.IndexFunc(x, notFinite); e >= 0 {
		return fmt.Errorf("sampling step %d of %d (t = %d): element %d of the image is %g", i+1, len(ts), DisplayStep(ts[i]), e, x[e])
	}
	return nil
}

func notFinite(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }
