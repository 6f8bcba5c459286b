package ddpm

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
)

// The samplers once more, in float64 and in the form of their papers: Euler and
// Heun in y = x/a against sigma, the multistep ones as integrals of interpolated
// values of x_0. Nothing of package ddpm takes part.

// A reference goes from x through the levels sigmas [n+1], the last 0, in place.
// clean is x_0 as the network sees it at level i, noise z of step i.
type reference func(sigmas, x []float64, clean func(i int, x []float64) []float64, noise func(i int) []float64)

// scaled is f x.
func scaled(f float64, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = f * v
	}
	return y
}

// share is a and b of a level.
func share(sigma float64) (a, b float64) {
	return 1 / math.Hypot(1, sigma), sigma / math.Hypot(1, sigma)
}

// slopes is d = (y - D(y; sigma))/sigma, EDM eq. 3 and algorithm 1 line 4.
func slopes(i int, sigma float64, y []float64, clean func(int, []float64) []float64) []float64 {
	m := clean(i, scaled(1/math.Hypot(1, sigma), y))
	d := make([]float64, len(y))
	for e := range y {
		d[e] = (y[e] - m[e]) / sigma
	}
	return d
}

func referenceEuler(ancestral bool) reference {
	return func(sigmas, x []float64, clean func(int, []float64) []float64, noise func(int) []float64) {
		y := scaled(math.Hypot(1, sigmas[0]), x)
		for i, sigma := range sigmas[:len(sigmas)-1] {
			next := sigmas[i+1]
			down, up := next, 0.0
			if ancestral {
				up = math.Min(next, math.Sqrt(next*next*(sigma*sigma-next*next)/(sigma*sigma)))
				down = math.Sqrt(next*next - up*up)
			}
			z := noise(i)
			for e, d := range slopes(i, sigma, y, clean) {
				y[e] += (down-sigma)*d + up*z[e]
			}
		}
		copy(x, y)
	}
}

func referenceHeun(sigmas, x []float64, clean func(int, []float64) []float64, _ func(int) []float64) {
	y := scaled(math.Hypot(1, sigmas[0]), x)
	for i, sigma := range sigmas[:len(sigmas)-1] {
		h, d := sigmas[i+1]-sigma, slopes(i, sigma, y, clean)
		euler := make([]float64, len(y))
		for e := range y {
			euler[e] = y[e] + h*d[e]
		}
		if sigmas[i+1] > 0 {
			for e, d2 := range slopes(i+1, sigmas[i+1], euler, clean) {
				euler[e] = y[e] + h*(d[e]/2+d2/2)
			}
		}
		y = euler
	}
	copy(x, y)
}

// flow is the exact solution of the probability flow over one step if x_0 is the
// polynomial in lambda through nodes: (b'/b) x + b' int e^lambda x_0 dlambda
// (DPM-Solver++ eq. 8). values[k] is x_0 at nodes[k].
func flow(from, to float64, x, nodes []float64, values [][]float64) []float64 {
	aTo, bTo := share(to)
	_, bFrom := share(from)
	lambda, h := -math.Log(from), math.Log(from/to)
	weights := make([]float64, len(nodes)) // of Simpson's rule on the Lagrange polynomials
	const n = 400
	for s := 0; s <= n; s++ {
		at := lambda + h*float64(s)/n
		w := h / n / 3 * math.Exp(at-lambda-h)
		if s > 0 && s < n {
			w *= float64(2 + 2*(s%2))
		}
		for k := range nodes {
			l := 1.0
			for j := range nodes {
				if j != k {
					l *= (at - nodes[j]) / (nodes[k] - nodes[j])
				}
			}
			weights[k] += w * l
		}
	}
	y := scaled(bTo/bFrom, x)
	for k, w := range weights {
		for e := range y {
			y[e] += aTo * w * values[k][e]
		}
	}
	return y
}

// referenceDPM is DPM-Solver++'s algorithm 2, and its SDE form.
func referenceDPM(sde, heun bool) reference {
	return func(sigmas, x []float64, clean func(int, []float64) []float64, noise func(int) []float64) {
		var m1 []float64
		n := len(sigmas) - 1
		for i, sigma := range sigmas[:n] {
			m0 := slices.Clone(clean(i, x))
			a, b := share(sigmas[i+1])
			_, bNow := share(sigma)
			switch {
			case i == n-1: // lambda is infinite: the integral is all of x_0
				copy(x, m0)
			case heun && i > 0:
				copy(x, flow(sigma, sigmas[i+1], x, []float64{-math.Log(sigma), -math.Log(sigmas[i-1])}, [][]float64{m0, m1}))
			default:
				h, r := math.Log(sigma)-math.Log(sigmas[i+1]), 0.0
				if i > 0 {
					r = h / (math.Log(sigmas[i-1]) - math.Log(sigma)) / 2 // 1/2r of the paper
				}
				z := noise(i)
				for e := range x {
					D := m0[e]
					if i > 0 {
						D = (1+r)*m0[e] - r*m1[e]
					}
					if sde {
						x[e] = b/bNow*math.Exp(-h)*x[e] + a*(1-math.Exp(-2*h))*D + b*math.Sqrt(1-math.Exp(-2*h))*z[e]
					} else {
						x[e] = b/bNow*x[e] - a*(math.Exp(-h)-1)*D
					}
				}
			}
			m1 = m0
		}
	}
}

