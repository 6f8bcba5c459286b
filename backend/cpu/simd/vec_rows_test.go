package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// image is an array of pixels; what lies between its rows is nan.
type image struct {
	guarded
	c, stride, pixels int
}

func newImage(r *rand.Rand, c, gap, pixels int) image {
	im := image{c: c, stride: c + gap, pixels: pixels}
	im.guarded = newGuarded(r, max((pixels-1)*im.stride+c, 0))
	for i := range im.v {
		if i%im.stride >= c {
			im.v[i] = nan
		}
	}
	return im
}

func (im image) at(p, c int) float64 { return float64(im.v[p*im.stride+c]) }

// clone returns a copy that shares nothing.
func (im image) clone() image {
	im.whole = append([]float32{}, im.whole...)
	im.v = im.whole[guard : len(im.whole)-guard]
	return im
}

// intact also looks between the rows.
func (im image) intact(t *testing.T, what string) {
	t.Helper()
	im.guarded.intact(t, what)
	for i, x := range im.v {
		if i%im.stride >= im.c && math.Float32bits(x) != math.Float32bits(nan) {
			t.Fatalf("%s: written between the rows at %d", what, i)
		}
	}
}

// rowCase is one shape of the tests of this file.
type rowCase struct {
	c, gap, pixels int
	silu           bool
}

// rowCases runs f for every level, shape and activation.
func rowCases(t *testing.T, f func(t *testing.T, v *Vec, r *rand.Rand, k rowCase)) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, c := range []int{1, 3, 4, 8, 12, 16, 30, 32, 48, 64, 130} {
			for _, pixels := range []int{0, 1, 2, 37, 150} {
				for _, gap := range []int{0, 1, 7} {
					for _, silu := range []bool{false, true} {
						f(t, v, r, rowCase{c, gap, pixels, silu})
					}
				}
			}
		}
	})
}

// sums are channels of float64 sums of terms, and of the terms' magnitudes.
type sums struct{ want, mag []float64 }

// newSums starts at what the kernel adds to.
func newSums(start []float32) sums {
	s := sums{make([]float64, len(start)), make([]float64, len(start))}
	for c, x := range start {
		s.add(c, float64(x), math.Abs(float64(x)))
	}
	return s
}

func (s sums) add(c int, x, mag float64) {
	s.want[c] += x
	s.mag[c] += mag
}

func (s sums) check(t *testing.T, what string, got guarded, tol float64) {
	t.Helper()
	got.intact(t, what)
	for c, x := range got.v {
		if !near(x, s.want[c], tol, s.mag[c]) {
			t.Fatalf("%s: channel %d is %g, want %g", what, c, x, s.want[c])
		}
	}
}

func TestVecChannelSums(t *testing.T) {
	rowCases(t, func(t *testing.T, v *Vec, r *rand.Rand, k rowCase) {
		x := newImage(r, k.c, k.gap, k.pixels)
		s, q, one, shift := newGuarded(r, k.c), newGuarded(r, k.c), newGuarded(r, k.c), newGuarded(r, k.c)
		ws, wq, wone := newSums(s.v), newSums(q.v), newSums(one.v)
		for p := range k.pixels {
			for c := range k.c {
				y, d := x.at(p, c), x.at(p, c)-float64(shift.v[c])
				ws.add(c, d, math.Abs(d))
				wq.add(c, d*d, d*d)
				wone.add(c, y, math.Abs(y))
			}
		}
		v.ChannelSums(s.v, q.v, shift.v, x.v, k.pixels, x.stride)
		v.RowSums(one.v, x.v, x.stride, k.pixels)
		what := fmt.Sprintf("%+v", k)
		ws.check(t, what+" sum", s, 1e-6)
		wq.check(t, what+" sumsq", q, 1e-6)
		wone.check(t, what+" RowSums", one, 1e-6)
	})
}

// A large mean over many pixels: sums must not be one long float32 chain.
func TestVecChannelSumsManyPixels(t *testing.T) {
	const pixels, c = 1 << 16, 32
	x := make([]float32, pixels*c)
	for i := range x {
		x[i] = 3.3
	}
	vecLevels(t, func(t *testing.T, v *Vec) {
		s, q := make([]float32, c), make([]float32, c)
		v.ChannelSums(s, q, make([]float32, c), x, pixels, c)
		one := float64(x[0])
		for i := range c {
			if !near(s[i], pixels*one, 2e-5, pixels*one) || !near(q[i], pixels*one*one, 2e-5, pixels*one*one) {
				t.Fatalf("sums %g and %g, want %g and %g", s[i], q[i], pixels*one, pixels*one*one)
			}
		}
	})
}

