package lab

import (
	"context"
	"math"
)

// A Stat is a mean over images with its standard error.
type Stat struct {
	Mean float64 `json:"mean"`
	SE   float64 `json:"standard_error"`
	N    int     `json:"n"`
}

// StatOf is the mean of v and its standard error.
func StatOf(v []float64) Stat {
	n := float64(len(v))
	sum, sq := 0.0, 0.0
	for _, x := range v {
		sum += x
	}
	for _, x := range v {
		sq += (x - sum/n) * (x - sum/n)
	}
	return Stat{Mean: sum / n, SE: math.Sqrt(sq / max(n-1, 1) / n), N: len(v)}
}

// Less is the statistic of a - b, image by image.
func Less(a, b []float64) Stat {
	d := make([]float64, len(a))
	for i := range d {
		d[i] = a[i] - b[i]
	}
	return StatOf(d)
}

// Bits are the exact bits a value of each image under the network, drawn in the groups (of values) that groups gives for it: each
// group's members are independent of each other, given all earlier groups. images: [n,D] bytes. The number of network evaluations an
// image takes is that of its groups. progress, if not nil, is called now and then.
func (n *Network) Bits(ctx context.Context, images []byte, groups func(image int) [][]int, progress func(done, total int)) ([]float64, error) {
	if err := n.masked(); err != nil {
		return nil, err
	}
	D := n.D()
	count := len(images) / D
	bits := make([]float64, count)
	type place struct {
		image int
		group []int
	}
	var asked []place
	image, step, total := 0, 0, 0
	var known []bool
	var pixels []float32
	var gs [][]int
	next := func() (query, bool) {
		if gs == nil || step == len(gs) {
			if gs != nil {
				image++
			}
			if image == count {
				return query{}, false
			}
			gs, step = groups(image), 0
			total = count * len(gs)
			known, pixels = make([]bool, D), Floats(images[image*D:(image+1)*D])
		}
		asked = append(asked, place{image, gs[step]})
		q := query{pixels, append([]bool(nil), known...)}
		for _, v := range gs[step] {
			known[v] = true
		}
		step++
		return q, true
	}
	err := n.ask(ctx, next, func(i int, q query, out []float32) {
		for _, v := range asked[i].group {
			bits[asked[i].image] += n.Task.Bits(n.params(out, v), q.image[v])
		}
		if progress != nil && i%n.Batch == n.Batch-1 {
			progress(i+1, total)
		}
	})
	for i := range bits {
		bits[i] /= float64(D)
	}
	return bits, err
}

// An Excess is what drawing groups at once costs.
type Excess struct {
	Order   Order `json:"order"`
	Size    int   `json:"group_pixels"`
	NFE     int   `json:"network_evaluations"` // an image, by groups
	Groups  Stat  `json:"bits_per_dim"`        // drawn by groups
	Singles Stat  `json:"bits_per_dim_one_by_one"`
	Excess  Stat  `json:"excess_bits_per_dim"` // the difference, image by image
}

// Excess measures what it costs to draw groups of size pixels at once: the bits a value of images: [n,D], less those of the same order
// with the members of each group revealed one by one, under the same weights. Where the order is random every image has its own.
func (n *Network) Excess(ctx context.Context, o Order, size int, images []byte, seed uint64, progress func(done, total int)) (e Excess, err error) {
	groups := func(i int) [][]int {
		g, gErr := Groups(o, n.Side, size, seed+uint64(i))
		if gErr != nil {
			err = gErr
			return nil
		}
		return g
	}
	first := groups(0)
	if err != nil {
		return e, err
	}
	e = Excess{Order: o, Size: size, NFE: len(first)}
	// Where groups are single pixels the difference is 0, and half of the work can be spared.
	byGroup, err := n.Bits(ctx, images, func(i int) [][]int { return Values(groups(i), n.C) }, progress)
	if err != nil {
		return e, err
	}
	single := byGroup
	if size > 1 {
		if single, err = n.Bits(ctx, images, func(i int) [][]int { return Values(Singles(groups(i)), n.C) }, progress); err != nil {
			return e, err
		}
	}
	e.Groups, e.Singles, e.Excess = StatOf(byGroup), StatOf(single), Less(byGroup, single)
	return e, nil
}
