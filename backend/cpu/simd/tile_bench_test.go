package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func random(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = rand.Float32() - 0.5
	}
	return x
}

// benchTile times f, which does the given floating-point operations, at each
// level. Like PeakFlops, measured just before and after, it reports the
// fastest call: an average would measure the machine's other users too.
func benchTile(b *testing.B, flops float64, setup func(Tile) (f func())) {
	for _, l := range Supported() {
		b.Run(l.String(), func(b *testing.B) {
			f := setup(TileFor(l))
			f()
			peak := PeakFlops(l, 0.02)
			fastest := math.Inf(1)
			for b.Loop() {
				start := time.Now()
				f()
				fastest = min(fastest, time.Since(start).Seconds())
			}
			rate := flops / fastest
			peak = max(peak, PeakFlops(l, 0.02))
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(rate/1e9, "GFLOP/s")
			b.ReportMetric(peak/1e9, "peak")
			b.ReportMetric(100*rate/peak, "%peak")
		})
	}
}

// product returns a function that computes out [len(pix), n] from the pixels
// of a and packed weights, one panel of NR columns after the other.
func product(tile Tile, a []float32, pix, taps []int, kc, n int, out []float32) func() {
	w := random(len(taps) * kc * n)
	bias := random(n)
	args := &GEMMArgs{A: &a[0], Taps: &taps[0], NTaps: len(taps), KC: kc}
	return func() {
		for col := 0; col < n; col += tile.NR {
			args.B, args.Bias, args.C = &w[col*len(taps)*kc], &bias[col], &out[col]
			for m := 0; m < len(pix); m += tile.MR {
				for i := range tile.MR {
					row := min(m+i, len(pix)-1)
					args.Pix[i], args.Out[i] = pix[row], row*n
				}
				tile.GEMM(args)
			}
		}
	}
}

func BenchmarkConv3x3(b *testing.B) {
	for _, c := range []struct{ ch, size int }{{64, 64}, {128, 32}, {256, 16}, {512, 8}} {
		ch, size := c.ch, c.size
		b.Run(fmt.Sprintf("%d@%d", ch, size), func(b *testing.B) {
			in := random((size + 2) * (size + 2) * ch)
			out := make([]float32, size*size*ch)
			var pix, taps []int
			for y := range size {
				for x := range size {
					pix = append(pix, (y*(size+2)+x)*ch)
				}
			}
			for y := range 3 {
				for x := range 3 {
					taps = append(taps, (y*(size+2)+x)*ch)
				}
			}
			flops := 2 * float64(size*size*ch*ch*9)
			benchTile(b, flops, func(tile Tile) func() {
				return product(tile, in, pix, taps, ch, ch, out)
			})
		})
	}
}

func BenchmarkGEMM512(b *testing.B) {
	const n = 512
	a, out := random(n*n), make([]float32, n*n)
	var pix []int
	for i := range n {
		pix = append(pix, i*n)
	}
	benchTile(b, 2*n*n*n, func(tile Tile) func() {
		return product(tile, a, pix, []int{0}, n, n, out)
	})
}

// BenchmarkOuter is the weight gradient of a 3x3 convolution of one image, in
// bands of rows that stay in cache across tiles.
func BenchmarkOuter(b *testing.B) {
	for _, c := range []struct{ ch, size, band int }{{64, 64, 4}, {128, 32, 4}, {256, 16, 4}, {512, 8, 8}} {
		ch, size := c.ch, c.size
		b.Run(fmt.Sprintf("%d@%d", ch, size), func(b *testing.B) {
			in := random((size+2)*(size+2)*ch + MaxMR)
			dy := random(size*size*ch + 32)
			dw := make([]float32, 9*(ch+MaxMR)*ch)
			var xrows, yrows []int
			for y := range size {
				xrows = append(xrows, y*(size+2)*ch)
				yrows = append(yrows, y*size*ch)
			}
			flops := 2 * float64(size*size*ch*ch*9)
			benchTile(b, flops, func(tile Tile) func() {
				args := &OuterArgs{Rows: c.band, P: size, XStride: ch, YStride: ch}
				return func() {
					for r := 0; r < size; r += c.band {
						args.XRows, args.YRows, args.Acc = &xrows[r], &yrows[r], r > 0
						n := 0
						for col := 0; col < ch; col += tile.NR {
							for ci := 0; ci < ch; ci += tile.MR {
								for tap := range 9 {
									args.X = &in[(tap/3*(size+2)+tap%3)*ch+ci]
									args.Y, args.C = &dy[col], &dw[n]
									tile.Outer(args)
									n += tile.MR * tile.NR
								}
							}
						}
					}
				}
			})
		})
	}
}
