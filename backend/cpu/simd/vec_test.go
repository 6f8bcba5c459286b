package simd

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// vecLens has every kind of tail and more than one group of vectors.
var vecLens = func() (n []int) {
	for k := range 71 {
		n = append(n, k)
	}
	return append(n, 1000, 4097)
}()

// vecLevels runs a test at every level of this machine.
func vecLevels(t *testing.T, f func(t *testing.T, v *Vec)) {
	for _, l := range Supported() {
		t.Run(l.String(), func(t *testing.T) { f(t, VecFor(l)) })
	}
}

const guard = 40 // elements before and after a guarded slice

// nan is what surrounds guarded slices: a kernel that reads it shows it in its
// results, one that writes it is seen by intact.
var nan = math.Float32frombits(0x7fc01234)

// guarded is a slice inside a larger one.
type guarded struct {
	v, whole []float32
}

// newGuarded returns n random normals, surrounded.
func newGuarded(r *rand.Rand, n int) guarded {
	w := make([]float32, n+2*guard)
	for i := range w {
		w[i] = nan
	}
	v := w[guard : guard+n : guard+n]
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return guarded{v, w}
}

// intact fails the test if the surroundings have changed.
func (s guarded) intact(t *testing.T, what string) {
	t.Helper()
	for i, x := range s.whole {
		if (i < guard || i >= guard+len(s.v)) && math.Float32bits(x) != math.Float32bits(nan) {
			t.Fatalf("%s: element %d of %d was written", what, i-guard, len(s.v))
		}
	}
}

