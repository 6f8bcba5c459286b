package simd

import "math"

// The vector kernels in plain Go. They define what the assembly computes, up to
// rounding and the order of additions.

var vecGeneric = vecKernels{
	add: func(dst, a, b []float32) {
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	},
	sub: func(dst, a, b []float32) {
		for i := range dst {
			dst[i] = a[i] - b[i]
		}
	},
	mul: func(dst, a, b []float32) {
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	},
	axpby: func(dst, a, b []float32, sa, sb float32) {
		for i := range dst {
			dst[i] = sa*a[i] + sb*b[i]
		}
	},
	scaleAdd: func(dst, a []float32, s, c float32) {
		for i := range dst {
			dst[i] = s*a[i] + c
		}
	},
	silu: func(dst, x []float32) {
		for i, x := range x {
			dst[i] = silu32(x)
		}
	},
	siluGrad: func(dx, x, dy []float32) {
		for i, x := range x {
			dx[i] = dy[i] * siluGrad32(x)
		}
	},
	imageToFloat: genericImageToFloat,
	sum:          func(a []float32) float64 { return sumOf(a, func(x float64) float64 { return x }) },
	sumSq:        func(a []float32) float64 { return sumOf(a, func(x float64) float64 { return x * x }) },
	probe:        func(a []float32) float64 { return sumOf(a, func(x float64) float64 { return 0 * x }) },
	sumSqDiff: func(a, b []float32) (s float64) {
		for i := range a {
			d := float64(a[i]) - float64(b[i])
			s += d * d
		}
		return s
	},
	softmax:     genericSoftmax,
	softmaxBack: genericSoftmaxBack,
	mixture:     genericMixture,
	adamW: func(p, grad, m, v []float32, clip, b1, c1, b2, c2, root, eps, step, decay float32) {
		for i, g := range grad {
			p[i] = adam(p[i], g*clip, &m[i], &v[i], b1, c1, b2, c2, root, eps, step, decay)
		}
	},
	adamWEMA: func(p, grad, m, v, ema []float32, clip, b1, c1, b2, c2, root, eps, step, decay, rate float32) {
		for i, g := range grad {
			p[i] = adam(p[i], g*clip, &m[i], &v[i], b1, c1, b2, c2, root, eps, step, decay)
			ema[i] += rate * (p[i] - ema[i])
		}
	},

	channelSums: func(sum, sumsq, shift, x []float32, xs, pixels int) {
		for p := range pixels {
			for c, x := range x[p*xs:][:len(sum)] {
				d := x - shift[c]
				sum[c] += d
				sumsq[c] += d * d
			}
		}
	},
	finishMoments: genericFinishMoments,
	moments: func(mean, m2, x []float32, xs, pixels, rs, rows int, share float32) {
		for c, shift := range x[:len(mean)] {
			s, q := float32(0), float32(0)
			for i := range rows * pixels {
				d := x[i/pixels*rs+i%pixels*xs+c] - shift
				s += d
				q += d * d
			}
			mean[c], m2[c] = s, q
		}
		genericFinishMoments(mean, m2, x, share)
	},
	merge: func(mean, m2, means, m2s []float32, share, weight float32) {
		for c := range mean {
			d := means[c] - mean[c]
			m2[c] += m2s[c] + d*d*weight
			mean[c] += d * share
		}
	},
	copyRows: func(dst []float32, ds int, x []float32, xs, c, pixels int) {
		for p := range pixels {
			copy(dst[p*ds:][:c], x[p*xs:])
		}
	},
	addRows: func(dst []float32, ds int, x []float32, xs, c, pixels int) {
		for p := range pixels {
			for k, v := range x[p*xs:][:c] {
				dst[p*ds+k] += v
			}
		}
	},
	rowSums: func(sum, x []float32, xs, pixels int) {
		for p := range pixels {
			for c, x := range x[p*xs:][:len(sum)] {
				sum[c] += x
			}
		}
	},
	affine:         genericAffine(func(z float32) float32 { return z }),
	affineSiLU:     genericAffine(silu32),
	affineSums:     genericAffineSums(nil),
	affineSiLUSums: genericAffineSums(siluGrad32),
	affineGrad: func(dx []float32, ds int, x []float32, xs int, dz []float32, zs int, ca, cb, cc []float32, pixels int) {
		for p := range pixels {
			d, x, dz := dx[p*ds:], x[p*xs:], dz[p*zs:]
			for c := range ca {
				d[c] = ca[c]*dz[c] + cb[c]*x[c] + cc[c]
			}
		}
	},
	addRow: func(dst []float32, ds int, x []float32, xs int, row []float32, pixels int) {
		for p := range pixels {
			d, x := dst[p*ds:], x[p*xs:]
			for c, r := range row {
				d[c] = x[c] + r
			}
		}
	},
}

