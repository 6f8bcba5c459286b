package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestVecSums(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range append(vecLens, sumBlock-1, sumBlock, sumBlock+1, 3*sumBlock+5) {
			a, b := newGuarded(r, n).v, newGuarded(r, n).v
			var sum, mag, sq, diff float64
			for i := range a {
				x, d := float64(a[i]), float64(a[i])-float64(b[i])
				sum, mag, sq, diff = sum+x, mag+math.Abs(x), sq+x*x, diff+d*d
			}
			check := func(name string, got, want, mag float64) {
				if !(math.Abs(got-want) <= 3e-7*mag) {
					t.Fatalf("n=%d: %s is %g, want %g", n, name, got, want)
				}
			}
			check("Sum", v.Sum(a), sum, mag)
			check("SumSq", v.SumSq(a), sq, sq)
			check("SumSqDiff", v.SumSqDiff(a, b), diff, diff)
		}
	})
}

// The errors of equal summands all have the same sign. In float32 alone this
// sum would be wrong by 1e-3 or more.
func TestVecSumsOfManyEqual(t *testing.T) {
	x := make([]float32, 1<<22)
	for i := range x {
		x[i] = 0.1
	}
	want := float64(len(x)) * float64(x[0])
	vecLevels(t, func(t *testing.T, v *Vec) {
		rel := math.Abs(v.Sum(x)/want - 1)
		sq := math.Abs(v.SumSq(x)/(want*float64(x[0])) - 1)
		t.Logf("relative errors %.2g and %.2g", rel, sq)
		if !(rel < 5e-6) || !(sq < 5e-6) {
			t.Errorf("relative errors %g and %g, want at most 5e-6", rel, sq)
		}
	})
}

func TestVecHasNonFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	vecLevels(t, func(t *testing.T, v *Vec) {
		for _, n := range append(vecLens, 2*sumBlock+3) {
			s := newGuarded(rand.New(rand.NewPCG(1, 2)), n) // the NaN around it must not count
			if n > 0 {
				s.v[0], s.v[n-1] = math.MaxFloat32, -math.MaxFloat32
			}
			if v.HasNonFinite(s.v) {
				t.Fatalf("n=%d: finite numbers taken for others", n)
			}
			for i := 0; i < n; i += 1 + n/100 {
				for _, bad := range []float32{inf, -inf, nan} {
					old := s.v[i]
					s.v[i] = bad
					if !v.HasNonFinite(s.v) {
						t.Fatalf("n=%d: %g at %d not seen", n, bad, i)
					}
					s.v[i] = old
				}
			}
		}
	})
}

func TestVecSoftmax(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, n := range vecLens {
			for _, c := range []struct{ scale, shift float32 }{{0.125, 0}, {1, -300}, {-2, 50}, {3, 1e4}} {
				x, dp, ds := newGuarded(r, n), newGuarded(r, n), newGuarded(r, n)
				want := make([]float64, n)
				top, sum := math.Inf(-1), 0.0
				for i := range x.v {
					x.v[i] += c.shift
					top = max(top, float64(c.scale*x.v[i]))
				}
				for i, x := range x.v {
					want[i] = math.Exp(float64(c.scale*x) - top)
					sum += want[i]
				}
				s := append([]float32{}, x.v...)
				lse := v.SoftmaxRow(x.v, c.scale)
				x.intact(t, "SoftmaxRow")
				if n > 0 && !near(lse, top+math.Log(sum), 2e-7, math.Abs(top)+math.Log(sum)+1) {
					t.Fatalf("n=%d %v: the logarithm of the sum is %g, want %g", n, c, lse, top+math.Log(sum))
				}
				for i, got := range x.v {
					// 5e-7 for exp and sums, and the rounding of scale*x - top.
					if !near(got, want[i]/sum, 1e-6, want[i]/sum) {
						t.Fatalf("n=%d %v: element %d is %g, want %g", n, c, i, got, want[i]/sum)
					}
				}
				const dot = 0.25
				in := append([]float32{}, dp.v...)
				copy(ds.v, s)
				v.SoftmaxRowBack(ds.v, dp.v, c.scale, lse, dot)
				ds.intact(t, "SoftmaxRowBack")
				dp.intact(t, "SoftmaxRowBack")
				for i := range s {
					x := float64(c.scale*s[i]) - float64(lse)
					p := math.Exp(max(x, expMin))
					if !near(ds.v[i], p, 5e-7+2e-7*math.Abs(x), p) {
						t.Fatalf("n=%d %v: weight %d again is %g, want %g", n, c, i, ds.v[i], p)
					}
					p = float64(c.scale) * float64(ds.v[i])
					if !near(dp.v[i], p*(float64(in[i])-dot), 1e-6, math.Abs(p)*(math.Abs(float64(in[i]))+dot)) {
						t.Fatalf("n=%d %v: gradient %d is %g, want %g", n, c, i, dp.v[i], p*(float64(in[i])-dot))
					}
				}
			}
		}
	})
}

