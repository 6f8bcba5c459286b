package model

import (
	"context"

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
	// OnStep sees every step of every batch: the batch's images x: [n,H,W,C] after step i, the clean image x0 predicted in it,
	// and how many images were finished before. The slices are reused.
	OnStep func(done int, i, t int, x, x0 []float32)
}

// Sample makes images [N,H,W,C] by running the sampler with the forward pass, batch by batch.
func (f *Forward) Sample(ctx context.Context, sch *ddpm.Schedule, r Request) ([]float32, error) {
	r.Options.ImageLen = f.Size * f.Size * f.In
	s, err := ddpm.NewSampler(r.Sampler, sch, r.Options)
	if err != nil {
		return nil, err
	}
	per := r.Options.ImageLen
	all := make([]float32, r.N*per)
	for done := 0; done < r.N; done += f.Batch {
		n := min(f.Batch, r.N-done)
		x := all[done*per : (done+n)*per]
		for k := range n {
			rng.Normals(x[k*per:(k+1)*per], r.Seed, rng.StreamSample, r.First+uint32(done+k), 0)
		}
		ts := make([]int, n)
		predict := func(x []float32, t int, out []float32) error {
			for k := range ts {
				ts[k] = t
			}
			return f.Run(ctx, x, ts, nil, out)
		}
		noise := func(i int, dst []float32) {
			for k := range n {
				rng.Normals(dst[k*per:(k+1)*per], r.Seed, rng.StreamSampleNoise, r.First+uint32(done+k), uint64(i))
			}
		}
		var onStep func(i, t int, x, x0 []float32)
		if r.OnStep != nil {
			onStep = func(i, t int, x, x0 []float32) { r.OnStep(done, i, t, x, x0) }
		}
		if err := ddpm.Sample(ctx, s, x, predict, noise, onStep); err != nil {
			return nil, err
		}
	}
	return all, nil
}
