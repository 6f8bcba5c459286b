package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Every level computes what the float64 arithmetic of genericMixture says, over the whole range of levels, means and scales, and next to
// one of the clamped scales. Slopes are held to the sum of the magnitudes that they are the differences of.
func TestMixture(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, K := range []int{1, 5, 32} {
			for _, n := range []int{0, 16, 64, 1024} {
				q, low, high := make([]float32, n), make([]float32, n), make([]float32, n)
				p := make([]float32, 3*K*n)
				for i := range n {
					b := []int{0, 255, r.IntN(256), r.IntN(256), r.IntN(256)}[i%5]
					q[i], low[i], high[i] = float32(b)/127.5-1, 1, 1
					if b == 0 {
						low[i] = 0
					}
					if b == 255 {
						high[i] = 0
					}
					for k := range K {
						p[k*n+i] = float32(3 * r.NormFloat64())
						p[(K+k)*n+i] = float32(r.NormFloat64())
						if i%3 == 0 { // near the level
							p[(K+k)*n+i] = q[i] + float32(r.NormFloat64())/255
						}
						p[(2*K+k)*n+i] = float32(-8.5 + 12*r.Float64())
					}
				}
				loss, dp, want, wantD := newGuarded(r, n), newGuarded(r, 3*K*n), make([]float32, n), make([]float32, 3*K*n)
				v.Mixture(loss.v, dp.v, p, q, low, high, K)
				loss.intact(t, "loss")
				dp.intact(t, "slopes")
				genericMixture(want, wantD, p, q, low, high, K)
				for i, w := range want {
					if !near(loss.v[i], float64(w), 2e-6, 1+math.Abs(float64(w))) {
						t.Fatalf("K=%d n=%d: value %d costs %v, want %v", K, n, i, loss.v[i], w)
					}
					for k := range 3 * K {
						// A slope in the mean is up to the inverse scale, one in the scale up to the distance in scales, and
						// both are shares of components, whose logarithms are as exact as the loss.
						scale := math.Exp(-max(float64(p[(2*K+k%K)*n+i]), minLogScale))
						distance := (math.Abs(float64(q[i]-p[(K+k%K)*n+i])) + 1.0/255) * scale
						mag := (1 + math.Abs(float64(w))) * []float64{1, scale, 1 + distance}[k/K]
						if !near(dp.v[k*n+i], float64(wantD[k*n+i]), 2e-6, mag) {
							t.Fatalf("K=%d n=%d: slope %d of value %d is %v, want %v", K, n, k, i, dp.v[k*n+i], wantD[k*n+i])
						}
					}
				}
			}
		}
	})
}

// A parameter that is not a number makes the loss none, so that training sees it.
func TestMixtureNaN(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		for k := range 6 {
			one := make([]float32, 16)
			for i := range one {
				one[i] = 1
			}
			p, loss, dp := make([]float32, 6*16), make([]float32, 16), make([]float32, 6*16)
			p[k*16+3] = nan
			v.Mixture(loss, dp, p, make([]float32, 16), one, one, 2)
			for i, l := range loss {
				if (l != l) != (i == 3) {
					t.Errorf("parameter %d of value 3 is NaN: value %d costs %v", k, i, l)
				}
			}
		}
	})
}
