package rng

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"testing"
)

// The known answers of Random123's kat_vectors for philox4x32 with 10 rounds.
func TestPhiloxKnownAnswers(t *testing.T) {
	const f = 0xffffffff
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Philox(c.ctr, c.key); got != c.want {
			t.Errorf("Philox(%08x, %08x) = %08x, want %08x", c.ctr, c.key, got, c.want)
		}
	}
}

func TestStreamsAndCountersDiffer(t *testing.T) {
	seen := map[[4]uint32]string{}
	for _, seed := range []uint64{0, 1, 1 << 32} {
		for stream := StreamTimestep; stream <= StreamAugment; stream++ {
			for _, c := range [][2]uint32{{0, 0}, {1, 0}, {0, 1}} {
				for _, step := range []uint64{0, 1, 1 << 32} {
					name := fmt.Sprint(seed, stream, c, step)
					w := Block(seed, stream, c[0], c[1], step)
					if other, dup := seen[w]; dup {
						t.Errorf("%s and %s give the same words", name, other)
					}
					seen[w] = name
				}
			}
		}
	}
}

func TestUniformIsOpen(t *testing.T) {
	if got := Uniform(0); got != 0x1p-24 {
		t.Errorf("Uniform(0) = %g, want 2^-24", got)
	}
	if got := Uniform(0xffffffff); got != 1-0x1p-24 {
		t.Errorf("Uniform(max) = %.9g, want 1 - 2^-24", got)
	}
	if Below(0, 1000) != 0 || Below(0xffffffff, 1000) != 999 {
		t.Error("Below does not span 0..n-1")
	}
}

// Every argument that Box-Muller can meet, against the standard library in
// float64.
func TestElementaryAccuracy(t *testing.T) {
	step := uint32(1)
	if testing.Short() {
		step = 17
	}
	ulps := func(got float32, want float64) float64 {
		w := float32(want)
		ulp := float64(math.Nextafter32(float32(math.Abs(float64(w))), math.MaxFloat32)) - math.Abs(float64(w))
		return math.Abs(float64(got)-want) / ulp
	}
	var maxLog, maxSqrt, maxSin, maxCos float64
	for k := uint32(0); k < 1<<23; k += step {
		m := 2*k + 1
		u := Uniform(k << 9)
		l := logf(u)
		maxLog = max(maxLog, ulps(l, math.Log(float64(u))))
		maxSqrt = max(maxSqrt, ulps(sqrtf(float32(-2*l)), math.Sqrt(float64(-2*l))))
		s, c := sincosTurn(m)
		ws, wc := math.Sincos(2 * math.Pi * float64(u))
		maxSin = max(maxSin, math.Abs(float64(s)-ws))
		maxCos = max(maxCos, math.Abs(float64(c)-wc))
	}
	t.Logf("logf %.3f ulp, sqrtf %.3f ulp, sin %.3g, cos %.3g absolute", maxLog, maxSqrt, maxSin, maxCos)
	if maxLog > 1 || maxSqrt > 1 || maxSin > 1e-7 || maxCos > 1e-7 {
		t.Error("an elementary function is less accurate than its comment says")
	}
}

func TestNormalOfOneElement(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 5, 11} {
		dst := make([]float32, n)
		Normals(dst, 7, StreamNoise, 3, 1<<40+5)
		for e := range dst {
			if got := Normal(7, StreamNoise, uint32(e), 3, 1<<40+5); got != dst[e] {
				t.Errorf("n=%d: Normal(%d) = %g, Normals gave %g", n, e, got, dst[e])
			}
		}
	}
}

// The bits are the same on every platform: a fused multiply-add on arm64, or a
// change of a formula, would change this sum.
func TestNormalBitsArePinned(t *testing.T) {
	h := fnv.New64a()
	dst := make([]float32, 4096)
	for sample := range uint32(16) {
		Normals(dst, 42, StreamNoise, sample, 1)
		for _, v := range dst {
			b := math.Float32bits(v)
			h.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
		}
	}
	const want = 0xe2231112f3c9e2b7
	if got := h.Sum64(); got != want {
		t.Errorf("the hash of 65536 normals is %#x, want %#x", got, uint64(want))
	}
}

