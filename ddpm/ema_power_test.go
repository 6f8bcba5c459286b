package ddpm

import (
	"math"
	"testing"
)

// The width of a profile is its standard deviation, and the paper's two examples have the exponents that it tells.
func TestEMAGamma(t *testing.T) {
	for std, want := range map[float64]float64{0.05: 16.97, 0.10: 6.94} {
		if got := EMAGamma(std); math.Abs(got-want) > 0.005 {
			t.Errorf("width %g: gamma %v, want %v", std, got, want)
		}
	}
	for _, std := range []float64{MinEMAStd, 0.03, 0.2, MaxEMAStd} {
		g := EMAGamma(std)
		var m, sq float64
		const n = 200000
		for i := range n {
			x := (float64(i) + 0.5) / n
			w := (g + 1) * math.Pow(x, g) / n
			m += w * x
			sq += w * x * x
		}
		if got := math.Sqrt(sq - m*m); math.Abs(got/std-1) > 1e-3 {
			t.Errorf("width %g: gamma %v has a deviation of %v", std, g, got)
		}
	}
}

// Averages of sequences of numbers, kept now and then, add up to one of another width.
func TestReconstructEMA(t *testing.T) {
	const steps = 4000
	ema := func(gamma float64, see func(step int, average []float64)) {
		var a [3]float64
		for s := 1; s <= steps; s++ {
			beta := math.Pow(1-1/float64(s), gamma+1)
			for k, v := range []float64{1, float64(s), math.Sin(float64(s) / 300)} {
				a[k] = beta*a[k] + (1-beta)*v
			}
			see(s, a[:])
		}
	}
	var have []EMAProfile
	var values [][3]float64
	for _, std := range []float64{0.05, 0.10} {
		g := EMAGamma(std)
		ema(g, func(s int, a []float64) {
			if s%250 == 0 {
				have, values = append(have, EMAProfile{float64(s), g}), append(values, [3]float64(a))
			}
		})
	}
	for _, std := range []float64{0.05, 0.07, 0.12, 0.2} {
		g := EMAGamma(std)
		var want [3]float64
		ema(g, func(s int, a []float64) { want = [3]float64(a) })
		weights, residual, err := ReconstructEMA(have, EMAProfile{steps, g})
		if err != nil {
			t.Fatal(err)
		}
		var got [3]float64
		for i, w := range weights {
			for k := range got {
				got[k] += w * values[i][k]
			}
		}
		for k := range got {
			if math.Abs(got[k]-want[k]) > 0.01*math.Max(1, math.Abs(want[k])) {
				t.Errorf("width %g, sequence %d: %v, want %v (residual %g)", std, k, got[k], want[k], residual)
			}
		}
		if residual > 1e-3 {
			t.Errorf("width %g: residual %g", std, residual)
		}
	}
	if _, _, err := ReconstructEMA(nil, EMAProfile{1, 1}); err == nil {
		t.Error("out of nothing")
	}
}
