package ddpm

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
)

// The relative widths (sigma_rel) that an average with a power-function profile can have: gamma 0 is the widest.
const (
	MinEMAStd = 0.01
	MaxEMAStd = 0.2886
)

// EMAGamma is the exponent gamma of the profile t^gamma on [0,1] whose standard deviation is std (Karras et al. 2024, equation 17
// solved by bisection: it falls as gamma grows).
func EMAGamma(std float64) float64 {
	lo, hi := 0.0, 1e6
	for range 200 {
		mid := (lo + hi) / 2
		if emaStd(mid) > std {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// emaStd is the standard deviation of the density (gamma+1) t^gamma on [0,1].
func emaStd(gamma float64) float64 {
	return math.Sqrt((gamma+1)/(gamma+3)) / (gamma + 2)
}

// An EMAProfile is how much an average of the weights holds of each step t up to its own: (Gamma+1) t^Gamma / Step^(Gamma+1).
type EMAProfile struct{ Step, Gamma float64 }

// overlap is the integral of the product of two profiles, over 0 to the earlier step.
func (p EMAProfile) overlap(q EMAProfile) float64 {
	first := math.Min(p.Step, q.Step)
	return (p.Gamma + 1) * (q.Gamma + 1) / (p.Gamma + q.Gamma + 1) * math.Pow(first/p.Step, p.Gamma) * math.Pow(first/q.Step, q.Gamma) * first / (p.Step * q.Step)
}

// ReconstructEMA finds the weights with which averages of the given profiles add up to one of another profile, by least squares over
// all steps (Karras et al. 2024, appendix C). residual is the part of the square integral of the target that is left.
func ReconstructEMA(have []EMAProfile, want EMAProfile) (weights []float64, residual float64, err error) {
	n := len(have)
	if n == 0 {
		return nil, 0, errors.New("there is no average to put another one together from")
	}
	a, b := mat.NewDense(n, n, nil), mat.NewDense(n, 1, nil)
	for i, p := range have {
		for j, q := range have {
			a.Set(i, j, p.overlap(q))
		}
		b.Set(i, 0, p.overlap(want))
	}
	// Neighbouring profiles are nearly alike: directions that the snapshots do not tell apart are left out.
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDFull) {
		return nil, 0, errors.New("the profiles of the averages could not be taken apart")
	}
	values := svd.Values(nil)
	rank := 0
	for rank < n && values[rank] > 1e-11*values[0] {
		rank++
	}
	var x mat.Dense
	svd.SolveTo(&x, b, rank)
	weights = make([]float64, n)
	left := want.overlap(want)
	for i := range weights {
		weights[i] = x.At(i, 0)
	}
	for i, w := range weights {
		left -= 2 * w * b.At(i, 0)
		for j, v := range weights {
			left += w * v * a.At(i, j)
		}
	}
	return weights, max(0, left/want.overlap(want)), nil
}