// referenceUniPC integrates the polynomial, but for the lowest orders, where the
// paper takes half of B(h) times the difference.
func referenceUniPC(order int, bh1 bool) reference {
	return func(sigmas, x []float64, clean func(int, []float64) []float64, _ func(int) []float64) {
		n := len(sigmas) - 1
		var m [][]float64 // m[i] is x_0 at level i
		lambda := func(i int) float64 { return -math.Log(sigmas[i]) }
		// move goes from level i to i+1 with these levels' x_0; simple is the form with B.
		move := func(i int, x []float64, levels []int, simple bool) []float64 {
			if i == n-1 {
				return m[i]
			}
			if !simple {
				var nodes []float64
				var values [][]float64
				for _, l := range levels {
					nodes, values = append(nodes, lambda(l)), append(values, m[l])
				}
				return flow(sigmas[i], sigmas[i+1], x, nodes, values)
			}
			y := flow(sigmas[i], sigmas[i+1], x, []float64{lambda(i)}, [][]float64{m[i]})
			if len(levels) == 2 {
				h := lambda(i+1) - lambda(i)
				B := math.Exp(-h) - 1
				if bh1 {
					B = -h
				}
				a, _ := share(sigmas[i+1])
				r := (lambda(levels[1]) - lambda(i)) / h
				for e := range y {
					y[e] -= a * B / 2 * (m[levels[1]][e] - m[i][e]) / r
				}
			}
			return y
		}
		down := func(i, count int) (levels []int) {
			for k := range count {
				levels = append(levels, i-k)
			}
			return levels
		}
		from, p := slices.Clone(x), 0
		for i := range n {
			m = append(m, slices.Clone(clean(i, x)))
			if i > 0 { // correct the step to this level
				levels := append(down(i-1, p), i)
				from = move(i-1, from, levels, p == 1)
			}
			p = min(order, i+1, n-i)
			copy(x, move(i, from, down(i, p), p <= 2))
		}
	}
}

// impulses starts all samplers: element 0 sees no noise, element 1 only x_T,
// each other element the noise of a single step. For a linear network its
// responses are the whole affine map.
func impulses(steps int) (x []float64, noise func(i int) []float64) {
	x = make([]float64, 2+steps)
	x[1] = 1
	return x, func(i int) []float64 {
		z := make([]float64, len(x))
		z[2+i] = 1
		return z
	}
}

type referenced struct {
	sampler string
	o       SamplerOptions
	ref     reference
}

var referencedSamplers = []referenced{
	{"euler", SamplerOptions{}, referenceEuler(false)},
	{"euler-a", SamplerOptions{}, referenceEuler(true)},
	{"heun", SamplerOptions{}, referenceHeun},
	{"dpmpp2m", SamplerOptions{}, referenceDPM(false, false)},
	{"dpmpp2m", SamplerOptions{Solver: "heun"}, referenceDPM(false, true)},
	{"dpmpp2m-sde", SamplerOptions{}, referenceDPM(true, false)},
	{"unipc", SamplerOptions{Order: 1}, referenceUniPC(1, false)},
	{"unipc", SamplerOptions{}, referenceUniPC(2, false)},
	{"unipc", SamplerOptions{Solver: "bh1"}, referenceUniPC(2, true)},
	{"unipc", SamplerOptions{Order: 3}, referenceUniPC(3, false)},
}