// Means and squared differences of numbers whose mean is large beside their deviation, as accurate as means of 1000 can be written (6e-5).
func TestVecMoments(t *testing.T) {
	rowCases(t, func(t *testing.T, v *Vec, r *rand.Rand, k rowCase) {
		if k.pixels == 0 {
			return
		}
		x, s, q := newImage(r, k.c, k.gap, k.pixels), newGuarded(r, k.c), newGuarded(r, k.c)
		for i := range x.v {
			x.v[i] += 1000
		}
		moments := func(s, q, x []float32, pixels int) {
			clear(s)
			clear(q)
			v.ChannelSums(s, q, x[:k.c], x, pixels, k.c+k.gap)
			v.FinishMoments(s, q, x[:k.c], pixels)
		}
		first := (k.pixels + 2) / 3
		if moments(s.v, q.v, x.v, first); first < k.pixels {
			m, m2 := newGuarded(r, k.c), newGuarded(r, k.c)
			moments(m.v, m2.v, x.v[first*x.stride:], k.pixels-first)
			v.MergeMoments(s.v, q.v, first, m.v, m2.v, k.pixels-first)
		}
		s.intact(t, "Moments")
		q.intact(t, "Moments")
		// A channel is the same alone, to the last bit.
		one, one2 := newGuarded(r, 1), newGuarded(r, 1)
		all, all2 := newGuarded(r, k.c), newGuarded(r, k.c)
		v.Moments(all.v, all2.v, x.v, x.stride, k.pixels, k.pixels*x.stride, 1)
		v.Moments(one.v, one2.v, x.v[k.c-1:], x.stride, k.pixels, k.pixels*x.stride, 1)
		if one.v[0] != all.v[k.c-1] || one2.v[0] != all2.v[k.c-1] {
			t.Fatalf("%+v: the last channel has mean %g and %g, alone %g and %g", k, all.v[k.c-1], all2.v[k.c-1], one.v[0], one2.v[0])
		}
		// The same from rows, of which the last may be left over, in one call.
		if rows := min(3, k.pixels); k.pixels%rows == 0 {
			m, m2 := newGuarded(r, k.c), newGuarded(r, k.c)
			v.Moments(m.v, m2.v, x.v, x.stride, k.pixels/rows, k.pixels/rows*x.stride, rows)
			m.intact(t, "Moments")
			m2.intact(t, "Moments")
			for c := range k.c {
				if !near(m.v[c], float64(s.v[c]), 2e-7, 1000) || !near(m2.v[c], float64(q.v[c]), 1e-6, float64(q.v[c])+100*float64(k.pixels)) {
					t.Fatalf("%+v: channel %d has mean %g and %g by rows, %g and %g in two parts", k, c, m.v[c], m2.v[c], s.v[c], q.v[c])
				}
			}
		}
		for c := range k.c {
			mean, m2 := 0.0, 0.0
			for p := range k.pixels {
				mean += x.at(p, c) / float64(k.pixels)
			}
			for p := range k.pixels {
				m2 += (x.at(p, c) - mean) * (x.at(p, c) - mean)
			}
			if shift := x.at(0, c) - mean; !near(s.v[c], mean, 1e-7, 1000) || !near(q.v[c], m2, 1e-6, m2+float64(k.pixels)*(shift*shift+100)) {
				t.Fatalf("%+v: channel %d has mean %g and %g, want %g and %g", k, c, s.v[c], q.v[c], mean, m2)
			}
		}
	})
}

func TestVecAddRow(t *testing.T) {
	rowCases(t, func(t *testing.T, v *Vec, r *rand.Rand, k rowCase) {
		x, row := newImage(r, k.c, k.gap, k.pixels), newGuarded(r, k.c)
		before := x.clone()
		for _, dst := range []image{newImage(r, k.c, 5, k.pixels), x} {
			v.AddRow(dst.v, dst.stride, x.v, x.stride, row.v, k.pixels)
			dst.intact(t, fmt.Sprintf("%+v", k))
			for p := range k.pixels {
				for c := range k.c {
					if want := before.at(p, c) + float64(row.v[c]); !near(float32(dst.at(p, c)), want, 0x1p-24, math.Abs(want)) {
						t.Fatalf("%+v: pixel %d channel %d is %g, want %g", k, p, c, dst.at(p, c), want)
					}
				}
			}
		}
	})
}

func TestVecAffineSiLU(t *testing.T) {
	rowCases(t, func(t *testing.T, v *Vec, r *rand.Rand, k rowCase) {
		x, a, b := newImage(r, k.c, k.gap, k.pixels), newGuarded(r, k.c), newGuarded(r, k.c)
		before := x.clone()
		for _, dst := range []image{newImage(r, k.c, 5, k.pixels), x} {
			v.AffineSiLU(dst.v, dst.stride, x.v, x.stride, a.v, b.v, k.pixels, k.silu)
			dst.intact(t, fmt.Sprintf("%+v", k))
			for p := range k.pixels {
				for c := range k.c {
					ax, b := float64(a.v[c])*before.at(p, c), float64(b.v[c])
					want := ax + b
					if k.silu {
						want *= sigmoid(want)
					}
					// An error in z passes through silu with a slope below 1.1.
					if !near(float32(dst.at(p, c)), want, 5e-7, math.Abs(ax)+math.Abs(b)) {
						t.Fatalf("%+v: pixel %d channel %d is %g, want %g", k, p, c, dst.at(p, c), want)
					}
				}
			}
		}
	})
}