// near reports whether |got-want| <= tol*mag; NaN is not near anything.
func near(got float32, want, tol, mag float64) bool {
	return math.Abs(float64(got)-want) <= tol*mag+1e-37
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func siluGrad64(x float64) float64 { return sigmoid(x) * (1 + x*sigmoid(-x)) }

// siluGradMag is what the error of siluGrad is relative to: the sum of the
// magnitudes of its terms.
func siluGradMag(x float64) float64 { return sigmoid(x) * (1 + math.Abs(x)*sigmoid(-x)) }

func TestVecElementwise(t *testing.T) {
	const eps = 0x1p-24 // one rounding
	abs := math.Abs
	for _, op := range []struct {
		name string
		in   int // inputs
		run  func(v *Vec, dst, a, b []float32)
		want func(a, b float64) (want, mag float64)
		tol  float64
	}{
		{"Add", 2, func(v *Vec, dst, a, b []float32) { v.Add(dst, a, b) },
			func(a, b float64) (float64, float64) { return a + b, abs(a + b) }, eps},
		{"Sub", 2, func(v *Vec, dst, a, b []float32) { v.Sub(dst, a, b) },
			func(a, b float64) (float64, float64) { return a - b, abs(a - b) }, eps},
		{"Mul", 2, func(v *Vec, dst, a, b []float32) { v.Mul(dst, a, b) },
			func(a, b float64) (float64, float64) { return a * b, abs(a * b) }, eps},
		{"Axpby", 2, func(v *Vec, dst, a, b []float32) { v.Axpby(dst, a, 0.75, b, -2.5) },
			func(a, b float64) (float64, float64) { return 0.75*a - 2.5*b, abs(0.75*a) + abs(2.5*b) }, 2 * eps},
		{"ScaleAdd", 1, func(v *Vec, dst, a, _ []float32) { v.ScaleAdd(dst, a, -1.5, 0.25) },
			func(a, _ float64) (float64, float64) { return -1.5*a + 0.25, abs(1.5*a) + 0.25 }, 2 * eps},
		{"SiLU", 1, func(v *Vec, dst, a, _ []float32) { v.SiLU(dst, a) },
			func(a, _ float64) (float64, float64) { return a * sigmoid(a), abs(a * sigmoid(a)) }, 2e-7},
		{"SiLUGrad", 2, func(v *Vec, dst, a, b []float32) { v.SiLUGrad(dst, a, b) },
			func(a, b float64) (float64, float64) { return b * siluGrad64(a), abs(b) * siluGradMag(a) }, 3e-7},
	} {
		t.Run(op.name, func(t *testing.T) {
			vecLevels(t, func(t *testing.T, v *Vec) {
				r := rand.New(rand.NewPCG(1, 2))
				for _, n := range vecLens {
					for alias := 0; alias <= op.in; alias++ {
						a, b, dst := newGuarded(r, n), newGuarded(r, n), newGuarded(r, n)
						wantA, wantB := append([]float32{}, a.v...), append([]float32{}, b.v...)
						dst = []guarded{dst, a, b}[alias]
						op.run(v, dst.v, a.v, b.v)
						dst.intact(t, op.name)
						for i, got := range dst.v {
							want, mag := op.want(float64(wantA[i]), float64(wantB[i]))
							if !near(got, want, op.tol, mag) {
								t.Fatalf("n=%d alias=%d: element %d is %g, want %g", n, alias, i, got, want)
							}
						}
					}
				}
			})
		})
	}
}

// The whole useful range, with a relative bound, and what lies beyond it.
func TestVecSiLURange(t *testing.T) {
	var x []float32
	for v := -87.0; v <= 87; v += 1e-3 {
		x = append(x, float32(v))
	}
	for _, e := range []float64{1e-40, 1e-30, 1e-10, 1e-5} {
		x = append(x, float32(e), float32(-e))
	}
	finite := len(x)
	x = append(x, -88, -89, -100, -1e4, 100, 1e4, 1e30, nan, float32(math.Inf(1)), float32(math.Inf(-1)))
	vecLevels(t, func(t *testing.T, v *Vec) {
		y, dx, one := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
		for i := range one {
			one[i] = 1
		}
		v.SiLU(y, x)
		v.SiLUGrad(dx, x, one)
		var worst, worstGrad float64
		for i, x := range x[:finite] {
			w, x := float64(x)*sigmoid(float64(x)), float64(x)
			if math.Abs(x) > 1e-37 {
				worst = max(worst, math.Abs(float64(y[i])-w)/math.Abs(w))
			}
			worstGrad = max(worstGrad, math.Abs(float64(dx[i])-siluGrad64(x))/siluGradMag(x))
		}
		t.Logf("relative errors: silu %.2g, gradient %.2g", worst, worstGrad)
		if !(worst <= 2e-7) || !(worstGrad <= 3e-7) {
			t.Errorf("relative errors %g and %g, want at most 2e-7 and 3e-7", worst, worstGrad)
		}
		for i := finite; i < len(x); i++ {
			switch f := float64(x[i]); {
			case f != f:
				if y[i] == y[i] || dx[i] == dx[i] {
					t.Errorf("NaN gives %g and %g", y[i], dx[i])
				}
			case math.IsInf(f, 0):
				if !math.IsNaN(float64(y[i])) && !math.IsInf(float64(y[i]), 0) {
					t.Errorf("silu(%g) = %g hides the infinity", f, y[i])
				}
			case f < 0:
				if math.Abs(float64(y[i])) > 1e-33 || math.Abs(float64(dx[i])) > 1e-33 {
					t.Errorf("silu(%g) = %g, gradient %g, want 0", f, y[i], dx[i])
				}
			default:
				if y[i] != x[i] || dx[i] != 1 {
					t.Errorf("silu(%g) = %g, gradient %g", f, y[i], dx[i])
				}
			}
		}
	})
}

func TestExp32(t *testing.T) {
	var worst float64
	for x := float32(expMin); x <= expMax; x += 1e-4 {
		want := math.Exp(float64(x))
		worst = max(worst, math.Abs(float64(exp32(x))-want)/want)
	}
	t.Logf("relative error %.3g", worst)
	if !(worst < 1.5e-7) {
		t.Errorf("relative error %g", worst)
	}
}

func TestVecImageToFloat(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		for _, n := range vecLens {
			src := make([]uint8, n)
			for i := range src {
				src[i] = uint8(255 - i)
			}
			dst := newGuarded(rand.New(rand.NewPCG(1, 2)), n)
			v.ImageToFloat(dst.v, src)
			dst.intact(t, "ImageToFloat")
			for i, b := range src {
				if want := float32(b)/127.5 - 1; dst.v[i] != want {
					t.Fatalf("n=%d: %d became %g, want %g", n, b, dst.v[i], want)
				}
			}
		}
	})
}

// Every level must draw the numbers of package rng, which are part of the format
// of a run.
func TestVecNormals(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	vecLevels(t, func(t *testing.T, v *Vec) {
		for _, n := range append(vecLens, 128, 192, 1<<18) {
			seed, step := r.Uint64(), r.Uint64()
			stream, sample := r.Uint32(), r.Uint32()
			dst, want := newGuarded(r, n), make([]float32, n)
			v.Normals(dst.v, seed, stream, sample, step)
			dst.intact(t, "Normals")
			rng.Normals(want, seed, stream, sample, step)
			for i, x := range want {
				if math.Float32bits(dst.v[i]) != math.Float32bits(x) {
					t.Fatalf("n=%d: element %d is %g, want %g", n, i, dst.v[i], x)
				}
			}
		}
	})
}

