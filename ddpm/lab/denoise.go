package lab

import (
	"context"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// A Denoise says how noise becomes images.
type Denoise struct {
	N       int
	Sampler string
	Options ddpm.SamplerOptions
	Seed    uint64
	// OnStep sees the images x: [N,D] after step i, the noise and the clean image predicted in it; t is the network's timestep.
	OnStep func(i, steps, t int, x, eps, x0 []float32)
}

// Denoise makes images: [N,D] from noise. The number of network evaluations an image takes is that of the sampler's steps.
func (n *Network) Denoise(ctx context.Context, d Denoise) ([]float32, error) {
	D := n.D()
	d.Options.Prediction, d.Options.ImageLen = n.Prediction, D
	s, err := ddpm.NewSampler(d.Sampler, n.Schedule, d.Options)
	if err != nil {
		return nil, err
	}
	x, eps := make([]float32, d.N*D), make([]float32, d.N*D)
	for k := range d.N {
		rng.Normals(x[k*D:(k+1)*D], d.Seed, rng.StreamSample, uint32(k), 0)
	}
	predict := func(x []float32, t int, out []float32) error {
		err := n.says(ctx, x, t, out)
		n.Schedule.PredictEps(n.Prediction, eps, x, out, t)
		return err
	}
	noise := func(i int, dst []float32) {
		for k := range d.N {
			rng.Normals(dst[k*D:(k+1)*D], d.Seed, rng.StreamSampleNoise, uint32(k), uint64(i))
		}
	}
	var onStep func(i, t int, x, x0 []float32)
	if d.OnStep != nil {
		onStep = func(i, t int, x, x0 []float32) { d.OnStep(i, len(s.Timesteps()), t, x, eps, x0) }
	}
	return x, ddpm.Sample(ctx, s, x, predict, noise, onStep)
}

// noise is the noise that the network sees in x: [k,D] at timestep t.
func (n *Network) noise(ctx context.Context, x []float32, t int, out []float32) error {
	err := n.says(ctx, x, t, out)
	n.Schedule.PredictEps(n.Prediction, out, x, out, t)
	return err
}

// says is what the network says of x: [k,D] at timestep t.
func (n *Network) says(ctx context.Context, x []float32, t int, out []float32) error {
	in, _ := n.Task.Channels(n.C)
	D, pixels := n.D(), n.Side*n.Side
	full, ts := make([]float32, n.Batch*pixels*in), make([]int, n.Batch)
	for i := range ts {
		ts[i] = t
	}
	for from := 0; from < len(x)/D; from += n.Batch {
		k := min(n.Batch, len(x)/D-from)
		for i := range k {
			AssembleNoise(full[i*pixels*in:(i+1)*pixels*in], x[(from+i)*D:(from+i+1)*D], n.Side, n.C)
		}
		if err := n.Forward(ctx, full[:k*pixels*in], ts[:k], out[from*D:(from+k)*D]); err != nil {
			return err
		}
		n.Calls += k
	}
	return nil
}