// A million normals: the distribution, its moments, and independence of
// neighbours. The bounds are 5 standard errors unless said otherwise; the
// numbers are fixed, so the test either always passes or always fails.
func TestNormalDistribution(t *testing.T) {
	const n = 1_000_000
	x := make([]float32, n)
	const per = 3072 // a 32x32 RGB image to a sample
	for i := 0; i < n; i += per {
		Normals(x[i:min(i+per, n)], 1, StreamNoise, uint32(i/per), 9)
	}
	var m1, m2, m3, m4, lag1, lag2, lagImage float64
	var in [4]float64
	for i, v := range x {
		f := float64(v)
		m1 += f / n
		m2 += f * f / n
		m3 += f * f * f / n
		m4 += f * f * f * f / n
		if i >= 1 {
			lag1 += f * float64(x[i-1]) / n
		}
		if i >= 2 {
			lag2 += f * float64(x[i-2]) / n
		}
		if i >= per {
			lagImage += f * float64(x[i-per]) / n
		}
		for k := 1; k <= 3; k++ {
			if math.Abs(f) <= float64(k) {
				in[k]++
			}
		}
	}
	within := func(name string, got, want, se float64) {
		t.Helper()
		t.Logf("%-22s %+.6f, expected %+.6f, %.2f standard errors off", name, got, want, math.Abs(got-want)/se)
		if math.Abs(got-want) > 5*se {
			t.Errorf("%s = %g, want %g +- %g", name, got, want, 5*se)
		}
	}
	root := math.Sqrt(n)
	// Var(x^k) = E x^2k - (E x^k)^2: 1, 2, 15, 96.
	within("mean", m1, 0, 1/root)
	within("second moment", m2, 1, math.Sqrt(2)/root)
	within("third moment", m3, 0, math.Sqrt(15)/root)
	within("fourth moment", m4, 3, math.Sqrt(96)/root)
	within("lag 1", lag1, 0, 1/root)
	within("lag 2", lag2, 0, 1/root)
	within("lag of one image", lagImage, 0, 1/root)
	for k, p := range []float64{0, 0.682689492, 0.954499736, 0.997300204} {
		if k > 0 {
			within(fmt.Sprintf("within %d sigma", k), in[k]/n, p, math.Sqrt(p*(1-p))/root)
		}
	}

	// Squares of the pair that shares a radius must be uncorrelated too.
	var sq float64
	for i := 0; i+1 < n; i += 2 {
		a, b := float64(x[i]), float64(x[i+1])
		sq += (a*a - 1) * (b*b - 1) / (n / 2)
	}
	within("squares within a pair", sq, 0, 2/math.Sqrt(n/2))

	// Kolmogorov-Smirnov: sqrt(n) D exceeds 1.95 with probability 1e-3.
	slices.Sort(x)
	var d float64
	for i, v := range x {
		f := 0.5 * math.Erfc(-float64(v)/math.Sqrt2)
		d = max(d, f-float64(i)/n, float64(i+1)/n-f)
	}
	t.Logf("Kolmogorov-Smirnov sqrt(n) D = %.3f (bound 1.95); range %g .. %g", root*d, x[0], x[n-1])
	if root*d > 1.95 {
		t.Errorf("Kolmogorov-Smirnov: sqrt(n) D = %g, want at most 1.95", root*d)
	}
}

func TestPermuteIsBijective(t *testing.T) {
	ns := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 100, 255, 256, 257, 1000, 1023, 1024, 1025, 2048, 4097, 50000}
	for _, n := range ns {
		for epoch := range uint64(3) {
			seen := make([]bool, n)
			for i := range n {
				p := Permute(i, n, 11, epoch)
				if p >= n || seen[p] {
					t.Fatalf("n=%d epoch %d: %d -> %d is outside or twice", n, epoch, i, p)
				}
				seen[p] = true
			}
		}
	}
	const huge = math.MaxUint32 // the largest n still ends and stays inside
	if p := Permute(huge-1, huge, 1, 1); p >= huge {
		t.Errorf("n=2^32-1: %d is outside", p)
	}
}

// Over epochs, each element visits each place equally often, and all orders of
// three elements occur.
func TestPermuteIsUniform(t *testing.T) {
	const epochs = 6000
	for _, n := range []uint32{2, 3, 5, 16, 50} {
		counts := make([]float64, n*n)
		orders := map[[3]uint32]float64{}
		for epoch := range uint64(epochs) {
			var o [3]uint32
			for i := range n {
				p := Permute(i, n, 5, epoch)
				counts[i*n+p]++
				if i < 3 {
					o[i] = p
				}
			}
			orders[o]++
		}
		chi := func(c float64, expect float64) float64 { return (c - expect) * (c - expect) / expect }
		var x2 float64
		for _, c := range counts {
			x2 += chi(c, epochs/float64(n))
		}
		df := float64((n - 1) * (n - 1))
		if x2 > df+5*math.Sqrt(2*df)+5 {
			t.Errorf("n=%d: chi squared of places %g at %g degrees of freedom", n, x2, df)
		}
		if n == 3 {
			x2 = 0
			for _, c := range orders {
				x2 += chi(c, epochs/6.0)
			}
			if len(orders) != 6 || x2 > 20.5 { // 5 degrees of freedom, p = 1e-3
				t.Errorf("orders of three: %v, chi squared %g", orders, x2)
			}
		}
	}
	// An epoch's order is not the one before it.
	same := 0
	for i := range uint32(1000) {
		if Permute(i, 1000, 5, 1) == Permute(i, 1000, 5, 2) {
			same++
		}
	}
	if same > 10 {
		t.Errorf("%d of 1000 elements stayed in place between epochs", same)
	}
}

func BenchmarkNormals(b *testing.B) {
	dst := make([]float32, 3072)
	b.SetBytes(int64(len(dst) * 4))
	for i := range b.N {
		Normals(dst, 1, StreamNoise, uint32(i), 1)
	}
}

func BenchmarkPermute(b *testing.B) {
	for i := range b.N {
		Permute(uint32(i)%50000, 50000, 1, 1)
	}
}
