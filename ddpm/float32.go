package ddpm

import "math"

// Diffusers computes its tables in float32, and near the clean image, where
// 1 - alphabar is 1e-4, a float32 has only three digits left: its trajectories
// differ from the exact ones by up to 1e-4 there. Nobody can see that, but a
// trajectory that is meant to be diffusers' must share its rounding, so samplers
// take it by default; this file is that rounding. SamplerOptions.Exact leaves it
// out: the Gaussian oracle of the tests is followed more closely then.

// alphasCumprodFloat32 is alphabar [T] as diffusers computes it: betas in
// float32, a product that PyTorch accumulates in float64, rounded to float32.
func (s *Schedule) alphasCumprodFloat32() []float64 {
	c := s.Config
	betas := make([]float32, c.T)
	start, end := float32(c.BetaStart), float32(c.BetaEnd)
	switch c.Kind {
	case Linear:
		betas = linspaceFloat32(start, end, c.T)
	case ScaledLinear:
		betas = linspaceFloat32(float32(math.Sqrt(c.BetaStart)), float32(math.Sqrt(c.BetaEnd)), c.T)
		for t, root := range betas {
			betas[t] = float32(root * root)
		}
	case SigmoidBeta:
		betas = linspaceFloat32(-6, 6, c.T)
		for t, v := range betas {
			betas[t] = float32(float32(sigmoid(float64(v)))*float32(c.BetaEnd-c.BetaStart)) + start
		}
	default:
		plain := c
		plain.ZeroTerminalSNR = false
		exact, _ := NewSchedule(plain)
		for t, beta := range exact.Betas {
			betas[t] = float32(beta)
		}
	}
	if c.ZeroTerminalSNR {
		betas = zeroTerminalSNRFloat32(betas)
	}
	return cumprodFloat32(betas)
}

func cumprodFloat32(betas []float32) []float64 {
	bars := make([]float64, len(betas))
	product := 1.0
	for t, beta := range betas {
		product *= float64(1 - beta)
		bars[t] = float64(float32(product))
	}
	return bars
}

// zeroTerminalSNRFloat32 is zeroTerminalSNR with each operation rounded.
func zeroTerminalSNRFloat32(betas []float32) []float32 {
	T := len(betas)
	root := make([]float32, T)
	for t, bar := range cumprodFloat32(betas) {
		root[t] = float32(math.Sqrt(bar))
	}
	first, last := root[0], root[T-1]
	scale := first / (first - last)
	out := make([]float32, T)
	before := float32(1)
	for t := range out {
		r := float32((root[t] - last) * scale)
		bar := float32(r * r)
		out[t] = 1 - bar/before
		before = bar
	}
	return out
}

// linspaceFloat32 is torch.linspace on a CPU with AVX2, to the last bit: from
// the start in the first half and back from the end in the second, in vectors of
// eight whose base is a fused multiply-add and whose lanes are not; what
// remains of pairs of vectors goes one by one.
func linspaceFloat32(start, end float32, n int) []float32 {
	out := make([]float32, n)
	step := (end - start) / float32(max(n-1, 1))
	base := func(from float32, k int) float32 {
		return float32(math.FMA(float64(step), float64(k), float64(from)))
	}
	for i := 0; i < n; {
		lanes := 8
		if i >= n-n%16 {
			lanes = 1
		}
		from := base(start, i)
		if i >= n/2 {
			from = base(end, i-(n-1))
		}
		for lane := range lanes {
			out[i+lane] = from + float32(step*float32(lane))
		}
		i += lanes
	}
	return out
}
