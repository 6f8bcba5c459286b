package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// The likelihoods of op nll, in float64 one value at a time: exponentials dominate, and beside the network they are few. Values
// without a weight cost nothing.

// maxComponents is how many components' parts fit on the stack.
const maxComponents = 32

func init() {
	kernels["nll"] = kernel{prepare: func(c *call) func() {
		a, p, q, w, loss, each := c.step.Attrs.(backend.Likelihood), c.in[0].image(), c.in[1].image(), c.in[2].image(), c.out[0].f32(), c.out[1].f32()
		k := a.Params()
		sums, weights := make([]float64, q.n*q.h), make([]float64, q.n*q.h)
		run := c.blocks(q.n*q.h, 1, func(r, _ int) {
			pr, qr, wr := p.row(r/q.h, r%q.h), q.row(r/q.h, r%q.h), w.row(r/q.h, r%q.h)
			sum, weight := 0.0, 0.0
			for i, v := range wr {
				if v != 0 {
					weight += float64(v)
					sum += float64(v) * lossOf(a, pr[i*k:][:k], float64(qr[i]), nil, 0)
				}
			}
			sums[r], weights[r] = sum, weight
		})
		return func() {
			run()
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
	kernels["nll_grad"] = kernel{prepare: func(c *call) func() {
		a, p, q, w, dp := c.step.Attrs.(backend.Likelihood), c.in[0].image(), c.in[1].image(), c.in[2].image(), c.out[0].image()
		k := a.Params()
		weights := make([]float64, q.n)
		sum := c.blocks(q.n, 1, func(n, _ int) {
			weights[n] = 0
			for h := range q.h {
				for _, v := range w.row(n, h) {
					weights[n] += float64(v)
				}
			}
		})
		run := c.eachRow(q, func(n, h int) {
			dr, pr, qr, wr := dp.row(n, h), p.row(n, h), q.row(n, h), w.row(n, h)
			clear(dr)
			for i, v := range wr {
				if v != 0 {
					f := float64(v) / weights[n] / float64(q.n) * float64(c.in[3].f32()[0])
					lossOf(a, pr[i*k:][:k], float64(qr[i]), dr[i*k:][:k], f)
				}
			}
		})
		return func() {
			sum()
			run()
		}
	}}
}

// lossOf is the loss of a value q with parameters p; dp, if it is not nil, gets f times the slopes.
func lossOf(a backend.Likelihood, p []float32, q float64, dp []float32, f float64) float64 {
	switch a.Kind {
	case backend.Squared:
		d := float64(p[0]) - q
		if dp != nil {
			dp[0] = float32(2 * d * f)
		}
		return d * d
	case backend.Absolute:
		d := float64(p[0]) - q
		if dp != nil && d != 0 {
			dp[0] = float32(math.Copysign(f, d))
		}
		return math.Abs(d)
	case backend.Categorical:
		return categorical(p, q, dp, f/math.Ln2) / math.Ln2
	}
	return mixture(p, a.Components, q, dp, f/math.Ln2) / math.Ln2
}

// categorical is -log softmax(p) of the level of q.
func categorical(p []float32, q float64, dp []float32, f float64) float64 {
	top := p[0]
	for _, v := range p {
		top = max(top, v)
	}
	var e [256]float64
	sum := 0.0
	for i, v := range p {
		e[i] = math.Exp(float64(v - top))
		sum += e[i]
	}
	level := int(min(max(math.Round((q+1)*127.5), 0), 255))
	if dp != nil {
		for i := range dp {
			dp[i] = float32(f * e[i] / sum)
		}
		dp[level] -= float32(f)
	}
	return math.Log(sum) + float64(top) - float64(p[level])
}

// mixture is -log of the mass that a mixture of K logistics has on the level of q.
func mixture(p []float32, K int, q float64, dp []float32, f float64) float64 {
	const half = 1.0 / 255
	var stack [4][maxComponents]float64
	weight, joint, dMean, dScale := stack[0][:], stack[1][:], stack[2][:], stack[3][:]
	if K > maxComponents {
		all := make([]float64, 4*K)
		weight, joint, dMean, dScale = all[:K], all[K:2*K], all[2*K:3*K], all[3*K:]
	}
	low, high := q < -1+half, q > 1-half
	top := math.Inf(-1)
	for _, v := range p[:K] {
		top = max(top, float64(v))
	}
	prior, best := 0.0, math.Inf(-1)
	for k := range K {
		logScale := float64(p[2*K+k])
		inv := math.Exp(-max(logScale, backend.MinLogScale))
		a, b, width := (q+half-float64(p[K+k]))*inv, (q-half-float64(p[K+k]))*inv, 2*half*inv
		ea, eb := math.Exp(-math.Abs(a)), math.Exp(-math.Abs(b))
		// sigma(-a) and sigma(b), from exponentials that cannot overflow.
		sa, sb := ea/(1+ea), eb/(1+eb)
		if a < 0 {
			sa = 1 / (1 + ea)
		}
		if b > 0 {
			sb = 1 / (1 + eb)
		}
		log, dm, ds := 0.0, 0.0, 0.0
		switch {
		case low:
			log = min(a, 0) - math.Log(1+ea)
			dm, ds = -sa*inv, -a*sa
		case high:
			log = min(-b, 0) - math.Log(1+eb)
			dm, ds = sb*inv, b*sb
		default:
			mass := -math.Expm1(-width)
			log = min(a, 0) + min(-b, 0) + math.Log(mass/((1+ea)*(1+eb)))
			dm, ds = (sb-sa)*inv, b*sb-a*sa-width*(1-mass)/mass
		}
		if logScale < backend.MinLogScale {
			ds = 0
		}
		weight[k] = float64(p[k]) - top
		prior += math.Exp(weight[k])
		joint[k], dMean[k], dScale[k] = weight[k]+log, dm, ds
		best = max(best, joint[k])
	}
	sum := 0.0
	for k := range K {
		sum += math.Exp(joint[k] - best)
	}
	if dp != nil {
		for k := range K {
			r := math.Exp(joint[k]-best) / sum
			dp[k] = float32(f * (math.Exp(weight[k])/prior - r))
			dp[K+k] = float32(-f * r * dMean[k])
			dp[2*K+k] = float32(-f * r * dScale[k])
		}
	}
	return math.Log(prior) - best - math.Log(sum)
}