func TestVecAffineSiLUGrad(t *testing.T) {
	rowCases(t, func(t *testing.T, v *Vec, r *rand.Rand, k rowCase) {
		x, dy := newImage(r, k.c, k.gap, k.pixels), newImage(r, k.c, 3, k.pixels)
		var co [5]guarded // a, b, ca, cb, cc
		for i := range co {
			co[i] = newGuarded(r, k.c)
		}
		a, b := co[0].v, co[1].v
		what := fmt.Sprintf("%+v", k)
		// dz returns the gradient at z and the size of its error's parts: its
		// second derivative is below 0.5, and z is off by |z| roundings.
		xIn, dyIn := x.clone(), dy.clone()
		dz := func(p, c int) (d, mag float64) {
			z, dy := float64(a[c])*xIn.at(p, c)+float64(b[c]), dyIn.at(p, c)
			if !k.silu {
				return dy, math.Abs(dy)
			}
			return dy * siluGrad64(z), math.Abs(dy) * (2 + math.Abs(float64(b[c])))
		}

		s1, s2 := newGuarded(r, k.c), newGuarded(r, k.c)
		w1, w2 := newSums(s1.v), newSums(s2.v)
		for p := range k.pixels {
			for c := range k.c {
				d, mag := dz(p, c)
				w1.add(c, d, mag)
				w2.add(c, d*x.at(p, c), mag*math.Abs(x.at(p, c)))
			}
		}
		out := newImage(r, k.c, 2, k.pixels)
		v.AffineSiLUGradSums(s1.v, s2.v, out.v, out.stride, x.v, x.stride, dy.v, dy.stride, a, b, k.pixels, k.silu)
		w1.check(t, what+" s1", s1, 1e-6)
		w2.check(t, what+" s2", s2, 1e-6)
		out.intact(t, what+" dz")
		for p := range k.pixels {
			for c := range k.c {
				if want, mag := dz(p, c); k.silu && !near(float32(out.at(p, c)), want, 1e-6, mag) {
					t.Fatalf("%s: pixel %d channel %d: dz is %g, want %g", what, p, c, out.at(p, c), want)
				}
			}
		}

		for _, out := range []string{"dst", "x", "dy"} {
			x, dy := xIn.clone(), dyIn.clone()
			dst := map[string]image{"dst": newImage(r, k.c, 5, k.pixels), "x": x, "dy": dy}[out]
			v.AffineGrad(dst.v, dst.stride, x.v, x.stride, dy.v, dy.stride, co[2].v, co[3].v, co[4].v, k.pixels)
			dst.intact(t, what)
			for p := range k.pixels {
				for c := range k.c {
					ca, cb, cc := float64(co[2].v[c]), float64(co[3].v[c]), float64(co[4].v[c])
					want := ca*dyIn.at(p, c) + cb*xIn.at(p, c) + cc
					mag := math.Abs(ca*dyIn.at(p, c)) + math.Abs(cb*xIn.at(p, c)) + math.Abs(cc)
					if !near(float32(dst.at(p, c)), want, 1e-6, mag) {
						t.Fatalf("%s into %s: pixel %d channel %d is %g, want %g", what, out, p, c, dst.at(p, c), want)
					}
				}
			}
		}
	})
}

func TestCopyAddRows(t *testing.T) {
	rowCases(t, func(t *testing.T, v *Vec, r *rand.Rand, k rowCase) {
		x, dst, sum := newImage(r, k.c, k.gap, k.pixels), newImage(r, k.c, 3, k.pixels), newImage(r, k.c, k.gap, k.pixels)
		before := sum.clone()
		v.CopyRows(dst.v, dst.stride, x.v, x.stride, k.c, k.pixels)
		v.AddRows(sum.v, sum.stride, x.v, x.stride, k.c, k.pixels)
		dst.intact(t, "CopyRows")
		sum.intact(t, "AddRows")
		for p := range k.pixels {
			for c := range k.c {
				if dst.at(p, c) != x.at(p, c) || sum.at(p, c) != float64(float32(before.at(p, c)+x.at(p, c))) {
					t.Fatalf("%+v: pixel %d, channel %d: copied %v of %v, %v + it is %v", k, p, c, dst.at(p, c), x.at(p, c), before.at(p, c), sum.at(p, c))
				}
			}
		}
	})
}
