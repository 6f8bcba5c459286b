package lab

import (
	"context"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// streamFill keeps the draws of filling in apart from others of the same seed.
const streamFill = rng.StreamSample

// A Fill says how images are filled in.
type Fill struct {
	N      int                     // images
	Groups func(image int) [][]int // of values; as many for every image
	Greedy bool                    // take the most probable value instead of drawing one
	Seed   uint64
	// OnStep sees every step: the images x: [N,D] as far as they are known. The slices are the job's own.
	OnStep func(step, steps int, x []float32, known [][]bool)
}

// Fill draws images: [N,D] from nothing, group after group. An image depends on its index and the seed, not on how many there are.
func (n *Network) Fill(ctx context.Context, f Fill) ([]float32, error) {
	if err := n.masked(); err != nil {
		return nil, err
	}
	D := n.D()
	x, known, groups := make([]float32, f.N*D), make([][]bool, f.N), make([][][]int, f.N)
	for i := range x {
		x[i] = -1
	}
	for i := range f.N {
		known[i], groups[i] = make([]bool, D), f.Groups(i)
		if len(groups[i]) != len(groups[0]) {
			return nil, fmt.Errorf("image %d has %d groups, image 0 has %d", i, len(groups[i]), len(groups[0]))
		}
	}
	for step := range groups[0] {
		var qs []query
		for i := range f.N {
			qs = append(qs, query{x[i*D : (i+1)*D], known[i]})
		}
		err := n.ask(ctx, list(qs), func(i int, q query, out []float32) {
			for _, v := range groups[i][step] {
				p := n.params(out, v)
				if f.Greedy {
					q.image[v] = n.Task.Greedy(p)
				} else {
					u := rng.Uniform(rng.Uint32(f.Seed, streamFill, uint32(v), uint32(i), 0))
					q.image[v] = n.Task.Draw(p, float64(u))
				}
			}
		})
		if err != nil {
			return nil, err
		}
		for i := range f.N {
			for _, v := range groups[i][step] {
				known[i][v] = true
			}
		}
		if f.OnStep != nil {
			f.OnStep(step+1, len(groups[0]), x, known)
		}
	}
	return x, nil
}

// Blank is what the network makes of a wholly hidden image in one step: [D], the value it says, or the mean of its distribution.
func (n *Network) Blank(ctx context.Context) ([]float32, error) {
	D := n.D()
	out, err := n.Predict(ctx, make([]float32, D), make([]bool, D))
	if err != nil {
		return nil, err
	}
	x := make([]float32, D)
	for v := range x {
		x[v] = n.Task.Mean(n.params(out, v))
	}
	return x, nil
}

// Preview is a grid of rows x cols images that shows what the network has learnt of n images: [n,D] bytes. For masks: what it is shown
// above what it makes of it. For noise: samples of DDIM with a few steps.
func (n *Network) Preview(ctx context.Context, images []byte, count, steps int, seed uint64) (x []float32, rows, cols int, caption string, err error) {
	D := n.D()
	if !n.Task.Masked() {
		x, err := n.Denoise(ctx, Denoise{N: count, Sampler: "ddim", Options: ddpm.SamplerOptions{Steps: steps, Clip: true, Spacing: ddpm.Trailing}, Seed: seed})
		cols = (count + 1) / 2
		return append(x, make([]float32, (2*cols-count)*D)...), 2, cols, "EMA samples", err
	}
	bank := NewBank(max(2, count), n.Side, n.C, seed+1)
	cols = count
	x = make([]float32, 2*cols*D)
	var qs []query
	for i := range count {
		q := query{Floats(images[i*D : (i+1)*D]), make([]bool, D)}
		for v := range D {
			q.known[v] = n.Task.Masks > 1 && bank.Masks[i*D+v] > 0
			x[i*D+v] = -1
			if q.known[v] {
				x[i*D+v] = q.image[v]
			}
		}
		qs = append(qs, q)
	}
	err = n.ask(ctx, list(qs), func(i int, q query, out []float32) {
		for v := range D {
			x[(cols+i)*D+v] = x[i*D+v]
			if !q.known[v] {
				x[(cols+i)*D+v] = n.Task.Mean(n.params(out, v))
			}
		}
	})
	return x, 2, cols, "what is known, and the mean of what is possible", err
}
