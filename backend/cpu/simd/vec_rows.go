package simd

import (
	"fmt"
	"sync"
)

// The methods of this file work on pixels of C channels: channel c of pixel p
// of an array x is x[p*xs+c], where xs is the array's stride in floats, at
// least C. What lies between the rows is neither read nor written.

// checkRows panics unless x holds the rows.
func checkRows(op string, x []float32, stride, c, pixels int) {
	if pixels < 0 || stride < c || pixels > 0 && len(x) < (pixels-1)*stride+c {
		panic(fmt.Sprintf("simd: %s: %d floats for %d pixels of %d channels, %d apart",
			op, len(x), pixels, c, stride))
	}
}

// rowRun is how many pixels are added up in float32 before the result is added
// to the caller's sums: sums of 1e5 positive numbers one by one would be off by
// 1e-3.
const rowRun = 128

// partials holds scratch slices for the sums of a run.
var partials = sync.Pool{New: func() any { return new([]float32) }}

// inRuns splits the pixels into runs, calls add for each with zeroed sums, and
// adds these to s1 and s2, [C] each.
func (v *Vec) inRuns(s1, s2 []float32, pixels int, add func(t1, t2 []float32, p, n int)) {
	c := len(s1)
	scratch := partials.Get().(*[]float32)
	defer partials.Put(scratch)
	if len(*scratch) < 2*c {
		*scratch = make([]float32, 2*c)
	}
	t1, t2 := (*scratch)[:c], (*scratch)[c:c+len(s2)]
	for p := 0; p < pixels; p += rowRun {
		clear(t1)
		clear(t2)
		add(t1, t2, p, min(rowRun, pixels-p))
		v.k.add(s1, s1, t1)
		v.k.add(s2, s2, t2)
	}
}

// ChannelSums adds every channel's sum of x - shift, and of its square, over the pixels to sum and sumsq; all are [C]. With a
// shift near x, such as that of one pixel, little is lost to a mean that is large beside the deviation.
func (v *Vec) ChannelSums(sum, sumsq, shift, x []float32, pixels, xs int) {
	sameLen("ChannelSums", len(sum), sumsq, shift)
	checkRows("ChannelSums", x, xs, len(sum), pixels)
	v.inRuns(sum, sumsq, pixels, func(t1, t2 []float32, p, n int) {
		v.k.channelSums(t1, t2, shift, x[p*xs:], xs, n)
	})
}

// FinishMoments makes of what ChannelSums left, of so many pixels, every channel's mean and its sum of squared differences from that, in the
// place of sum and sumsq.
func (v *Vec) FinishMoments(sum, sumsq, shift []float32, pixels int) {
	sameLen("FinishMoments", len(sum), sumsq, shift)
	v.k.finishMoments(sum, sumsq, shift, 1/float32(pixels))
}

// Moments computes every channel's mean and its sum of squared differences from that, [C], over at least one row of at least one pixel, rs floats
// from one row to the next. It is for a few hundred pixels that are in the cache; what it computes for a channel does not depend on the strides or on how many others there are.
func (v *Vec) Moments(mean, m2, x []float32, xs, pixels, rs, rows int) {
	sameLen("Moments", len(mean), m2)
	checkRows("Moments", x, rs, (pixels-1)*xs+len(mean), rows)
	v.k.moments(mean, m2, x, xs, pixels, rs, rows, 1/float32(pixels*rows))
}

// MergeMoments makes means and sums of squared differences of n pixels, all [C], those of them and m others (Chan, Golub and LeVeque 1979).
func (v *Vec) MergeMoments(mean, m2 []float32, n int, means, m2s []float32, m int) {
	sameLen("MergeMoments", len(mean), m2, means, m2s)
	share := float64(m) / float64(n+m)
	v.k.merge(mean, m2, means, m2s, float32(share), float32(share*float64(n)))
}

// RowSums adds every channel's sum over the pixels to sum, [C].
func (v *Vec) RowSums(sum, x []float32, xs, pixels int) {
	checkRows("RowSums", x, xs, len(sum), pixels)
	v.inRuns(sum, nil, pixels, func(t1, _ []float32, p, n int) {
		v.k.rowSums(t1, x[p*xs:], xs, n)
	})
}

