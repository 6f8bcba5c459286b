package metrics

import (
	"context"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// Bits is the variational bound on the negative log likelihood of pictures in bits per dimension (Ho et al. 2020, equation 5; Nichol &
// Dhariwal 2021, section 3), for one of the two fixed variances of the reverse process.
type Bits struct {
	Total   Estimate
	Prior   Estimate   // L_T, what x_T still tells of the picture
	Decoder Estimate   // L_0, the discretised Gaussian at the last step (Ho et al. equation 13)
	Terms   []Estimate // L_{t-1} of 1 <= t < T, added up over equal ranges of timesteps
}

// decoderFloor is the least probability that a pixel is given, as in Nichol & Dhariwal's code.
const decoderFloor = 1e-12

// boundPower says how the timesteps that the bound asks about crowd at the clean end, where its terms are largest.
const boundPower = 2.5

// A stratum is the timesteps from one to before another, for all of which one of them, drawn by lot, stands.
type stratum struct{ from, to int }

// strata cut 1..T-1 into k parts, the first ones of single timesteps.
func strata(T, k int) []stratum {
	list := make([]stratum, k)
	at := 1
	for j := range list {
		end := 1 + int(math.Round(float64(T-1)*math.Pow(float64(j+1)/float64(k), boundPower)))
		end = min(max(end, at+1), T-(k-1-j))
		list[j] = stratum{at, end}
		at = end
	}
	return list
}

// boundPoints are the points of picture i: one of each stratum.
func boundPoints(T, k, i int, seed uint64) []point {
	var points []point
	for j, s := range strata(T, k) {
		lot := rng.Uint32(seed, rng.StreamEval, uint32(j), uint32(i), 0)
		points = append(points, point{i, j, s.from + int(rng.Below(lot, uint32(s.to-s.from)))})
	}
	return points
}

// bitsChunk is how many numbers bits keeps of each picture besides its draws: the prior and the decoder.
const bitsChunk = 2

// bits asks the network about pictures [from,to): for each the prior and the decoder's term in bits/dim, then the mean squared error
// of the predicted x_0, clamped to [-1,1], at draws timesteps from 1 on.
func (n Network) bits(ctx context.Context, images Images, from, to, draws int, seed uint64, tick func(float64)) ([]float32, error) {
	s, T := n.Schedule, n.Schedule.T()
	var points []point
	for i := from; i < to; i++ {
		points = append(points, point{i, draws, 0})
		points = append(points, boundPoints(T, draws, i, seed)...)
	}
	per, stride := images.Per(), draws+bitsChunk
	v := make([]float32, (to-from)*stride)
	clean := make([]float32, per)
	err := n.ask(ctx, images, points, seed, tick, func(p point, x0, _, xt, out []float32) {
		s.PredictX0(n.Prediction, clean, xt, out, p.t)
		for i := range clean {
			clean[i] = min(max(clean[i], -1), 1)
		}
		row := v[(p.i-from)*stride:]
		if p.t > 0 {
			row[bitsChunk+p.k] = float32(ddpm.Loss(clean, x0))
			return
		}
		// At t = 0 the posterior's mean is the predicted x_0 itself: coef1 = 1, coef2 = 0.
		row[0] = float32(prior(s, x0))
		std := math.Exp(s.PosteriorLogVarianceClipped[0] / 2)
		sum := 0.0
		for i, x := range x0 {
			sum -= math.Log2(max(decoder(float64(x), float64(clean[i]), std), decoderFloor))
		}
		row[1] = float32(sum / float64(per))
	})
	return v, err
}

// prior is KL(q(x_T | x_0) || N(0, I)) in bits per dimension.
func prior(s *ddpm.Schedule, x0 []float32) float64 {
	T := s.T()
	bar := s.AlphasCumprod[T-1]
	sum := 0.0
	for _, x := range x0 {
		sum += gaussianKL(math.Sqrt(bar)*float64(x), math.Log(1-bar), 0, 0)
	}
	return sum / float64(len(x0)) / math.Ln2
}

// gaussianKL is KL(N(m1, exp(lv1)) || N(m2, exp(lv2))) in nats.
func gaussianKL(m1, lv1, m2, lv2 float64) float64 {
	return 0.5 * (lv2 - lv1 - 1 + math.Exp(lv1-lv2) + (m1-m2)*(m1-m2)*math.Exp(-lv2))
}

// decoder is the probability of pixel x in [-1,1], one of 256 values, under N(mean, std^2): the mass of its bin, whose outer bounds are
// open.
func decoder(x, mean, std float64) float64 {
	// The tail that is nearer to 0 keeps its digits.
	lo, hi := (x-1.0/255-mean)/std, (x+1.0/255-mean)/std
	if x < -0.999 {
		lo = math.Inf(-1)
	}
	if x > 0.999 {
		hi = math.Inf(1)
	}
	if lo > 0 {
		lo, hi = -hi, -lo
	}
	return (math.Erfc(-hi/math.Sqrt2) - math.Erfc(-lo/math.Sqrt2)) / 2
}

// stepKL is L_{t-1} in bits per dimension when the predicted x_0 is off by a mean square of mse: the two normals have means that
// differ by coef1 times the error.
func stepKL(s *ddpm.Schedule, t int, mse float64, variance string) float64 {
	tilde, sigma2 := s.PosteriorVariance[t], s.PosteriorVariance[t]
	if variance == ddpm.FixedLarge {
		sigma2 = s.Betas[t]
	}
	c := s.PosteriorMeanCoef1[t]
	return 0.5 * (math.Log(sigma2/tilde) + tilde/sigma2 - 1 + c*c*mse/sigma2) / math.Ln2
}

// sumBits makes what bits returns into the bound. Each timestep drawn stands for its stratum.
func sumBits(s *ddpm.Schedule, v []float32, draws, buckets int, seed uint64, variance string) Bits {
	stride := draws + bitsChunk
	n, T := len(v)/stride, s.T()
	totals, priors, decoders := make([]float64, n), make([]float64, n), make([]float64, n)
	terms := make([][]float64, buckets)
	for b := range terms {
		terms[b] = make([]float64, n)
	}
	weights := strata(T, draws)
	for i := range n {
		row := v[i*stride:]
		priors[i], decoders[i] = float64(row[0]), float64(row[1])
		totals[i] = priors[i] + decoders[i]
		for _, p := range boundPoints(T, draws, i, seed) {
			term := stepKL(s, p.t, float64(row[bitsChunk+p.k]), variance) * float64(weights[p.k].to-weights[p.k].from)
			terms[p.t*buckets/T][i] += term
			totals[i] += term
		}
	}
	b := Bits{Total: mean(totals), Prior: mean(priors), Decoder: mean(decoders)}
	for _, t := range terms {
		b.Terms = append(b.Terms, mean(t))
	}
	return b
}
