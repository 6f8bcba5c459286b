package simd

//go:generate go run -C ../asm ./vec -pkg simd -out ../simd/vec_amd64.s -stubs ../simd/vec_amd64_stub.go

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// Vec is the set of vector kernels for one level. They run on one goroutine,
// allocate nothing, and give a result that depends on the arguments and the
// level only; levels differ in rounding. Vectors have any length, also 0. Unless
// a method says otherwise, all its slices have the same length and an output may
// be the same slice as an input, but must not overlap one otherwise. A wrong
// length panics before anything is written.
type Vec struct {
	k *vecKernels
}

// vecKernels are the implementations of Vec's methods, which have checked the
// lengths; pixels is at least 1. vec_generic.go defines each in plain Go.
type vecKernels struct {
	add, sub, mul              func(dst, a, b []float32)
	axpby                      func(dst, a, b []float32, sa, sb float32)
	scaleAdd                   func(dst, a []float32, s, c float32)
	silu                       func(dst, x []float32)
	siluGrad                   func(dx, x, dy []float32)
	imageToFloat               func(dst []float32, src []uint8) // a multiple of imageStep elements
	sum, sumSq, probe          func(a []float32) float64        // at most sumBlock elements
	sumSqDiff                  func(a, b []float32) float64     // at most sumBlock elements
	softmax                    func(x []float32, scale float32) (top, sum float32)
	softmaxBack                func(s, dp []float32, scale, lse, dot float32)
	adamW                      func(p, grad, m, v []float32, clip, b1, c1, b2, c2, root, eps, step, decay float32)
	adamWEMA                   func(p, grad, m, v, ema []float32, clip, b1, c1, b2, c2, root, eps, step, decay, rate float32)
	channelSums                func(sum, sumsq, shift, x []float32, xs, pixels int)
	finishMoments              func(sum, sumsq, shift []float32, share float32)
	moments                    func(mean, m2, x []float32, xs, pixels, rs, rows int, share float32)
	merge                      func(mean, m2, means, m2s []float32, share, weight float32)
	rowSums                    func(sum, x []float32, xs, pixels int)
	affine, affineSiLU         func(dst []float32, ds int, x []float32, xs int, a, b []float32, pixels int)
	affineSums, affineSiLUSums affineSumsFunc
	affineGrad                 func(dx []float32, ds int, x []float32, xs int, dz []float32, zs int, ca, cb, cc []float32, pixels int)
	normals                    func(dst []float32, k0, k1, c1, c2, c3 uint32)                             // a multiple of normalStep elements; nil for rng's
	dropout                    func(dst, x []float32, scale float32, last, k0, k1, c0, c1, c2, c3 uint32) // likewise
	addRow                     func(dst []float32, ds int, x []float32, xs int, row []float32, pixels int)
	copyRows, addRows          func(dst []float32, ds int, x []float32, xs, c, pixels int)
	mixture                    func(loss, dp, p, q, low, high []float32, components int)
	transpose                  func(dst []float32, ld int, src []float32, ls, blocks int) // 8 rows of blocks of 8 columns, at least 1; nil for none
}

type (
	affineSumsFunc func(s1, s2, dz []float32, ds int, x []float32, xs int, dy []float32, ys int, a, b []float32, pixels int)
)

const (
	// imageStep is the number of pixels of which imageToFloat takes multiples.
	imageStep = 16
	// normalStep is the number of elements of which normals and dropout take multiples.
	normalStep = 64
	// sumBlock bounds the float32 additions in a row to 256: the narrowest
	// kernel has 4 accumulators of 8 lanes.
	sumBlock = 256 * 4 * 8
)

// VecFor returns the vector kernels for a level; the machine must support it.
func VecFor(l Level) *Vec {
	k := vecLevel(l)
	if k == nil {
		k = &vecGeneric
	}
	return &Vec{k}
}

// sameLen panics if a slice is not n long.
func sameLen(op string, n int, slices ...[]float32) {
	for k, s := range slices {
		if len(s) != n {
			panic(fmt.Sprintf("simd: %s: slice %d has %d elements, the first has %d", op, k+1, len(s), n))
		}
	}
}

