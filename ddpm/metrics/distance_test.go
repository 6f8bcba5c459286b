package metrics

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func cloud(r *rand.Rand, n, d int, shift, scale float64) Cloud {
	c := Cloud{N: n, D: d, V: make([]float64, n*d)}
	for i := range c.V {
		c.V[i] = shift + scale*(1+float64(i%d)/3)*r.NormFloat64()
	}
	return c
}

func quiet(float64) {}

// naiveFrechet takes the square root of C1^{1/2} C2 C1^{1/2} by eigenvectors.
func naiveFrechet(a, b Cloud) float64 {
	cov := func(c Cloud) (m []float64, s *mat.SymDense) {
		m, s = make([]float64, c.D), mat.NewSymDense(c.D, nil)
		for i := range c.N {
			for k, v := range c.Row(i) {
				m[k] += v / float64(c.N)
			}
		}
		for k := range c.D {
			for l := k; l < c.D; l++ {
				sum := 0.0
				for i := range c.N {
					sum += (c.Row(i)[k] - m[k]) * (c.Row(i)[l] - m[l])
				}
				s.SetSym(k, l, sum/float64(c.N-1))
			}
		}
		return m, s
	}
	root := func(s mat.Symmetric) *mat.Dense {
		var e mat.EigenSym
		e.Factorize(s, true)
		var v, w, out mat.Dense
		e.VectorsTo(&v)
		values := e.Values(nil)
		w.CloneFrom(&v)
		for j, x := range values {
			for i := range values {
				w.Set(i, j, v.At(i, j)*math.Sqrt(max(x, 0)))
			}
		}
		out.Mul(&w, v.T())
		return &out
	}
	ma, ca := cov(a)
	mb, cb := cov(b)
	d := mat.Trace(ca) + mat.Trace(cb)
	for k := range ma {
		d += (ma[k] - mb[k]) * (ma[k] - mb[k])
	}
	var inner mat.Dense
	ra := root(ca)
	inner.Mul(ra, cb)
	inner.Mul(&inner, ra)
	sym := mat.NewSymDense(a.D, nil)
	for i := range a.D {
		for j := i; j < a.D; j++ {
			sym.SetSym(i, j, inner.At(i, j))
		}
	}
	return d - 2*mat.Trace(root(sym))
}

func TestFrechetIsItsFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []struct{ a, b, d int }{{40, 60, 5}, {40, 60, 50}, {20, 200, 30}, {17, 17, 16}} {
		a, b := cloud(r, n.a, n.d, 0, 1), cloud(r, n.b, n.d, 0.5, 1.5)
		got, err := Frechet(t.Context(), &Work{}, a, b)
		if want := naiveFrechet(a, b); err != nil || math.Abs(got.Value/want-1) > 1e-6 {
			t.Errorf("%v: %v, want %v (%v)", n, got.Value, want, err)
		}
		if !(got.Err > 0) || got.N != min(n.a, n.b) {
			t.Errorf("%v: %+v", n, got)
		}
	}
	a := cloud(r, 100, 6, 0, 1)
	if got, err := Frechet(t.Context(), &Work{}, a, a); err != nil || math.Abs(got.Value) > 1e-8 {
		t.Errorf("to itself: %v, %v", got, err)
	}
	if _, err := Frechet(t.Context(), &Work{}, cloud(r, 3, 6, 0, 1), a); err == nil {
		t.Error("three pictures are enough")
	}
}

// The jackknife is right where the answer is known: of a mean it is the standard error, and over many clouds the scatter of the
// Fréchet distance.
func TestJackknife(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var values, errs []float64
	for range 60 {
		got, err := Frechet(t.Context(), &Work{}, cloud(r, 200, 3, 0, 1), cloud(r, 200, 3, 1, 1))
		if err != nil {
			t.Fatal(err)
		}
		values, errs = append(values, got.Value), append(errs, got.Err)
	}
	scatter := mean(values).Err * math.Sqrt(60)
	if said := mean(errs).Value; said < scatter/1.5 || said > scatter*1.5 {
		t.Errorf("the distance scatters by %v, its error says %v", scatter, said)
	}
}