// So must the masks of dropout, from any element on; what is dropped is 0, whatever it was.
func TestVecDropout(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	vecLevels(t, func(t *testing.T, v *Vec) {
		for i, n := range append(vecLens, 128, 192, 1<<16) {
			p := []float32{0.1, 0.5, 0, 1 - 0x1p-24, 0x1p-24, 0.3}[i%6]
			seed, step := r.Uint64(), r.Uint64()
			stream, sample, first := r.Uint32(), r.Uint32(), r.Uint32N(1<<20)
			if i%2 == 0 {
				first &^= 3
			}
			x, dst := newGuarded(r, n), newGuarded(r, n)
			v.Dropout(dst.v, x.v, p, seed, stream, first, sample, step)
			dst.intact(t, "Dropout")
			for i, x := range x.v {
				want := x * float32(1/(1-float64(p)))
				if rng.Uniform(rng.Uint32(seed, stream, first+uint32(i), sample, step)) < p {
					want = 0
				}
				if math.Float32bits(dst.v[i]) != math.Float32bits(want) {
					t.Fatalf("n=%d, p=%g, first %d: element %d is %g, want %g", n, p, first, i, dst.v[i], want)
				}
			}
		}
	})
}

// A result must not depend on where in memory its arguments lie.
func TestVecAlignmentIndependent(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		r := rand.New(rand.NewPCG(5, 6))
		base := make([]float32, 3000)
		for i := range base {
			base[i] = float32(r.NormFloat64())
		}
		var sum, sq float64
		var last float32
		for off := range 17 {
			x := append(make([]float32, off), base...)[off:]
			s, q := v.Sum(x), v.SumSq(x)
			v.SoftmaxRow(x, 2)
			if off > 0 && (s != sum || q != sq || x[1234] != last) {
				t.Fatalf("offset %d changes a result", off)
			}
			sum, sq, last = s, q, x[1234]
		}
	})
}

func TestVecWrongLengthsPanic(t *testing.T) {
	v := VecFor(Best())
	s := func(n int) []float32 { return make([]float32, n) }
	for name, f := range map[string]func(){
		"Add":             func() { v.Add(s(4), s(4), s(3)) },
		"SiLUGrad":        func() { v.SiLUGrad(s(4), s(3), s(4)) },
		"SumSqDiff":       func() { v.SumSqDiff(s(4), s(5)) },
		"AdamW":           func() { v.AdamW(s(4), s(4), s(4), s(4), s(3), AdamScalars{}) },
		"ImageToFloat":    func() { v.ImageToFloat(s(4), make([]uint8, 5)) },
		"stride":          func() { v.RowSums(s(4), s(100), 3, 2) },
		"short rows":      func() { v.AddRow(s(10), 6, s(9), 6, s(4), 2) },
		"negative pixels": func() { v.RowSums(s(4), s(100), 4, -1) },
		"coefficients":    func() { v.AffineSiLU(s(8), 4, s(8), 4, s(4), s(3), 2, true) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestVecDoesNotAllocate(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		x := make([]float32, 100)
		if n := testing.AllocsPerRun(10, func() {
			v.Add(x, x, x)
			v.Sum(x)
			v.SoftmaxRow(x, 1)
			v.AdamW(x, x, x, x, x, AdamScalars{Bias1: 1, Bias2: 1})
			v.ChannelSums(x[:10], x[10:20], x[:10], x[20:], 8, 10)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// The committed assembly is what the generator writes.
func TestGeneratedVecUpToDate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the generator")
	}
	dir := t.TempDir()
	asm, stub := filepath.Join(dir, "vec_amd64.s"), filepath.Join(dir, "vec_amd64_stub.go")
	cmd := exec.Command("go", "run", "./vec", "-out", asm, "-stubs", stub, "-pkg", "simd")
	cmd.Dir = filepath.Join("..", "asm")
	// The generator runs on this machine, whatever the test was built for.
	cmd.Env = append(os.Environ(), "GOOS=", "GOARCH=", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("generator: %v\n%s", err, out)
	}
	for _, f := range []string{asm, stub} {
		got, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Base(f))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is out of date: run go generate", filepath.Base(f))
		}
	}
}
