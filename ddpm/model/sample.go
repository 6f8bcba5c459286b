package model

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// A Request asks for images.
type Request struct {
	Sampler string
	Options ddpm.SamplerOptions
	N       int    // images
	Seed    uint64 // image k of a seed is the same whatever N and the batch are
	First   uint32 // index of the first image
	// Begin and End, if not both 0, make only images Begin to End of the N: those that the whole would have there.
	Begin, End int

	// Labels are the classes of the images [N], for a model with classes; nil is all of them in turn.
	Labels []uint32
	// Guidance w makes out = null + w (labelled - null) of the network's outputs with the label and with NullLabel (classifier-free
	// guidance, Ho & Salimans 2022, where it is 1 + w): twice the evaluations. 0 and 1 are none.
	Guidance  float64
	NullLabel uint32

	// Toward, if not nil, is the seed of a second noise: the images lie evenly between the first of each seed, and draw the same
	// noise in every step.
	Toward *uint64
	// From is a picture [H,W,C] to begin with, noised to where Options.Strength begins.
	From []float32
	// Inpaint is a picture [H,W,C] of which a part stays.
	Inpaint *ddpm.Inpainting

	// OnStep sees every step of every batch: the batch's images x: [n,H,W,C] after step i, the clean image x0 predicted in it,
	// and how many images were finished before. The slices are reused.
	OnStep func(done int, i, t int, x, x0 []float32)
}

// Evaluations is how often a request's sampler evaluates the network for a batch, guidance apart.
func (r *Request) Evaluations(sch *ddpm.Schedule) (int, error) {
	s, err := ddpm.NewSampler(r.Sampler, sch, r.Options)
	if err != nil {
		return 0, err
	}
	n := len(s.Timesteps())
	if r.Inpaint != nil {
		n = r.Inpaint.Evaluations(n)
	}
	return n, nil
}

func (r *Request) guided() bool { return r.Guidance != 0 && r.Guidance != 1 }

// Sample makes images [N,H,W,C], or those from Begin to End, by running the sampler with the forward pass, batch by batch.
func (f *Forward) Sample(ctx context.Context, sch *ddpm.Schedule, r Request) ([]float32, error) {
	per := f.Size * f.Size * f.In
	r.Options.ImageLen = per
	s, err := ddpm.NewSampler(r.Sampler, sch, r.Options)
	if err != nil {
		return nil, err
	}
	switch {
	case f.In != f.Out:
		return nil, fmt.Errorf("the network has %d channels in and %d out: it predicts more than an image", f.In, f.Out)
	case f.fourier && slices.Contains(s.Timesteps(), 0):
		return nil, errors.New("the network embeds the logarithm of t and has no timestep 0: take leading spacing with an offset of 1")
	}
	if f.classes > 0 && r.Labels == nil {
		for k := range r.N {
			r.Labels = append(r.Labels, uint32(k%f.Named))
		}
	}
	if f.classes > 0 && len(r.Labels) != r.N {
		return nil, fmt.Errorf("%d labels for %d images", len(r.Labels), r.N)
	}
	begin, end := r.part()
	if begin < 0 || begin > end || end > r.N {
		return nil, fmt.Errorf("model: images %d to %d of %d cannot be made", begin, end, r.N)
	}
	all := make([]float32, (end-begin)*per)
	for done := begin; done < end; done += f.Batch {
		n := min(f.Batch, end-done)
		if err := f.sampleBatch(ctx, s, &r, all[(done-begin)*per:(done-begin+n)*per], done, n); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// part is which of the images are made.
func (r *Request) part() (begin, end int) {
	if r.Begin == 0 && r.End == 0 {
		return 0, r.N
	}
	return r.Begin, r.End
}

// sampleBatch makes images x: [n,H,W,C], of which the first is number done.
func (f *Forward) sampleBatch(ctx context.Context, s ddpm.Sampler, r *Request, x []float32, done, n int) error {
	per := len(x) / n
	normals := func(dst []float32, stream uint32, draw uint64) {
		for k := range n {
			index := r.First + uint32(done+k)
			if r.Toward != nil {
				index = r.First
			}
			rng.Normals(dst[k*per:(k+1)*per], r.Seed, stream, index, draw)
		}
	}
	normals(x, rng.StreamSample, 0)
	if r.Toward != nil {
		other := make([]float32, per)
		rng.Normals(other, *r.Toward, rng.StreamSample, r.First, 0)
		for k := range n {
			image := x[k*per : (k+1)*per]
			ddpm.Slerp(image, image, other, float64(done+k)/float64(max(r.N-1, 1)))
		}
	}
	if r.From != nil {
		for k := range n {
			image := x[k*per : (k+1)*per]
			ddpm.NoiseTo(s.Level(0), image, r.From, image)
		}
	}
	var onStep func(i, t int, x, x0 []float32)
	if r.OnStep != nil {
		onStep = func(i, t int, x, x0 []float32) { r.OnStep(done, i, t, x, x0) }
	}
	predict := f.predictor(ctx, r, done, n)
	if r.Inpaint == nil {
		noise := func(i int, dst []float32) { normals(dst, rng.StreamSampleNoise, uint64(i)) }
		return ddpm.Sample(ctx, s, x, predict, noise, onStep)
	}
	p, draws := *r.Inpaint, uint64(0)
	p.Known, p.Mask = slices.Repeat(p.Known, n), slices.Repeat(p.Mask, n)
	noise := func(dst []float32) {
		normals(dst, rng.StreamSampleNoise, draws)
		draws++
	}
	return ddpm.Inpaint(ctx, s, &p, x, predict, noise, onStep)
}

// predictor evaluates the network for images done to done+n, with guidance where it is asked for.
func (f *Forward) predictor(ctx context.Context, r *Request, done, n int) ddpm.Predict {
	ts := make([]int, n)
	var labels, none []uint32
	if f.classes > 0 {
		labels, none = r.Labels[done:done+n], slices.Repeat([]uint32{r.NullLabel}, n)
	}
	var plain []float32
	return func(x []float32, t int, out []float32) error {
		for k := range ts {
			ts[k] = t
		}
		if err := f.Run(ctx, x, ts, labels, out); err != nil || labels == nil || !r.guided() {
			return err
		}
		plain = slices.Grow(plain[:0], len(out))[:len(out)]
		if err := f.Run(ctx, x, ts, none, plain); err != nil {
			return err
		}
		for e, v := range plain {
			out[e] = float32(float64(v) + float64(r.Guidance*(float64(out[e])-float64(v))))
		}
		return nil
	}
}