func naiveKernel(a, b Cloud) float64 {
	k := func(x, y []float64) float64 {
		s := 0.0
		for i := range x {
			s += x[i] * y[i]
		}
		return math.Pow(s/float64(len(x))+1, 3)
	}
	var aa, bb, ab float64
	for i := range a.N {
		for j := range a.N {
			if i != j {
				aa += k(a.Row(i), a.Row(j)) / float64(a.N*(a.N-1))
			}
		}
		for j := range b.N {
			ab += k(a.Row(i), b.Row(j)) / float64(a.N*b.N)
		}
	}
	for i := range b.N {
		for j := range b.N {
			if i != j {
				bb += k(b.Row(i), b.Row(j)) / float64(b.N*(b.N-1))
			}
		}
	}
	return aa + bb - 2*ab
}

func TestKernelIsItsFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	a, b := cloud(r, 37, 5, 0, 1), cloud(r, 50, 5, 0.3, 1)
	got, err := Kernel(t.Context(), &Work{}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if want := naiveKernel(a, b); math.Abs(got.Value-want) > 1e-9*math.Abs(want) {
		t.Errorf("%v, want %v", got.Value, want)
	}
	without := make([]float64, jackknifeGroups)
	for g := range without {
		without[g] = naiveKernel(a.leaveOut(g), b.leaveOut(g))
	}
	if want := jackknife(without); math.Abs(got.Err/want-1) > 1e-9 {
		t.Errorf("error %v, want %v", got.Err, want)
	}
}

func TestPrecisionAndRecall(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	real := cloud(r, 64, 2, 0, 1)
	some := Cloud{N: 64, D: 2} // one real picture again and again, a little changed: all are real, and most real ones are missed
	for range 64 {
		some.V = append(some.V, real.Row(7)[0]+1e-9*r.NormFloat64(), real.Row(7)[1]+1e-9*r.NormFloat64())
	}
	p, rec, err := PrecisionRecall(t.Context(), &Work{}, real, some)
	if err != nil || p.Value != 1 || rec.Value > 2./64 || !(p.Err > 0) {
		t.Errorf("precision %+v, recall %+v, %v", p, rec, err)
	}
	if p, rec, _ = PrecisionRecall(t.Context(), &Work{}, real, real); p.Value != 1 || rec.Value != 1 {
		t.Errorf("to itself: %+v, %+v", p, rec)
	}
	if p, rec, _ = PrecisionRecall(t.Context(), &Work{}, real, cloud(r, 64, 2, 1000, 1)); p.Value != 0 || rec.Value != 0 {
		t.Errorf("far away: %+v, %+v", p, rec)
	}
}

// noise are pictures of uniform bytes, blurred or not.
func noise(r *rand.Rand, n, size, C int, smooth bool) Images {
	m := Images{N: n, Size: size, Channels: C, Pixels: make([]byte, n*size*size*C)}
	for i := range m.Pixels {
		m.Pixels[i] = byte(r.IntN(256))
	}
	if smooth {
		for i := range n {
			for k, v := range blur(m.floats(i, i+1), size, C, binomial) {
				m.At(i)[k] = byte(127.5 + 127.5*v)
			}
		}
	}
	return m
}

func TestSlicedWasserstein(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	ctx := context.Background()
	a := noise(r, 16, 32, 1, false)
	levels, same, err := SlicedWasserstein(ctx, &Work{}, a, a, 1)
	if err != nil || same.Value != 0 || len(levels) != 2 {
		t.Errorf("to itself: %+v, levels %+v, %v", same, levels, err)
	}
	_, alike, err := SlicedWasserstein(ctx, &Work{}, a, noise(r, 16, 32, 1, false), 1)
	if err != nil || !(alike.Value > 0) || !(alike.Err > 0) || alike.N != 16 {
		t.Errorf("alike: %+v, %v", alike, err)
	}
	_, other, err := SlicedWasserstein(ctx, &Work{}, a, noise(r, 20, 32, 1, true), 1)
	if err != nil || !(other.Value > 1.25*alike.Value) || other.N != 16 {
		t.Errorf("blurred: %+v, alike: %+v, %v", other, alike, err)
	}
}

// The levels of a pyramid add up to the picture, and sorted values are as far apart as the best matching.
func TestPyramidAndMatching(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	m := noise(r, 1, 32, 3, false)
	p := pyramids(m)
	up := pyramidUp(p[1][0], 16, 3)
	for i, v := range m.floats(0, 1) {
		if d := math.Abs(float64(v - p[0][0][i] - up[i])); d > 1e-6 {
			t.Fatalf("value %d is off by %g", i, d)
		}
	}
	a, b := []float32{3, 1, 2}, []float32{5, 9, 0}
	best := math.Inf(1)
	for _, o := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		sum := 0.0
		for i, j := range o {
			sum += math.Abs(float64(a[i]-b[j])) / 3
		}
		best = min(best, sum)
	}
	if got := distance1(a, b); math.Abs(got-best) > 1e-12 {
		t.Errorf("%v, want %v", got, best)
	}
}

