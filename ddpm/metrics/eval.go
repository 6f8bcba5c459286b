package metrics

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"time"

	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// The metrics, in the order in which they are computed: cheap ones first.
const (
	Loss      = "loss"
	BitsDim   = "bits"
	SWD       = "swd"
	FrechetD  = "frechet"
	KernelD   = "kernel"
	Precision = "precision" // and recall
	Memory    = "nearest"
)

// Names are all metrics.
func Names() []string { return []string{Loss, BitsDim, SWD, FrechetD, KernelD, Precision, Memory} }

// ParseNames reads a list such as "loss,swd", or "all".
func ParseNames(s string) ([]string, error) {
	if s == "all" {
		return Names(), nil
	}
	var list []string
	for _, name := range strings.Split(s, ",") {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("metric %q is unknown, want all, or some of %s", name, strings.Join(Names(), ","))
		}
		list = append(list, name)
	}
	slices.SortFunc(list, func(a, b string) int { return slices.Index(Names(), a) - slices.Index(Names(), b) })
	return slices.Compact(list), nil
}

// Buckets is how many ranges of timesteps metrics are told by.
const Buckets = 20

// Options say what is evaluated, and how.
type Options struct {
	Metrics []string

	Training Images
	Mirror   bool   // training mirrors half of its pictures
	Held     Images // pictures for loss and bits/dim
	HeldName string // what they are, for people

	Samples  int // pictures to sample
	Sampler  string
	Sampling ddpm.SamplerOptions
	Seed     uint64
	Batch    int // pictures at a time

	LossDraws int    // timesteps a picture for the loss, a multiple of Buckets
	BitsDraws int    // and for bits/dim
	Variance  string // of the reverse process, for bits/dim

	FeatureFile string // weights of Inception-v3; "" for the autoencoder

	// OnPicture keeps a picture and returns what to call it.
	OnPicture func(name string, m *image.RGBA) (string, error)
	OnResult  func(run.Eval) error
}

// realImages bounds how many training pictures samples are compared with.
const realImages = 4096

// An evaluation is one call of Evaluate.
type evaluation struct {
	b    backend.Backend
	t    *model.Trained
	w    *Work
	o    Options
	net  Network
	name string // of the weights and what they are used with

	samples *Images
	perS    float64 // samples a second
	reals   Images
}