// The range in which exp32's result is a normal number.
const (
	expMin = -87
	expMax = 88
)

// exp32 returns e^x for x clamped to expMin..expMax, with a relative error
// below 1.5e-7. With n = round(x log2 e) and r = x - n ln 2, e^x = 2^n e^r;
// e^r = 1 + r + r^2 q(r), where q is the polynomial with the least largest
// relative error of e^r, 3.1e-9, on [-ln2/2, ln2/2]. ln 2 is split in two: n
// times the first part is exact.
func exp32(x float32) float32 {
	if x < expMin {
		x = expMin
	} else if x > expMax {
		x = expMax
	}
	// Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
	const shift = 0x1.8p23
	t := x*math.Log2E + shift
	n := t - shift
	r := x - n*0.693359375 + n*2.12194440e-4
	p := float32(0.00138145401768)
	p = p*r + 0.00836874510894
	p = p*r + 0.0416683907835
	p = p*r + 0.16666520399
	p = p*r + 0.499999934321
	p = p*r + 1
	p = p*r + 1
	return p * math.Float32frombits((math.Float32bits(t)+127)<<23)
}

func silu32(x float32) float32 { return x / (1 + exp32(-x)) }

// siluGrad32 returns s (1 + x (1-s)) for the sigmoid s of x. 1 - s is computed
// as e^-x s, which does not cancel.
func siluGrad32(x float32) float32 {
	e := exp32(-x)
	s := 1 / (1 + e)
	return s * (1 + x*(e*s))
}

func genericFinishMoments(sum, sumsq, shift []float32, share float32) {
	for c, s := range sum {
		m := s * share
		sum[c] = shift[c] + m
		sumsq[c] -= s * m
	}
}

func genericImageToFloat(dst []float32, src []uint8) {
	for i, b := range src {
		dst[i] = float32(b)/127.5 - 1
	}
}

func sumOf(a []float32, f func(float64) float64) (s float64) {
	for _, x := range a {
		s += f(float64(x))
	}
	return s
}

func genericSoftmax(x []float32, scale float32) (top, total float32) {
	top = float32(math.Inf(-1))
	for _, x := range x {
		top = max(top, scale*x)
	}
	var sum float64
	for i := range x {
		x[i] = exp32(scale*x[i] - top)
		sum += float64(x[i])
	}
	inverse := float32(1 / sum)
	for i := range x {
		x[i] *= inverse
	}
	return top, float32(sum)
}

func genericSoftmaxBack(s, dp []float32, scale, lse, dot float32) {
	for i := range s {
		s[i] = exp32(scale*s[i] - lse)
		dp[i] = scale * s[i] * (dp[i] - dot)
	}
}

// adam returns the new value of a parameter and updates its moments. root is
// 1/sqrt(Bias2), step LR/Bias1 and decay LR*WeightDecay.
func adam(p, g float32, m, v *float32, b1, c1, b2, c2, root, eps, step, decay float32) float32 {
	*m = b1**m + c1*g
	*v = b2**v + c2*(g*g)
	return p - (step*(*m/(root*float32(math.Sqrt(float64(*v)))+eps)) + decay*p)
}

func genericAffine(f func(float32) float32) func([]float32, int, []float32, int, []float32, []float32, int) {
	return func(dst []float32, ds int, x []float32, xs int, a, b []float32, pixels int) {
		for p := range pixels {
			d, x := dst[p*ds:], x[p*xs:]
			for c := range a {
				d[c] = f(a[c]*x[c] + b[c])
			}
		}
	}
}

func genericAffineSums(df func(float32) float32) affineSumsFunc {
	return func(s1, s2, dz []float32, ds int, x []float32, xs int, dy []float32, ys int, a, b []float32, pixels int) {
		for p := range pixels {
			x, dy := x[p*xs:], dy[p*ys:]
			for c := range a {
				d := dy[c]
				if df != nil {
					d *= df(a[c]*x[c] + b[c])
					dz[p*ds+c] = d
				}
				s1[c] += d
				s2[c] += d * x[c]
			}
		}
	}
}