// Add computes dst = a + b.
func (v *Vec) Add(dst, a, b []float32) {
	sameLen("Add", len(dst), a, b)
	v.k.add(dst, a, b)
}

// Sub computes dst = a - b.
func (v *Vec) Sub(dst, a, b []float32) {
	sameLen("Sub", len(dst), a, b)
	v.k.sub(dst, a, b)
}

// Mul computes dst = a * b.
func (v *Vec) Mul(dst, a, b []float32) {
	sameLen("Mul", len(dst), a, b)
	v.k.mul(dst, a, b)
}

// Axpby computes dst = sa*a + sb*b.
func (v *Vec) Axpby(dst, a []float32, sa float32, b []float32, sb float32) {
	sameLen("Axpby", len(dst), a, b)
	v.k.axpby(dst, a, b, sa, sb)
}

// ScaleAdd computes dst = s*a + c.
func (v *Vec) ScaleAdd(dst, a []float32, s, c float32) {
	sameLen("ScaleAdd", len(dst), a)
	v.k.scaleAdd(dst, a, s, c)
}

// SiLU computes dst = x s(x), where s(x) = 1/(1 + exp(-x)). Below -88, where
// the value is less than 1e-36 in magnitude, it is 0 to within 1e-33 for any x
// down to -1e5.
func (v *Vec) SiLU(dst, x []float32) {
	sameLen("SiLU", len(dst), x)
	v.k.silu(dst, x)
}

// SiLUGrad computes dx = dy s(x) (1 + x (1 - s(x))).
func (v *Vec) SiLUGrad(dx, x, dy []float32) {
	sameLen("SiLUGrad", len(dx), x, dy)
	v.k.siluGrad(dx, x, dy)
}

// ImageToFloat computes dst = src/127.5 - 1. All levels give the same bits.
func (v *Vec) ImageToFloat(dst []float32, src []uint8) {
	if len(dst) != len(src) {
		panic(fmt.Sprintf("simd: ImageToFloat: %d floats for %d bytes", len(dst), len(src)))
	}
	n := len(dst) / imageStep * imageStep
	v.k.imageToFloat(dst[:n], src[:n])
	genericImageToFloat(dst[n:], src[n:])
}

// blockSum adds f over blocks of a in float64.
func blockSum(a []float32, f func([]float32) float64) (s float64) {
	for len(a) > sumBlock {
		s += f(a[:sumBlock])
		a = a[sumBlock:]
	}
	return s + f(a)
}

// Sum returns the sum of a. At most 256 elements are added in float32.
func (v *Vec) Sum(a []float32) float64 { return blockSum(a, v.k.sum) }

// SumSq returns the sum of a*a. At most 256 elements are added in float32.
func (v *Vec) SumSq(a []float32) float64 { return blockSum(a, v.k.sumSq) }

// SumSqDiff returns the sum of (a-b)^2. At most 256 elements are added in
// float32.
func (v *Vec) SumSqDiff(a, b []float32) (s float64) {
	sameLen("SumSqDiff", len(a), b)
	for len(a) > sumBlock {
		s += v.k.sumSqDiff(a[:sumBlock], b[:sumBlock])
		a, b = a[sumBlock:], b[sumBlock:]
	}
	return s + v.k.sumSqDiff(a, b)
}

// HasNonFinite reports whether an element is infinite or NaN.
func (v *Vec) HasNonFinite(a []float32) bool {
	for len(a) > sumBlock {
		if v.k.probe(a[:sumBlock]) != 0 { // NaN
			return true
		}
		a = a[sumBlock:]
	}
	return v.k.probe(a) != 0
}

// SoftmaxRow computes x = softmax(scale*x) in place for one row, and returns
// log(sum(exp(scale*x))). Elements more than 87 below the largest get about
// 1e-38 times its share, not 0.
func (v *Vec) SoftmaxRow(x []float32, scale float32) (lse float32) {
	top, sum := v.k.softmax(x, scale)
	return float32(float64(top) + math.Log(float64(sum)))
}

