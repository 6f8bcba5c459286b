package lab

import (
	"math"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// A KS is a Kolmogorov-Smirnov test: the largest distance between the distribution of a sample and the one it should have, and the
// distance that one sample in twenty passes by chance, 1.358/sqrt(n).
type KS struct {
	D        float64 `json:"d"`
	Critical float64 `json:"critical_5_percent"`
	Same     bool    `json:"same"` // D is below it
}

// ksOf compares a sample, which it sorts, with a distribution function.
func ksOf(sample []float64, cdf func(float64) float64) KS {
	slices.Sort(sample)
	n := float64(len(sample))
	k := KS{Critical: 1.358 / math.Sqrt(n)}
	for i, v := range sample {
		p := cdf(v)
		k.D = max(k.D, p-float64(i)/n, float64(i+1)/n-p)
	}
	k.Same = k.D < k.Critical
	return k
}

// normalCDF is the distribution function of N(mean, dev^2).
func normalCDF(mean, dev float64) func(float64) float64 {
	return func(v float64) float64 { return math.Erfc(-(v-mean)/dev/math.Sqrt2) / 2 }
}

// A Gaussian is what the normal distribution is good for, in numbers.
type Gaussian struct {
	N         int       `json:"samples"`
	Histogram []float64 `json:"histogram"` // density in Bins equal bins from -4 to 4
	Mean      float64   `json:"mean"`
	Variance  float64   `json:"variance"`
	Normal    KS        `json:"ks_standard_normal"`
	Within    [3]Within `json:"within"`

	// Sums: A x + B y of independent normals is N(0, A^2 + B^2) again; x + x is normal too, but of variance 4, not 2.
	Sum       Closure `json:"sum_of_independent"`
	Dependent Closure `json:"sum_of_the_same"`
	// Noise added step by step from another distribution changes its shape with every step: two uniforms make a triangle.
	Uniform Closure `json:"sum_of_uniforms"`

	Shifted KS         `json:"ks_mu_plus_sigma_eps"` // z = Mu + Sigma eps against N(Mu, Sigma^2)
	Mu      float64    `json:"mu"`
	Sigma   float64    `json:"sigma"`
	Slopes  [2]Pathway `json:"pathwise_gradient"` // of E[sin z] by mu and by sigma
}

// Bins of Gaussian.Histogram.
const Bins = 64

// Within is how much of a sample lies within K deviations, and how much should.
type Within struct {
	K        int     `json:"deviations"`
	Measured float64 `json:"measured"`
	Expected float64 `json:"expected"`
}

// A Closure is a sum of variables, the variance that independent terms would give it, and whether its shape is that of its terms.
type Closure struct {
	A        float64 `json:"a"`
	B        float64 `json:"b"`
	Variance float64 `json:"variance"`
	Expected float64 `json:"variance_if_independent"`
	Shape    KS      `json:"ks_same_shape"` // against the terms' own distribution with the expected variance
}

// A Pathway is the slope of an expectation by a parameter of the distribution: by differentiating through z = mu + sigma eps, by
// differences of the same sample, and exactly.
type Pathway struct {
	By         string  `json:"by"`
	Pathwise   float64 `json:"pathwise"`
	Difference float64 `json:"finite_difference"`
	Exact      float64 `json:"exact"`
}

// NewGaussian draws n numbers of each kind and measures.
func NewGaussian(n int, seed uint64) *Gaussian {
	g := &Gaussian{N: n, Mu: 0.7, Sigma: 1.3}
	x, y := normals(n, seed, 0), normals(n, seed, 1)
	g.Histogram = Histogram(x, -4, 4, Bins)
	g.Mean, g.Variance = moments(x)
	for k := range g.Within {
		in := 0
		for _, v := range x {
			if math.Abs(v) < float64(k+1) {
				in++
			}
		}
		g.Within[k] = Within{k + 1, float64(in) / float64(n), math.Erf(float64(k+1) / math.Sqrt2)}
	}
	combine := func(a, b float64, x, y []float64) []float64 {
		z := make([]float64, len(x))
		for i := range z {
			z[i] = a*x[i] + b*y[i]
		}
		return z
	}
	closure := func(a, b float64, x, y []float64, cdf func(dev float64) func(float64) float64) Closure {
		z := combine(a, b, x, y)
		c := Closure{A: a, B: b, Expected: a*a + b*b}
		_, c.Variance = moments(z)
		c.Shape = ksOf(z, cdf(math.Sqrt(c.Expected)))
		return c
	}
	bell := func(dev float64) func(float64) float64 { return normalCDF(0, dev) }
	g.Sum = closure(0.8, 0.6, x, y, bell)
	g.Dependent = closure(1, 1, x, x, bell)
	flat := func(dev float64) func(float64) float64 { // uniform of that deviation: half its width is sqrt(3) dev
		return func(v float64) float64 { return min(max(v/(2*math.Sqrt(3)*dev)+0.5, 0), 1) }
	}
	g.Uniform = closure(math.Sqrt(0.5), math.Sqrt(0.5), uniforms(n, seed, 2), uniforms(n, seed, 3), flat)
	g.Slopes = pathways(x, g.Mu, g.Sigma)
	z := make([]float64, n)
	for i, eps := range x {
		z[i] = g.Mu + g.Sigma*eps
	}
	g.Shifted = ksOf(z, normalCDF(g.Mu, g.Sigma))
	g.Normal = ksOf(x, normalCDF(0, 1)) // sorts x
	return g
}

// pathways are the slopes of E[sin z], z = mu + sigma eps, which is sin(mu) exp(-sigma^2/2).
func pathways(eps []float64, mu, sigma float64) [2]Pathway {
	mean := func(mu, sigma float64) float64 {
		sum := 0.0
		for _, e := range eps {
			sum += math.Sin(mu + sigma*e)
		}
		return sum / float64(len(eps))
	}
	byMu, bySigma := 0.0, 0.0
	for _, e := range eps {
		d := math.Cos(mu + sigma*e)
		byMu, bySigma = byMu+d, bySigma+d*e
	}
	const h = 1e-4
	n, decay := float64(len(eps)), math.Exp(-sigma*sigma/2)
	return [2]Pathway{
		{"mu", byMu / n, (mean(mu+h, sigma) - mean(mu-h, sigma)) / (2 * h), math.Cos(mu) * decay},
		{"sigma", bySigma / n, (mean(mu, sigma+h) - mean(mu, sigma-h)) / (2 * h), -sigma * math.Sin(mu) * decay},
	}
}

// Histogram is the density of values in bins equal bins from low to high.
func Histogram(values []float64, low, high float64, bins int) []float64 {
	h := make([]float64, bins)
	width := (high - low) / float64(bins)
	for _, v := range values {
		if i := int(math.Floor((v - low) / width)); i >= 0 && i < bins {
			h[i] += 1 / (float64(len(values)) * width)
		}
	}
	return h
}

func normals(n int, seed uint64, sample uint32) []float64 {
	v := make([]float32, n)
	rng.Normals(v, seed, rng.StreamNoise, sample, 0)
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(v[i])
	}
	return out
}

// uniforms have mean 0 and variance 1.
func uniforms(n int, seed uint64, sample uint32) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = (2*float64(rng.Uniform(rng.Uint32(seed, rng.StreamNoise, uint32(i), sample, 1))) - 1) * math.Sqrt(3)
	}
	return out
}

func moments(v []float64) (mean, variance float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		variance += (x - mean) * (x - mean) / float64(len(v))
	}
	return mean, variance
}

// Normals are n standard normals.
func Normals(n int, seed uint64) []float64 { return normals(n, seed, 7) }
