package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// The likelihoods of op nll. Values without a weight cost nothing. Sums are in float64, in the values' order.

func init() {
	kernels["nll"] = kernel{scratch: likelihoodScratch, prepare: func(c *call) func() {
		l, q, loss, each := newLikelihood(c), c.in[1].image(), c.out[0].f32(), c.out[1].f32()
		sums, weights := make([]float64, q.n*q.h), make([]float64, q.n*q.h)
		task := func(worker, r int) { sums[r], weights[r] = l.row(worker, r/q.h, r%q.h, nil, 0) }
		return func() {
			c.pool.run(q.n*q.h, task)
			total := 0.0
			for n := range q.n {
				sum, weight := 0.0, 0.0
				for r := n * q.h; r < (n+1)*q.h; r++ {
					sum, weight = sum+sums[r], weight+weights[r]
				}
				if weight > 0 {
					sum /= weight
				}
				each[n] = float32(sum)
				total += sum
			}
			loss[0] = float32(total / float64(q.n))
		}
	}}
	kernels["nll_grad"] = kernel{scratch: likelihoodScratch, prepare: func(c *call) func() {
		l, q, w, dp := newLikelihood(c), c.in[1].image(), c.in[2].image(), c.out[0].image()
		weights := make([]float64, q.n)
		sum := c.blocks(q.n, 1, func(n, _ int) {
			weights[n] = 0
			for h := range q.h {
				for _, v := range w.row(n, h) {
					weights[n] += float64(v)
				}
			}
		})
		task := func(worker, r int) {
			n, h := r/q.h, r%q.h
			l.row(worker, n, h, dp.row(n, h), float64(c.in[3].f32()[0])/weights[n]/float64(q.n))
		}
		return func() {
			sum()
			c.pool.run(q.n*q.h, task)
		}
	}}
}

// likelihoodTile is how many values of a mixture are gathered: what they need stays in the first-level cache.
const likelihoodTile = 64

// likelihoodScratch are the tiles of the workers.
func likelihoodScratch(b *Backend, s *backend.Step) int {
	if a := s.Attrs.(backend.Likelihood); a.Kind != backend.Squared && a.Kind != backend.Absolute {
		return b.pool.n * tileFloats(a)
	}
	return 0
}

// tileFloats is the size of one.
func tileFloats(a backend.Likelihood) int {
	if a.Kind == backend.Categorical {
		return a.Params()
	}
	return likelihoodTile * (2*a.Params() + 4)
}

// likelihood computes the losses of rows of pixels.
type likelihood struct {
	*call
	backend.Likelihood
	p, q, w image
}

func newLikelihood(c *call) *likelihood {
	return &likelihood{c, c.step.Attrs.(backend.Likelihood), c.in[0].image(), c.in[1].image(), c.in[2].image()}
}

// row returns the weighted sum of the losses of image n's row h, and the sum of the weights. dp, if it is not nil, gets the slopes: those
// of a value times f and its weight, zeros where that is 0.
func (l *likelihood) row(worker, n, h int, dp []float32, f float64) (sum, weight float64) {
	p, q, w, k := l.p.row(n, h), l.q.row(n, h), l.w.row(n, h), l.Params()
	clear(dp)
	if l.Kind == backend.Mixture {
		return l.mixtures(worker, p, q, w, dp, f)
	}
	for i, v := range w {
		if v == 0 {
			continue
		}
		g, at := f*float64(v), p[i*k:][:k]
		loss := 0.0
		switch d := float64(at[0]) - float64(q[i]); {
		case l.Kind == backend.Categorical:
			prob := l.scratch[worker*k:][:k]
			if dp != nil {
				prob = dp[i*k:][:k]
			}
			loss = l.categorical(at, float64(q[i]), prob)
			if dp != nil {
				l.vec.ScaleAdd(prob, prob, float32(g/math.Ln2), 0)
				prob[levelOf(float64(q[i]))] -= float32(g / math.Ln2)
			}
		case l.Kind == backend.Squared:
			loss = d * d
			if dp != nil {
				dp[i] = float32(2 * d * g)
			}
		default:
			loss = math.Abs(d)
			if dp != nil && d != 0 {
				dp[i] = float32(math.Copysign(g, d))
			}
		}
		sum, weight = sum+float64(v)*loss, weight+float64(v)
	}
	return sum, weight
}

// levelOf is the byte that a value stands for.
func levelOf(q float64) int { return int(min(max(math.Round((q+1)*127.5), 0), 255)) }

// categorical is -log2 softmax(p) of the level of q; prob: [256] gets the softmax. The largest share is 1 over the sum of exponentials,
// and the loss is finite however far a level is below.
func (l *likelihood) categorical(p []float32, q float64, prob []float32) float64 {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	copy(prob, p)
	l.vec.SoftmaxRow(prob, 1)
	return (float64(p[best]) - float64(p[levelOf(q)]) - math.Log(float64(prob[best]))) / math.Ln2
}

// mixtures is row for mixtures of logistics. Values that count are gathered, an array for each parameter.
func (l *likelihood) mixtures(worker int, p, q, w, dp []float32, f float64) (sum, weight float64) {
	const tile = likelihoodTile
	k, per := l.Params(), tileFloats(l.Likelihood)
	scratch := l.scratch[worker*per:][:per]
	values, scratch := scratch[:tile*k], scratch[tile*k:]
	slopes, scratch := scratch[:tile*k], scratch[tile*k:]
	var at [tile]int
	for from := 0; from < len(w); {
		n := 0
		for ; from < len(w) && n < tile; from++ {
			if w[from] != 0 {
				at[n] = from
				n++
			}
		}
		size := ceil(n, simd.MixtureStep) * simd.MixtureStep
		loss, level, low, high := scratch[:size], scratch[tile:][:size], scratch[2*tile:][:size], scratch[3*tile:][:size]
		for s := range size {
			i := at[min(s, n-1)] // what is beyond the last counts for nothing
			level[s], low[s], high[s] = q[i], 1, 1
			if q[i] < -1+1.0/255 {
				low[s] = 0
			}
			if q[i] > 1-1.0/255 {
				high[s] = 0
			}
			for j, v := range p[i*k:][:k] {
				values[j*size+s] = v
			}
		}
		l.vec.Mixture(loss, slopes[:k*size], values[:k*size], level, low, high, l.Components)
		for s, i := range at[:n] {
			v := float64(w[i])
			sum, weight = sum+v*float64(loss[s])/math.Ln2, weight+v
			if dp != nil {
				g, d := float32(f*v/math.Ln2), dp[i*k:][:k]
				for j := range d {
					d[j] = g * slopes[j*size+s]
				}
			}
		}
	}
	return sum, weight
}