func TestVecSoftmaxNaN(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		for i := range 40 {
			x := make([]float32, 40)
			x[i] = nan
			v.SoftmaxRow(x, 1)
			for j, y := range x {
				if y == y {
					t.Fatalf("NaN at %d: element %d is %g", i, j, y)
				}
			}
		}
	})
}

// Several steps against float64, from zero moments, with and without ema.
func TestVecAdamW(t *testing.T) {
	const steps = 5
	vecLevels(t, func(t *testing.T, v *Vec) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, n := range vecLens {
			for _, withEMA := range []bool{true, false} {
				p, m, v2, ema := newGuarded(r, n), newGuarded(r, n), newGuarded(r, n), newGuarded(r, n)
				clear(m.v)
				clear(v2.v)
				copy(ema.v, p.v)
				type state struct{ p, m, v, ema float64 }
				want := make([]state, n)
				for i, x := range p.v {
					want[i] = state{p: float64(x), ema: float64(x)}
				}
				for step := 1; step <= steps; step++ {
					grad := newGuarded(r, n)
					s := AdamScalars{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1,
						Bias1: 1 - math.Pow(0.9, float64(step)), Bias2: 1 - math.Pow(0.999, float64(step)),
						ClipScale: 0.5, EMADecay: 0.995}
					for i, g := range grad.v {
						w, g := &want[i], float64(g)*s.ClipScale
						w.m = s.Beta1*w.m + (1-s.Beta1)*g
						w.v = s.Beta2*w.v + (1-s.Beta2)*g*g
						w.p = w.p*(1-s.LR*s.WeightDecay) - s.LR/s.Bias1*w.m/(math.Sqrt(w.v/s.Bias2)+s.Eps)
						w.ema = w.ema*s.EMADecay + w.p*(1-s.EMADecay)
					}
					if withEMA {
						v.AdamW(p.v, grad.v, m.v, v2.v, ema.v, s)
					} else {
						v.AdamW(p.v, grad.v, m.v, v2.v, nil, s)
					}
				}
				for _, s := range []guarded{p, m, v2, ema} {
					s.intact(t, "AdamW")
				}
				for i, w := range want {
					if !withEMA {
						w.ema = float64(ema.v[i])
					}
					if !near(p.v[i], w.p, 3e-7, math.Abs(w.p)+0.1) || !near(m.v[i], w.m, 3e-7, 1) ||
						!near(v2.v[i], w.v, 1e-6, w.v) || !near(ema.v[i], w.ema, 3e-7, math.Abs(w.ema)+0.1) {
						t.Fatalf("n=%d: element %d: p %g m %g v %g ema %g, want %+v",
							n, i, p.v[i], m.v[i], v2.v[i], ema.v[i], w)
					}
				}
			}
		}
	})
}
