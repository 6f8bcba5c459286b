package simd

import (
	"fmt"
	"math"
)

// MixtureStep is the number of values of which Mixture takes multiples.
const MixtureStep = 16

// minLogScale is backend.MinLogScale: sharper logistics count as this sharp.
const minLogScale = -7

// Mixture computes how unlikely values are under mixtures of K discretised logistics (Salimans et al. 2017, section 2.1). q: [n] are
// values b/127.5 - 1 for bytes b, low: [n] is 0 where b is 0 and 1 elsewhere, high: [n] likewise where b is 255. p: [3K,n] are the
// logits, the means and the log scales. loss: [n] is -log of the mass on the level of q, dp: [3K,n] its slopes. n is a multiple of
// MixtureStep.
func (v *Vec) Mixture(loss, dp, p, q, low, high []float32, K int) {
	sameLen("Mixture", len(q), loss, low, high)
	sameLen("Mixture", 3*K*len(q), dp, p)
	if K < 1 || len(q)%MixtureStep != 0 {
		panic(fmt.Sprintf("simd: Mixture: %d components, %d values", K, len(q)))
	}
	v.k.mixture(loss, dp, p, q, low, high, K)
}

// genericMixture writes the logarithm of a component's mass as
//
//	log(sigma(a) sigma(-b) (1 - e^(b-a))), a = (q + h - mean)/s, b = (q - h - mean)/s, h = 1/255
//
// which loses nothing however far the level is from the mean. At the lowest level all factors with b are 1, at the highest all with a.
func genericMixture(loss, dp, p, q, low, high []float32, K int) {
	const half = 1.0 / 255
	n := len(q)
	joint := make([]float64, K)
	for i := range q {
		top, prior, best, sum := math.Inf(-1), 0.0, math.Inf(-1), 0.0
		for k := range K {
			top = max(top, float64(p[k*n+i]))
		}
		for k := range K {
			weight, logScale := float64(p[k*n+i])-top, float64(p[(2*K+k)*n+i])
			prior += math.Exp(weight)
			inv := math.Exp(-max(logScale, minLogScale))
			d, lo, hi := float64(q[i])-float64(p[(K+k)*n+i]), float64(low[i]), float64(high[i])
			a, b, width := (d+half)*inv, (d-half)*inv, 2*half*inv
			ea, eb := math.Exp(-math.Abs(a)), math.Exp(-math.Abs(b))
			sa, sb := ea/(1+ea), eb/(1+eb) // sigma(-a) and sigma(b)
			if a < 0 {
				sa = 1 / (1 + ea)
			}
			if b > 0 {
				sb = 1 / (1 + eb)
			}
			sa, sb, ea, eb = sa*hi, sb*lo, ea*hi, eb*lo
			mass, inner := 1.0, lo*hi
			if inner > 0 {
				mass = -math.Expm1(-width)
			}
			joint[k] = weight + min(a, 0)*hi + min(-b, 0)*lo + math.Log(mass/((1+ea)*(1+eb)))
			best = max(best, joint[k])
			ds := b*sb - a*sa - inner*width*math.Exp(-width)/mass
			if logScale < minLogScale {
				ds = 0
			}
			dp[(K+k)*n+i], dp[(2*K+k)*n+i] = float32((sb-sa)*inv), float32(ds)
		}
		for _, v := range joint {
			sum += math.Exp(v - best)
		}
		for k, v := range joint {
			r := math.Exp(v-best) / sum
			dp[k*n+i] = float32(math.Exp(float64(p[k*n+i])-top)/prior - r)
			dp[(K+k)*n+i] *= float32(-r)
			dp[(2*K+k)*n+i] *= float32(-r)
		}
		loss[i] = float32(math.Log(prior) - best - math.Log(sum))
	}
}
