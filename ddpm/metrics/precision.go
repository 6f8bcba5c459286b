package metrics

import (
	"context"
	"math"
	"slices"
)

// neighbours is the k of precision and recall.
const neighbours = 3

// PrecisionRecall is improved precision and recall (Kynkäänniemi et al. 2019): the part of the samples that lie among the real
// pictures, within the distance of some real picture to its third nearest other, and the part of the real pictures that lie so among
// the samples. Of both clouds the first N, the lesser number, are used. Errors are binomial.
func PrecisionRecall(ctx context.Context, real, samples Cloud, tick func(float64)) (precision, recall Estimate, err error) {
	n := min(real.N, samples.N)
	if n < 16 {
		return precision, recall, errFew
	}
	real.N, samples.N = n, n
	rr, err := radii(ctx, real, stage(tick, 0, 4))
	if err != nil {
		return precision, recall, err
	}
	rs, err := radii(ctx, samples, stage(tick, 1, 4))
	if err != nil {
		return precision, recall, err
	}
	if precision, err = inside(ctx, samples, real, rr, stage(tick, 2, 4)); err != nil {
		return precision, recall, err
	}
	recall, err = inside(ctx, real, samples, rs, stage(tick, 3, 4))
	return precision, recall, err
}

// radii are the squared distances of each to its third nearest other.
func radii(ctx context.Context, c Cloud, tick func(float64)) ([]float64, error) {
	r := make([]float64, c.N)
	err := parallelUntil(ctx, c.N, tick, func(i int) {
		var d []float64
		for j := range c.N {
			if i != j {
				d = append(d, distance2(c.Row(i), c.Row(j)))
			}
		}
		slices.Sort(d)
		r[i] = d[min(neighbours, len(d))-1]
	})
	return r, err
}

// inside is the part of the points that lie in a ball around some centre.
func inside(ctx context.Context, points, centres Cloud, r2 []float64, tick func(float64)) (Estimate, error) {
	in := make([]bool, points.N)
	err := parallelUntil(ctx, points.N, tick, func(i int) {
		for j := range centres.N {
			if distance2(points.Row(i), centres.Row(j)) <= r2[j] {
				in[i] = true
				return
			}
		}
	})
	k := 0
	for _, b := range in {
		if b {
			k++
		}
	}
	return part(k, points.N), err
}

// part is k of n. The error is the binomial's with one more of each kind, so that none of n has an error too.
func part(k, n int) Estimate {
	p := float64(k+1) / float64(n+2)
	return Estimate{float64(k) / float64(n), math.Sqrt(p * (1 - p) / float64(n+2)), n}
}

func distance2(x, y []float64) (s float64) {
	for i, v := range x {
		d := v - y[i]
		s += d * d
	}
	return s
}
