package nn

import "math"

// TimeTable is what the buffer of UNet's table holds for T timesteps: [T,TimeFeatures], and for fourier two columns [T]
// more, 1/t and zeros. weights is the flat buffer, which is read for fourier only.
func TimeTable(cfg *UNetConfig, T int, p *Params, weights []float32) []float32 {
	if !cfg.Fourier() {
		return TimestepEmbedding(T, cfg.BlockOutChannels[0], cfg.FlipSinToCos, float64(cfg.FreqShift))
	}
	q, _ := p.ByName("time_proj.weight")
	table := fourierEmbedding(T, weights[q.Offset:][:q.Shape.Elems()])
	for t := range T {
		table = append(table, 1/float32(t))
	}
	return append(table, make([]float32, T)...)
}

// fourierEmbedding returns the table [T, 2n] of timesteps 0..T-1 for frequencies [n] (Tancik et al. 2020, as NCSN++ has it):
//
//	row t = [sin(2 pi freq_i ln t) .. , cos(2 pi freq_i ln t) ..]
//
// rounded to float32 where diffusers rounds. Row 0 is NaN, since 0 has no logarithm.
func fourierEmbedding(T int, freqs []float32) []float32 {
	n := len(freqs)
	table := make([]float32, 2*n*T)
	for t := range T {
		row := table[2*n*t : 2*n*(t+1)]
		log := float32(math.Log(float64(t)))
		for i, freq := range freqs {
			angle := float64(float32(float32(float32(log*freq)*2) * float32(math.Pi)))
			row[i], row[n+i] = float32(math.Sin(angle)), float32(math.Cos(angle))
		}
	}
	return table
}

// TimestepEmbedding returns the sinusoidal table [T, dim] of timesteps 0..T-1
// (Ho et al. 2020, section 4, after the Transformer): with half = dim/2,
//
//	freq_i = exp(-ln(10000) i / (half - freqShift))
//	row t  = [sin(t freq_0) .. sin(t freq_half-1), cos(t freq_0) .. cos(t freq_half-1)]
//
// flipSinToCos puts the cosines first; an odd dim ends in a zero. Angles reach
// T-1, where the last bit of freq is visible, so each operation rounds to
// float32 exactly where diffusers on PyTorch does. T >= 1, dim >= 2, half > freqShift.
func TimestepEmbedding(T, dim int, flipSinToCos bool, freqShift float64) []float32 {
	half := dim / 2
	freqs := make([]float32, half)
	for i := range freqs {
		exponent := float32(float32(-math.Log(10000)) * float32(i))
		exponent /= float32(float64(half) - freqShift)
		freqs[i] = expf(exponent)
	}
	sinAt, cosAt := 0, half
	if flipSinToCos {
		sinAt, cosAt = half, 0
	}
	table := make([]float32, T*dim)
	for t := range T {
		row := table[t*dim : (t+1)*dim]
		for i, freq := range freqs {
			angle := float64(float32(float32(t) * freq))
			row[sinAt+i] = float32(math.Sin(angle))
			row[cosAt+i] = float32(math.Cos(angle))
		}
	}
	return table
}

// expf is e^x as PyTorch rounds it on the CPU (the polynomial of SLEEF's expf,
// 1 ulp). The exact exponential differs from it in the last bit of some
// frequencies, and at t = 999 that bit is 4e-5 in the table: more than the rest
// of the network's rounding together, and existing weights were trained on this.
func expf(x float32) float32 {
	q := float32(math.RoundToEven(float64(float32(x * math.Log2E))))
	s := fma(q, -1.428606765330187045e-06, fma(q, -0.693145751953125, x)) // x - q ln 2
	u := float32(0.000198527617612853646278381)
	for _, c := range [...]float32{0.00139304355252534151077271, 0.00833336077630519866943359,
		0.0416664853692054748535156, 0.166666671633720397949219, 0.5} {
		u = fma(u, s, c)
	}
	u = fma(float32(s*s), u, s) + 1
	return float32(math.Ldexp(float64(u), int(q)))
}

// fma is a*b + c with one rounding to float32 (but for rare double rounding).
func fma(a, b, c float32) float32 {
	return float32(math.FMA(float64(a), float64(b), float64(c)))
}