// Evaluate computes metrics of a model and hands each to OnResult. Stopped by ctx it loses at most a chunk of work.
func Evaluate(ctx context.Context, b backend.Backend, t *model.Trained, w *Work, o Options) error {
	f, mem, err := t.Forward(b, o.Batch)
	if err != nil {
		return err
	}
	defer mem.Close()
	e := &evaluation{b: b, t: t, w: w, o: o, net: Network{f, t.Schedule, t.Prediction}, name: fingerprint(t)}
	e.reals = Spread(o.Training, max(o.Samples, realImages))
	for _, m := range []struct {
		names []string
		f     func(context.Context) error
	}{{[]string{Loss}, e.loss}, {[]string{BitsDim}, e.bits}, {[]string{SWD}, e.swd}, {[]string{FrechetD, KernelD, Precision}, e.features}, {[]string{Memory}, e.nearest}} {
		if !slices.ContainsFunc(m.names, e.wants) {
			continue
		}
		if err := m.f(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) wants(name string) bool { return slices.Contains(e.o.Metrics, name) }

// fingerprint names weights.
func fingerprint(t *model.Trained) string {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, t.Weights) // a hash takes all
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// TrainingName begins what held-out images are called where there are none.
const TrainingName = "training images"

// Spread picks n pictures evenly by index.
func Spread(m Images, n int) Images {
	if n >= m.N {
		return m
	}
	out := Images{N: n, Size: m.Size, Channels: m.Channels}
	for i := range n {
		out.Pixels = append(out.Pixels, m.At(i*m.N/n)...)
	}
	return out
}

// say hands a result on.
func (e *evaluation) say(start time.Time, r run.Eval) error {
	r.Seconds = run.Float(time.Since(start).Seconds())
	if r.Metric != Loss && r.Metric != BitsDim {
		r.Sampler, r.SamplingSteps = e.o.Sampler, e.o.Sampling.Steps
		if r.SamplingSteps == 0 {
			r.SamplingSteps = e.t.Schedule.T()
		}
		r.ImagesPerS = run.Float(e.perS)
	}
	return e.o.OnResult(r)
}

func (r Estimate) into(e run.Eval) run.Eval {
	e.Value, e.Err, e.N = run.Float(r.Value), run.Float(r.Err), r.N
	return e
}

func split(parts []Estimate) (values, errs []run.Float) {
	for _, p := range parts {
		values, errs = append(values, run.Float(p.Value)), append(errs, run.Float(p.Err))
	}
	return values, errs
}

// heldChunk is how many pictures of the loss and the bound are kept together.
const heldChunk = 8

// overHeld computes rows of numbers about the held-out pictures, chunk by chunk.
func (e *evaluation) overHeld(ctx context.Context, name, about string, draws int, f func(ctx context.Context, images Images, from, to, draws int, seed uint64, tick func(float64)) ([]float32, error)) ([]float32, error) {
	held := e.o.Held
	if held.N < 2 {
		return nil, errors.New("no images to evaluate the loss on: want at least 2")
	}
	all, err := chunks(ctx, e.w, task{
		name: name, about: about, n: (held.N + heldChunk - 1) / heldChunk,
		deps: []any{"2", e.name, e.t.UNet, e.t.Prediction, e.t.Schedule.Betas, held.hash(), held.N, draws, e.o.Seed},
	}, func(i int, _ []float32, tick func(float64)) ([]float32, error) {
		return f(ctx, held, i*heldChunk, min((i+1)*heldChunk, held.N), draws, e.o.Seed, tick)
	})
	return slices.Concat(all...), err
}

func (e *evaluation) loss(ctx context.Context) error {
	start := time.Now()
	v, err := e.overHeld(ctx, "loss", "loss by timestep", e.o.LossDraws, e.net.losses)
	if err != nil || e.w.Part.is() {
		return err
	}
	return e.say(start, LossEval(byTimestep(v, e.o.LossDraws, Buckets), e.o.HeldName))
}

// LossEval is a loss by timestep as an event says it.
func LossEval(by ByTimestep, against string) run.Eval {
	r := by.Total.into(run.Eval{Metric: Loss, About: "loss (mean squared error of what the network predicts)", Against: against})
	r.Parts, r.PartErrs = split(by.Parts)
	return r
}

// SWDEval is a sliced Wasserstein distance as an event says it; size is the side of the pictures.
func SWDEval(levels []Estimate, total Estimate, size int) run.Eval {
	about := fmt.Sprintf("sliced Wasserstein distance x %d, mean of %d levels from %d pixels down", swdScale, len(levels), size)
	r := total.into(run.Eval{Metric: SWD, About: about, Against: "training images"})
	r.Parts, r.PartErrs = split(levels)
	return r
}

func (e *evaluation) bits(ctx context.Context) error {
	start := time.Now()
	v, err := e.overHeld(ctx, "bits", "variational bound", e.o.BitsDraws, e.net.bits)
	if err != nil || e.w.Part.is() {
		return err
	}
	s := sumBits(e.t.Schedule, v, e.o.BitsDraws, Buckets, e.o.Seed, e.o.Variance)
	r := s.Total.into(run.Eval{Metric: BitsDim, Against: e.o.HeldName, About: fmt.Sprintf("bits/dim, variational bound with variance %s: prior %.4f, decoder %.4f, %d of %d timesteps an image",
		e.o.Variance, s.Prior.Value, s.Decoder.Value, e.o.BitsDraws+1, e.t.Schedule.T())})
	r.Parts, r.PartErrs = split(s.Terms)
	return e.say(start, r)
}

// sampleChunk is how many samples are kept together.
const sampleChunk = 32

// sample makes the samples, once.
func (e *evaluation) sample(ctx context.Context) (Images, error) {
	if e.samples != nil {
		return *e.samples, nil
	}
	f, o := e.net.Forward, e.o
	o.Sampling.Prediction = e.t.Prediction
	steps := o.Sampling.Steps
	if steps == 0 {
		steps = e.t.Schedule.T()
	}
	t := task{
		name: "samples", about: fmt.Sprintf("samples, %s with %d steps", o.Sampler, steps), n: (o.Samples + sampleChunk - 1) / sampleChunk,
		deps: []any{"2", e.name, e.t.UNet, e.t.Schedule.Betas, o.Sampler, o.Sampling, o.Seed},
	}
	s := Images{N: t.n * sampleChunk, Size: f.Size, Channels: f.In}
	var err error
	if s.from, err = t.key(); err != nil {
		return Images{}, err
	}
	all, err := chunks(ctx, e.w, t, func(i int, _ []float32, tick func(float64)) ([]float32, error) {
		start := time.Now()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		x, err := f.Sample(ctx, e.t.Schedule, model.Request{
			Sampler: o.Sampler, Options: o.Sampling, N: sampleChunk, Seed: o.Seed, First: uint32(i * sampleChunk),
			OnStep: func(done, k, _ int, _, _ []float32) {
				tick((float64(done) + float64(min(f.Batch, sampleChunk-done))*float64(k+1)/float64(steps)) / sampleChunk)
			},
		})
		if err != nil {
			return nil, err
		}
		return append(packed(FromFloats(x, sampleChunk, f.Size, f.In).Pixels), float32(time.Since(start).Seconds())), nil
	})
	if err != nil {
		return Images{}, err
	}
	s.Pixels = make([]byte, s.N*s.Per()) // samples that another process makes stay black
	seconds := 0.0
	for i, chunk := range all {
		if chunk == nil {
			continue
		}
		last := len(chunk) - 1
		seconds += float64(chunk[last])
		copy(s.Pixels[i*sampleChunk*s.Per():], unpacked(chunk[:last], sampleChunk*s.Per()))
	}
	e.perS = float64(len(all)*sampleChunk) / seconds
	s = s.First(o.Samples)
	e.samples = &s
	return s, nil
}

func (e *evaluation) swd(ctx context.Context) error {
	start := time.Now()
	s, err := e.sample(ctx)
	if err != nil {
		return err
	}
	if e.w.Part.is() {
		return nil
	}
	levels, total, err := SlicedWasserstein(ctx, e.w, Spread(e.reals, s.N), s, e.o.Seed)
	if err != nil {
		return err
	}
	return e.say(start, SWDEval(levels, total, s.Size))
}

// features computes what rests on features: they are extracted once.
func (e *evaluation) features(ctx context.Context) error {
	s, err := e.sample(ctx)
	if err != nil {
		return err
	}
	if e.w.Part.is() && e.o.FeatureFile == "" { // the autoencoder's take less than its training, which cannot be shared out
		return nil
	}
	start := time.Now()
	var f *Features
	if e.o.FeatureFile != "" {
		f, err = Inception(e.b, e.o.FeatureFile)
	} else {
		f, err = OwnFeatures(ctx, e.b, e.w, e.o.Training)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // memory
	reals, err := Extract(ctx, e.w, f, e.reals, "training images")
	if err != nil {
		return err
	}
	ours, err := Extract(ctx, e.w, f, s, "samples")
	if err != nil || e.w.Part.is() {
		return err
	}
	frechet, kernel := "Fréchet distance on "+f.Name, "kernel distance on "+f.Name
	names := [2]string{FrechetD, KernelD}
	if f.Standard {
		frechet, kernel, names = "FID: Fréchet distance on "+f.Name, "KID: kernel distance on "+f.Name, [2]string{"fid", "kid"}
	}
	against := fmt.Sprintf("%d training images", reals.N)
	if e.wants(FrechetD) {
		r, err := Frechet(ctx, e.w, reals, ours)
		if err != nil {
			return err
		}
		if err := e.say(start, r.into(run.Eval{Metric: names[0], About: frechet, Against: against})); err != nil {
			return err
		}
	}
	if e.wants(KernelD) {
		r, err := Kernel(ctx, e.w, reals, ours)
		if err != nil {
			return err
		}
		if err := e.say(start, r.into(run.Eval{Metric: names[1], About: kernel, Against: against})); err != nil {
			return err
		}
	}
	if e.wants(Precision) {
		p, r, err := PrecisionRecall(ctx, e.w, pick(reals, ours.N), ours)
		if err != nil {
			return err
		}
		for _, v := range []struct {
			name, about string
			Estimate
		}{{Precision, "precision, the part of the samples among the real images, on ", p}, {"recall", "recall, the part of the real images among the samples, on ", r}} {
			if err := e.say(start, v.into(run.Eval{Metric: v.name, About: v.about + f.Name, Against: "training images"})); err != nil {
				return err
			}
		}
	}
	return nil
}

// pick takes n rows of a cloud, evenly.
func pick(c Cloud, n int) Cloud {
	if n >= c.N {
		return c
	}
	out := Cloud{N: n, D: c.D}
	for i := range n {
		out.V = append(out.V, c.Row(i*c.N/n)...)
	}
	return out
}
