package ddpm

import "math"

// The functions of this file return the betas [T] of each kind of schedule.

// linearBetas: from start to end in equal steps (DDPM section 4). The end points
// do not move with T, so a smaller T destroys less.
func linearBetas(T int, start, end float64) []float64 {
	return linspace(start, end, T)
}

// scaledLinearBetas: equal steps in sqrt(beta) (latent diffusion).
func scaledLinearBetas(T int, start, end float64) []float64 {
	betas := linspace(math.Sqrt(start), math.Sqrt(end), T)
	for t, root := range betas {
		betas[t] = root * root
	}
	return betas
}

// sigmoidBetas: a sigmoid over -6..6, scaled to start..end (GeoDiff).
func sigmoidBetas(T int, start, end float64) []float64 {
	betas := linspace(-6, 6, T)
	for t, v := range betas {
		betas[t] = sigmoid(v)*(end-start) + start
	}
	return betas
}

// cosineAlphaBar is f(t)/f(0) up to its constant: alphabar of IDDPM eq. 17 at u
// in [0,1], cos^2((u + s)/(1 + s) pi/2).
func cosineAlphaBar(u, s float64) float64 {
	c := math.Cos((u + s) / (1 + s) * math.Pi / 2)
	return c * c
}

// sigmoidAlphaBar is alphabar at u in [0,1] up to its constant: a sigmoid that
// falls from start to end, shifted and scaled to go from 1 to 0 (Jabri et al.).
func sigmoidAlphaBar(u, start, end, tau float64) float64 {
	vStart, vEnd := sigmoid(start/tau), sigmoid(end/tau)
	return (vEnd - sigmoid((u*(end-start)+start)/tau)) / (vEnd - vStart)
}

// betasFromAlphaBar: beta_t = 1 - alphabar((t+1)/T) / alphabar(t/T), at most
// limit (IDDPM section 3.2). In float32 this difference loses 6e-4 of its value.
func betasFromAlphaBar(T int, limit float64, alphaBar func(u float64) float64) []float64 {
	betas := make([]float64, T)
	for t := range betas {
		before, after := alphaBar(float64(t)/float64(T)), alphaBar(float64(t+1)/float64(T))
		// cos^2 at the end is 1e-33 rather than 0, so that no cap (1) means 1.
		betas[t] = min(max(1-after/before, 0), limit)
	}
	return betas
}

// zeroTerminalSNR shifts sqrt(alphabar) to end at 0 and scales it to begin
// where it did (Lin et al. 2024, algorithm 1).
func zeroTerminalSNR(betas []float64) []float64 {
	T := len(betas)
	root := make([]float64, T)
	product := 1.0
	for t, beta := range betas {
		product *= 1 - beta
		root[t] = math.Sqrt(product)
	}
	first, last := root[0], root[T-1]
	out := make([]float64, T)
	before := 1.0
	for t := range out {
		r := (root[t] - last) * first / (first - last)
		out[t] = 1 - r*r/before
		before = r * r
	}
	return out
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// linspace returns n equally spaced values from a to b, both included. n = 1
// gives a.
func linspace(a, b float64, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = a
		if n > 1 {
			v[i] = a + (b-a)*float64(i)/float64(n-1)
		}
	}
	return v
}