// compareWithReference runs both and returns the largest difference, over the
// largest value if that is more than 1. The timesteps are those of trailing spacing, T-1 and every
// stride-th before it. network is x_0 at a timestep, in float64.
func compareWithReference(t *testing.T, r referenced, sch *Schedule, bars []float64, network func(alphaBar, x float64) float64) (worst float64, x []float64) {
	t.Helper()
	steps := r.o.Steps
	r.o.Spacing, r.o.Exact = Trailing, true
	s, err := NewSampler(r.sampler, sch, r.o)
	if err != nil {
		t.Fatal(err)
	}
	levels, sigmas := make([]float64, steps), make([]float64, steps+1)
	for i := range levels {
		levels[i] = bars[len(bars)-1-i*len(bars)/steps]
		sigmas[i] = math.Sqrt((1 - levels[i]) / levels[i])
	}
	x, noise := impulses(steps)
	start := make([]float32, len(x))
	for e := range x {
		start[e] = float32(x[e])
	}
	r.ref(sigmas, x, func(i int, x []float64) []float64 {
		m := make([]float64, len(x))
		for e := range x {
			m[e] = network(levels[i], x[e])
		}
		return m
	}, noise)

	predict := func(x []float32, t int, out []float32) error {
		a, b := math.Sqrt(bars[t]), math.Sqrt(1-bars[t])
		for e, v := range x {
			x0 := network(bars[t], float64(v))
			switch r.o.Prediction {
			case Sample0:
				out[e] = float32(x0)
			case VPrediction: // a eps - b x_0, with eps = (x - a x_0)/b
				out[e] = float32((a*float64(v) - x0) / b)
			default:
				out[e] = float32((float64(v) - a*x0) / b)
			}
		}
		return nil
	}
	err = Sample(context.Background(), s, start, predict, func(i int, dst []float32) {
		for e, z := range noise(i) {
			dst[e] = float32(z)
		}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	scale := 1.0
	for e := range x {
		worst = max(worst, math.Abs(float64(start[e])-x[e]))
		scale = max(scale, math.Abs(x[e]))
	}
	return worst / scale, x
}

// The Gaussian oracle for the samplers of this file: x_0 ~ N(mu, s^2) makes the
// network linear, and each sampler an affine recursion, with memory where it is
// a multistep one.
func TestGaussianOracleReferences(t *testing.T) {
	var worst float64
	for _, kind := range []string{Linear, Cosine} {
		const T = 1000
		bars := oracleBars(kind, T)
		sch, err := NewSchedule(ScheduleConfig{Kind: kind, T: T})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range referencedSamplers {
			for _, steps := range []int{200, 20, 8, 2, 1} {
				for _, p := range []Prediction{Epsilon, Sample0, VPrediction} {
					for _, g := range []gaussian{{0, 1}, {0.3, 0.5}, {-0.4, 0.05}} {
						r.o.Steps, r.o.Prediction = steps, p
						d, _ := compareWithReference(t, r, sch, bars, func(bar, x float64) float64 {
							a := math.Sqrt(bar)
							return g.mu + a*g.s*g.s/(bar*g.s*g.s+1-bar)*(x-a*g.mu)
						})
						worst = max(worst, d)
						// The float32 of x and of eps comes back 1/a times larger in
						// x_0 = (x - b eps)/a: 20,000 times where the cosine begins. Heun
						// multiplies the slope that follows from that by the step again.
						tol := 1e-5
						if p == Epsilon {
							tol += 1.2e-7 / math.Sqrt(bars[T-1])
							if r.sampler == "heun" {
								tol *= 20
							}
						}
						if !(d <= tol) {
							t.Errorf("%s %s %d %s, %d steps, %s on N(%g, %g^2): difference %.3g, want at most %.3g", kind, r.sampler, r.o.Order, r.o.Solver, steps, p, g.mu, g.s, d, tol)
						}
					}
				}
			}
		}
	}
	t.Logf("largest difference %.3g", worst)
}

// The same on a network that is not linear.
func TestSamplersFollowReferences(t *testing.T) {
	const T = 1000
	bars := oracleBars(Linear, T)
	sch := linearSchedule(t, T)
	for _, r := range referencedSamplers {
		for _, steps := range []int{50, 10} {
			r.o.Steps = steps
			d, _ := compareWithReference(t, r, sch, bars, func(bar, x float64) float64 {
				return math.Tanh(2*x/math.Sqrt(bar+0.1)) - 0.2*math.Cos(3*x)
			})
			t.Logf("%s %s order %d, %d steps: %.3g", r.sampler, r.o.Solver, r.o.Order, steps, d)
			if !(d <= 1e-5) {
				t.Errorf("%s %+v: difference %.3g of the largest value", r.sampler, r.o, d)
			}
		}
	}
}

// On N(0.3, 0.5^2) the deterministic samplers converge to the right variance,
// those of second order faster.
func TestOrders(t *testing.T) {
	const T = 1000
	g := gaussian{0.3, 0.5}
	bars := oracleBars(Linear, T)
	sch := linearSchedule(t, T)
	spread := map[string]float64{}
	for _, r := range referencedSamplers {
		r.o.Steps = 20
		_, x := compareWithReference(t, r, sch, bars, func(bar, x float64) float64 {
			a := math.Sqrt(bar)
			return g.mu + a*g.s*g.s/(bar*g.s*g.s+1-bar)*(x-a*g.mu)
		})
		var variance float64
		for _, v := range x[1:] {
			variance += (v - x[0]) * (v - x[0])
		}
		spread[fmt.Sprint(r.sampler, r.o.Solver, r.o.Order)] = math.Abs(variance - g.s*g.s)
		t.Logf("%s %s %d, 20 steps: mean %.4f, variance %.4f of 0.25", r.sampler, r.o.Solver, r.o.Order, x[0], variance)
	}
	for _, second := range []string{"heun0", "dpmpp2m0", "dpmpp2mheun0", "unipc0", "unipc3"} {
		if !(spread[second] < spread["euler0"]/2) {
			t.Errorf("%s is off by %.3g, euler by %.3g: no faster", second, spread[second], spread["euler0"])
		}
	}
}