// A copy in the training set is found, also a mirrored one.
func TestNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	training := noise(r, 40, 8, 3, false)
	some := noise(r, 20, 8, 3, false)
	copy(some.At(3), training.At(17))
	copy(some.At(5), mirrorImage(training.At(30), 8, 3))
	list, err := Nearest(context.Background(), some, 0, 20, training, true, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if n := list[3]; n.Training != 17 || n.Distance != 0 || n.Mirrored {
		t.Errorf("the copy: %+v", n)
	}
	if n := list[5]; n.Training != 30 || n.Distance != 0 || !n.Mirrored {
		t.Errorf("the mirrored copy: %+v", n)
	}
	for i, n := range list { // naively
		best := math.Inf(1)
		for j := range training.N {
			for _, y := range [][]byte{training.At(j), mirrorImage(training.At(j), 8, 3)} {
				sum := 0.0
				for k, v := range some.At(i) {
					d := (float64(v) - float64(y[k])) / 127.5
					sum += d * d / float64(some.Per())
				}
				best = min(best, sum)
			}
		}
		if math.Abs(n.Distance-best) > 1e-12 {
			t.Errorf("%d: %v, want %v", i, n.Distance, best)
		}
	}
	pairs := Pairs(some, training, list)
	if pairs.N != 40 || string(pairs.At(0)) != string(pairs.At(1)) || string(pairs.At(2)) != string(pairs.At(3)) || string(pairs.At(4)) == string(pairs.At(5)) {
		t.Error("the pairs are not side by side, nearest first")
	}
}

// A distance tells how far it is, stops when it is told to, and goes on from there to the same numbers.
func TestDistancesStop(t *testing.T) {
	defer func(was int) { pieceWork = was }(pieceWork)
	pieceWork = 1
	r := rand.New(rand.NewPCG(1, 2))
	a, b := cloud(r, 300, 4, 0, 1), cloud(r, 200, 4, 1, 1)
	pa, pb := noise(r, 16, 32, 1, false), noise(r, 16, 32, 1, true)
	for name, f := range map[string]func(ctx context.Context, w *Work) ([]Estimate, error){
		"kernel": func(ctx context.Context, w *Work) ([]Estimate, error) {
			d, err := Kernel(ctx, w, a, b)
			return []Estimate{d}, err
		},
		"precision": func(ctx context.Context, w *Work) ([]Estimate, error) {
			p, r, err := PrecisionRecall(ctx, w, a, b)
			return []Estimate{p, r}, err
		},
		"frechet": func(ctx context.Context, w *Work) ([]Estimate, error) {
			d, err := Frechet(ctx, w, a, b)
			return []Estimate{d}, err
		},
		"swd": func(ctx context.Context, w *Work) ([]Estimate, error) {
			levels, d, err := SlicedWasserstein(ctx, w, pa, pb, 1)
			return append(levels, d), err
		},
	} {
		want, err := f(t.Context(), &Work{})
		if err != nil {
			t.Fatal(err)
		}
		var last Progress
		words := 0
		w := &Work{Dir: t.TempDir()}
		ctx, cancel := context.WithCancel(t.Context())
		w.OnProgress = func(p Progress) {
			if p.Task != last.Task {
				last = Progress{}
			}
			if words++; p.Done < last.Done || p.Done > p.Total {
				t.Errorf("%s: %v done of %v after %v", name, p.Done, p.Total, last.Done)
			}
			if last = p; p.Done >= 2 {
				cancel()
			}
		}
		if _, err := f(ctx, w); !errors.Is(err, context.Canceled) || words > 5 {
			t.Errorf("%s: stopped, it ends with %v after %d words", name, err, words)
		}
		kept := 0
		w.OnProgress = func(p Progress) { kept = max(kept, p.Kept) }
		got, err := f(t.Context(), w)
		if err != nil || kept < 1 || !slices.Equal(got, want) {
			t.Errorf("%s: gone on with %d pieces: %+v, want %+v (%v)", name, kept, got, want, err)
		}
		kept = 0
		w.OnProgress = func(p Progress) { kept += int(p.Total) - p.Kept }
		if again, err := f(t.Context(), w); err != nil || kept != 0 || !slices.Equal(again, want) {
			t.Errorf("%s: again, %d pieces were not kept: %+v, want %+v (%v)", name, kept, again, want, err)
		}
	}
}
