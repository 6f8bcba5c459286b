package lab

import (
	"context"
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// NoiseLoss is the squared error of the predicted noise at timestep t, over images: [n,D] in [-1,1].
func (n *Network) NoiseLoss(ctx context.Context, images []float32, t int, seed uint64) (Stat, error) {
	eps, xt, out := n.noised(images, t, seed)
	if err := n.noise(ctx, xt, t, out); err != nil {
		return Stat{}, err
	}
	D := n.D()
	loss := make([]float64, len(images)/D)
	for i := range loss {
		loss[i] = ddpm.Loss(out[i*D:(i+1)*D], eps[i*D:(i+1)*D])
	}
	return StatOf(loss), nil
}

// noised are the images' noise and x_t, and room for the network's answer.
func (n *Network) noised(images []float32, t int, seed uint64) (eps, xt, out []float32) {
	eps, xt, out = make([]float32, len(images)), make([]float32, len(images)), make([]float32, len(images))
	D := n.D()
	for i := range len(images) / D {
		rng.Normals(eps[i*D:(i+1)*D], seed, rng.StreamNoise, uint32(i), uint64(t)+1<<40)
	}
	n.Schedule.AddNoise(xt, images, eps, t)
	return eps, xt, out
}

// A Bound is an upper bound on the bits a value of each image under diffusion with few steps.
type Bound struct {
	Steps int
	Bits  []float64 // one an image
}

// Bound is the variational bound (Ho et al. 2020, eq. 5) of images: [n,D] bytes, for a process that visits steps timesteps, in bits a
// value: the KL divergence of x_T from N(0, I), of each step's posterior from what the network makes of it, and the bits of the levels
// given the last x. Each expectation over noise is one draw an image. A step's variance is one number, the one that is best on
// average over the images tune: [m,D] bytes, which training has seen (Bao et al. 2022, Analytic-DPM, eq. 8):
//
//	sigma^2 = betatilde + coef1^2 E (x_0 - predicted x_0)^2
func (n *Network) Bound(ctx context.Context, images, tune []byte, steps int, seed uint64, progress func(done, total int)) (*Bound, error) {
	if n.Task.Masked() {
		return nil, fmt.Errorf("a network of head %s predicts no noise", n.Task.Head)
	}
	T, D := n.Schedule.T(), n.D()
	if steps < 1 || steps > T {
		return nil, fmt.Errorf("%d steps of %d timesteps", steps, T)
	}
	x0, tx0 := Floats(images), Floats(tune)
	b := &Bound{steps, make([]float64, len(images)/D)}
	// The end: q(x_T | x_0) against N(0, I).
	bar := n.Schedule.AlphasCumprod[T-1]
	for i := range b.Bits {
		for _, v := range x0[i*D : (i+1)*D] {
			b.Bits[i] += ((1 - bar) + bar*float64(v)*float64(v) - 1 - math.Log(1-bar)) / 2 /* nats */
		}
	}
	for i := range steps {
		t, next := (i+1)*T/steps-1, i*T/steps-1
		l := n.between(t, next)
		_, tt, tout := n.noised(tx0, t, seed+1)
		if err := n.noise(ctx, tt, t, tout); err != nil {
			return nil, err
		}
		_, xt, out := n.noised(x0, t, seed)
		if err := n.noise(ctx, xt, t, out); err != nil {
			return nil, err
		}
		error2 := 0.0
		for e, v := range tout {
			d := float64(tx0[e]) - n.clean(tt[e], v, t)
			error2 += d * d / float64(len(tout))
		}
		sigma2 := l.variance + l.coef1*l.coef1*error2
		for e, v := range out {
			predicted := n.clean(xt[e], v, t)
			if next < 0 {
				b.Bits[e/D] -= math.Log(levelMass(float64(x0[e]), predicted, math.Sqrt(sigma2)))
				continue
			}
			d := l.coef1 * (float64(x0[e]) - predicted)
			b.Bits[e/D] += (math.Log(sigma2/l.variance) + (l.variance+d*d)/sigma2 - 1) / 2
		}
		if progress != nil {
			progress(i+1, steps)
		}
	}
	for i := range b.Bits {
		b.Bits[i] /= float64(D) * math.Ln2
	}
	return b, nil
}

// clean is the x_0 that the noise predicted in x leaves, in the range of images.
func (n *Network) clean(x, eps float32, t int) float64 {
	v := (float64(x) - n.Schedule.SqrtOneMinusAlphasCumprod[t]*float64(eps)) / n.Schedule.SqrtAlphasCumprod[t]
	return min(max(v, -1), 1)
}

// A stride is the posterior q(x_next | x_t, x_0) of a step that passes over timesteps: coef1 x_0 + ..., and its variance.
type stride struct{ coef1, variance float64 }

func (n *Network) between(t, next int) stride {
	bar, before := n.Schedule.AlphasCumprod[t], 1.0
	if next >= 0 {
		before = n.Schedule.AlphasCumprod[next]
	}
	beta := 1 - bar/before
	return stride{math.Sqrt(before) * beta / (1 - bar), beta * (1 - before) / (1 - bar)}
}

// levelMass is what N(mean, dev^2) has on the level of q, open at both ends.
func levelMass(q, mean, dev float64) float64 {
	const half = 1.0 / 255
	cdf := normalCDF(mean, dev)
	low, high := 0.0, 1.0
	if q > -1+half {
		low = cdf(q - half)
	}
	if q < 1-half {
		high = cdf(q + half)
	}
	return max(high-low, 1e-12)
}
