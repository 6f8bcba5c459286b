package metrics

import (
	"context"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// A Network is what is evaluated: the network on a device, and what its output means.
type Network struct {
	Forward    *model.Forward
	Schedule   *ddpm.Schedule
	Prediction ddpm.Prediction
}

// A point is one question to the network: picture i noised to timestep t with its k-th noise.
type point struct{ i, k, t int }

// stratified are k timesteps for picture i, one drawn from each of k equal parts of 0..T-1: every picture meets all noise levels.
func stratified(T, k, i int, seed uint64) []point {
	var list []point
	for j := range k {
		u := float64(rng.Uniform(rng.Uint32(seed, rng.StreamEval, uint32(j), uint32(i), 0)))
		list = append(list, point{i, j, min(T-1, int((float64(j)+u)*float64(T)/float64(k)))})
	}
	return list
}

// ask calls see with x_0, eps, x_t and the network's output at each point. It stops for ctx between batches.
func (n Network) ask(ctx context.Context, images Images, points []point, seed uint64, tick func(float64), see func(p point, x0, eps, xt, out []float32)) error {
	per, batch := images.Per(), n.Forward.Batch
	xt, out, eps := make([]float32, batch*per), make([]float32, batch*per), make([]float32, batch*per)
	for at := 0; at < len(points); at += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := points[at:min(at+batch, len(points))]
		x0, ts := make([][]float32, len(part)), make([]int, len(part))
		for j, p := range part {
			x0[j], ts[j] = images.floats(p.i, p.i+1), p.t
			rng.Normals(eps[j*per:(j+1)*per], seed, rng.StreamEvalNoise, uint32(p.i), uint64(p.k))
			n.Schedule.AddNoise(xt[j*per:(j+1)*per], x0[j], eps[j*per:(j+1)*per], p.t)
		}
		m := len(part) * per
		if err := n.Forward.Run(ctx, xt[:m], ts, nil, out[:m]); err != nil {
			return err
		}
		for j, p := range part {
			see(p, x0[j], eps[j*per:(j+1)*per], xt[j*per:(j+1)*per], out[j*per:(j+1)*per])
		}
		if tick != nil {
			tick(float64(at+len(part)) / float64(len(points)))
		}
	}
	return nil
}

// A ByTimestep is a quantity in equal ranges of timesteps, Parts[i] over t in [i T/len, (i+1) T/len), and over all of them.
type ByTimestep struct {
	Total Estimate
	Parts []Estimate
}

// Losses is the simple loss (Ho et al. 2020, equation 14) of pictures at draws timesteps each: [pictures,draws]. first is the index of
// the first picture among all, which the noise depends on.
func (n Network) losses(ctx context.Context, images Images, from, to, draws int, seed uint64, tick func(float64)) ([]float32, error) {
	var points []point
	for i := from; i < to; i++ {
		points = append(points, stratified(n.Schedule.T(), draws, i, seed)...)
	}
	losses := make([]float32, len(points))
	target := make([]float32, images.Per())
	err := n.ask(ctx, images, points, seed, tick, func(p point, x0, eps, xt, out []float32) {
		n.Schedule.Target(n.Prediction, target, x0, eps, p.t)
		losses[(p.i-from)*draws+p.k] = float32(ddpm.Loss(out, target))
	})
	return losses, err
}

// Loss is the simple loss on pictures, each at draws timesteps; draws is a multiple of buckets. The noise depends on the seed alone, so
// that two evaluations differ by the network only.
func (n Network) Loss(ctx context.Context, images Images, draws, buckets int, seed uint64, tick func(float64)) (ByTimestep, error) {
	v, err := n.losses(ctx, images, 0, images.N, draws, seed, tick)
	if err != nil {
		return ByTimestep{}, err
	}
	return byTimestep(v, draws, buckets), nil
}

// byTimestep sums up values [pictures,draws] by equal parts of the draws. The total's error is that of the means
// of the pictures, which are independent.
func byTimestep(v []float32, draws, buckets int) ByTimestep {
	n := len(v) / draws
	parts := make([][]float64, buckets)
	totals := make([]float64, n)
	for b := range parts {
		parts[b] = make([]float64, n)
	}
	per := draws / buckets
	for i := range n {
		for k := range draws {
			x := float64(v[i*draws+k])
			parts[k/per][i] += x / float64(per)
			totals[i] += x / float64(draws)
		}
	}
	r := ByTimestep{Total: mean(totals)}
	for _, p := range parts {
		r.Parts = append(r.Parts, mean(p))
	}
	return r
}