// SoftmaxRowBack computes the softmax p = exp(scale*s - lse) of a row again, in
// the place of s, and in the place of the gradient dp of p that of s:
// scale * p * (dp - dot), where dot is sum(p*dp).
func (v *Vec) SoftmaxRowBack(s, dp []float32, scale, lse, dot float32) {
	sameLen("SoftmaxRowBack", len(s), dp)
	v.k.softmaxBack(s, dp, scale, lse, dot)
}

// AdamScalars are the scalars of a step of AdamW. They are float64 because
// 1 - Beta2 and 1 - EMADecay have few digits in float32.
type AdamScalars struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64

	Bias1, Bias2 float64 // 1 - Beta1^t and 1 - Beta2^t at step t = 1, 2, ...
	ClipScale    float64 // factor of the gradient, 1 for no clipping
	EMADecay     float64 // decay of the moving average of the parameters
}

// AdamW updates the parameters p, their moments m and v, and their exponential
// moving average ema (nil for none) by the gradient grad:
//
//	g'  = grad * ClipScale
//	m   = Beta1 m + (1-Beta1) g'
//	v   = Beta2 v + (1-Beta2) g'^2
//	p   = p (1 - LR WeightDecay) - LR/Bias1 * m / (sqrt(v/Bias2) + Eps)
//	ema = ema + (1-EMADecay) (p - ema)
//
// as torch.optim.AdamW does. Parameters are rounded once.
func (v *Vec) AdamW(p, grad, m, v2, ema []float32, s AdamScalars) {
	sameLen("AdamW", len(p), grad, m, v2)
	clip, decay, step := float32(s.ClipScale), float32(s.LR*s.WeightDecay), float32(s.LR/s.Bias1)
	b1, c1 := float32(s.Beta1), float32(1-s.Beta1)
	b2, c2 := float32(s.Beta2), float32(1-s.Beta2)
	root, eps := float32(1/math.Sqrt(s.Bias2)), float32(s.Eps)
	if ema == nil {
		v.k.adamW(p, grad, m, v2, clip, b1, c1, b2, c2, root, eps, step, decay)
		return
	}
	sameLen("AdamW", len(p), grad, m, v2, ema)
	v.k.adamWEMA(p, grad, m, v2, ema, clip, b1, c1, b2, c2, root, eps, step, decay, float32(1-s.EMADecay))
}

// Normals fills dst with what rng.Normals does, bit for bit, at every level.
func (v *Vec) Normals(dst []float32, seed uint64, stream, sample uint32, step uint64) {
	if v.k.normals == nil {
		rng.Normals(dst, seed, stream, sample, step)
		return
	}
	n := len(dst) / normalStep * normalStep
	key := rng.Key(seed, stream)
	v.k.normals(dst[:n], key[0], key[1], sample, uint32(step), uint32(step>>32))
	for ; n < len(dst); n += 4 {
		block := rng.NormalBlock(seed, stream, uint32(n/4), sample, step)
		copy(dst[n:], block[:])
	}
}

// Dropout computes dst = x/(1-p), or 0 where what rng.Uniform draws for an element of the stream is less than p, 0 <= p < 1. The first
// element's number is e. All levels give the same bits.
func (v *Vec) Dropout(dst, x []float32, p float32, seed uint64, stream, e, sample uint32, step uint64) {
	sameLen("Dropout", len(dst), x)
	scale := float32(1 / (1 - float64(p)))
	last := uint32(math.Ceil(float64(p)*(1<<24))) - 1 // of the numerators of rng.Uniform that are too small; -1 for none
	key := rng.Key(seed, stream)
	for len(dst) > 0 {
		if n := len(dst) / normalStep * normalStep; v.k.dropout != nil && e%4 == 0 && n > 0 {
			v.k.dropout(dst[:n], x[:n], scale, last, key[0], key[1], e/4, sample, uint32(step), uint32(step>>32))
			dst, x, e = dst[n:], x[n:], e+uint32(n)
			continue
		}
		words := rng.Block(seed, stream, e/4, sample, step)
		n := min(len(dst), 4-int(e%4)) // what is left of a block
		for i, w := range words[e%4:][:n] {
			if dst[i] = 0; rng.Uniform(w) >= p {
				dst[i] = x[i] * scale
			}
		}
		dst, x, e = dst[n:], x[n:], e+uint32(n)
	}
}