// AffineSiLU computes dst = f(a[c]*x + b[c]), where f is silu or the identity;
// a and b are [C]. dst may be x if the strides are equal.
func (v *Vec) AffineSiLU(dst []float32, ds int, x []float32, xs int, a, b []float32, pixels int, silu bool) {
	sameLen("AffineSiLU", len(a), b)
	checkRows("AffineSiLU", dst, ds, len(a), pixels)
	checkRows("AffineSiLU", x, xs, len(a), pixels)
	if pixels == 0 {
		return
	}
	f := v.k.affine
	if silu {
		f = v.k.affineSiLU
	}
	f(dst, ds, x, xs, a, b, pixels)
}

// AffineSiLUGradSums adds what the gradient of AffineSiLU needs to know of all
// pixels to s1 and s2, [C]: with dz = dy f'(a[c]*x + b[c]),
//
//	s1[c] += dz
//	s2[c] += dz * x
//
// With silu it writes dz, which may be dy's memory; without, dz is dy, and the argument is not used.
func (v *Vec) AffineSiLUGradSums(s1, s2, dz []float32, ds int, x []float32, xs int, dy []float32, ys int,
	a, b []float32, pixels int, silu bool) {
	sameLen("AffineSiLUGradSums", len(s1), s2, a, b)
	checkRows("AffineSiLUGradSums", x, xs, len(s1), pixels)
	checkRows("AffineSiLUGradSums", dy, ys, len(s1), pixels)
	if !silu {
		v.inRuns(s1, s2, pixels, func(t1, t2 []float32, p, n int) {
			v.k.affineSums(t1, t2, nil, 0, x[p*xs:], xs, dy[p*ys:], ys, a, b, n)
		})
		return
	}
	checkRows("AffineSiLUGradSums", dz, ds, len(s1), pixels)
	v.inRuns(s1, s2, pixels, func(t1, t2 []float32, p, n int) {
		v.k.affineSiLUSums(t1, t2, dz[p*ds:], ds, x[p*xs:], xs, dy[p*ys:], ys, a, b, n)
	})
}

// AffineGrad computes dx = ca[c]*dz + cb[c]*x + cc[c], the rest of the gradient
// of a group norm; ca, cb and cc are [C]. dx may be x or dz if the strides are
// equal.
func (v *Vec) AffineGrad(dx []float32, ds int, x []float32, xs int, dz []float32, zs int, ca, cb, cc []float32, pixels int) {
	sameLen("AffineGrad", len(ca), cb, cc)
	checkRows("AffineGrad", dx, ds, len(ca), pixels)
	checkRows("AffineGrad", x, xs, len(ca), pixels)
	checkRows("AffineGrad", dz, zs, len(ca), pixels)
	if len(ca) > 0 && pixels > 0 {
		v.k.affineGrad(dx, ds, x, xs, dz, zs, ca, cb, cc, pixels)
	}
}

// AddRow computes dst = x + row[c]; row is [C]. dst may be x if the strides are
// equal.
func (v *Vec) AddRow(dst []float32, ds int, x []float32, xs int, row []float32, pixels int) {
	checkRows("AddRow", dst, ds, len(row), pixels)
	checkRows("AddRow", x, xs, len(row), pixels)
	if pixels > 0 {
		v.k.addRow(dst, ds, x, xs, row, pixels)
	}
}

// CopyRows computes dst = x over c channels of the pixels.
func (v *Vec) CopyRows(dst []float32, ds int, x []float32, xs, c, pixels int) {
	if c > 0 && pixels > 0 {
		checkRows("CopyRows", dst, ds, c, pixels)
		checkRows("CopyRows", x, xs, c, pixels)
		v.k.copyRows(dst, ds, x, xs, c, pixels)
	}
}

// AddRows computes dst += x over c channels of the pixels.
func (v *Vec) AddRows(dst []float32, ds int, x []float32, xs, c, pixels int) {
	if c > 0 && pixels > 0 {
		checkRows("AddRows", dst, ds, c, pixels)
		checkRows("AddRows", x, xs, c, pixels)
		v.k.addRows(dst, ds, x, xs, c, pixels)
	}
}
