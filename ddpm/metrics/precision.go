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
func PrecisionRecall(ctx context.Context, w *Work, real, samples Cloud) (precision, recall Estimate, err error) {
	n := min(real.N, samples.N)
	if n < 16 {
		return precision, recall, errFew
	}
	real, samples = real.first(n), samples.first(n)
	step := rowsPerPiece(n, real.D)
	deps := []any{real.hash(), samples.hash(), step}
	each := (n + step - 1) / step // pieces of one cloud
	// both computes f of all pictures of one cloud and then of the other, in pieces.
	both := func(about string, f func(samples bool, i int) float64) (ofReal, ofSamples []float64, err error) {
		rows, err := pieces(ctx, w, about, deps, 2*each, func(i int, tick func(float64)) ([]float64, error) {
			from := i % each * step
			out := make([]float64, min(step, n-from))
			return out, parallelUntil(ctx, len(out), tick, func(k int) { out[k] = f(i >= each, from+k) })
		})
		if err != nil {
			return nil, nil, err
		}
		return slices.Concat(rows[:each]...), slices.Concat(rows[each:]...), nil
	}
	rr, rs, err := both("precision and recall: neighbours", func(ofSamples bool, i int) float64 {
		if ofSamples {
			return radius(samples, i)
		}
		return radius(real, i)
	})
	if err != nil {
		return precision, recall, err
	}
	realIn, samplesIn, err := both("precision and recall", func(ofSamples bool, i int) float64 {
		if ofSamples {
			return inside(samples.Row(i), real, rr)
		}
		return inside(real.Row(i), samples, rs)
	})
	return part(count(samplesIn), n), part(count(realIn), n), err
}

// first is the cloud of the first n pictures.
func (c Cloud) first(n int) Cloud { return Cloud{n, c.D, c.V[:n*c.D]} }

// radius is the squared distance of picture i to its third nearest other.
func radius(c Cloud, i int) float64 {
	nearest := [neighbours]float64{}
	for k := range nearest {
		nearest[k] = math.Inf(1)
	}
	for j := range c.N {
		if d := distance2(c.Row(i), c.Row(j)); i != j && d < nearest[neighbours-1] {
			nearest[neighbours-1] = d
			slices.Sort(nearest[:])
		}
	}
	return nearest[neighbours-1]
}

// inside is 1 if a point lies in the ball around some centre, else 0.
func inside(point []float64, centres Cloud, r2 []float64) float64 {
	for j := range centres.N {
		if distance2(point, centres.Row(j)) <= r2[j] {
			return 1
		}
	}
	return 0
}

func count(v []float64) (n int) {
	for _, x := range v {
		n += int(x)
	}
	return n
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
