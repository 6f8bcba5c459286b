package simd

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// bf16s is n random numbers, rounded, and what they are.
func bf16s(n int, at uint32) ([]uint16, []float64) {
	f, h, d := make([]float32, n), make([]uint16, n), make([]float64, n)
	rng.Normals(f, 1, rng.StreamSample, at, 0)
	for i, v := range f {
		h[i] = ToBF16(v)
		d[i] = float64(FromBF16(h[i]))
	}
	return h, d
}

// TestDot: every kernel of this machine beside float64 on the rounded numbers, with taps at even and odd offsets, also negative.
func TestDot(t *testing.T) {
	for _, d := range Dots() {
		for _, c := range []struct{ row, kc, blocks, brow int }{{64, 32, 1, 64}, {96, 64, 2, 128}, {33, 32, 3, 64}, {1, 128, 2, 96}} {
			t.Run(fmt.Sprintf("%s/%+v", d.Name, c), func(t *testing.T) {
				taps := []int{0, 5, -64, 34}
				const first = 64
				a, fa := bf16s(first+c.row*DotRows*c.blocks+c.kc+67, 1)
				b, fb := bf16s(len(taps)*c.kc/2*c.brow, 2)
				starts := []int{0, 32*c.row + 3, 64 * c.row}[:c.blocks]
				got := make([]float32, DotRows*DotRows*c.blocks+16)
				for _, acc := range []bool{false, true} {
					for i := range got {
						got[i] = float32(i % 7)
					}
					d.Run(&DotArgs{A: &a[first], Row: c.row, Starts: &starts[0], BRow: c.brow, Taps: &taps[0], NTaps: len(taps), KC: c.kc, B: &b[0], C: &got[0], Blocks: c.blocks, Acc: acc})
					for i := range DotRows * c.blocks {
						for j := range DotRows {
							want, size := 0.0, 1.0
							if acc {
								want = float64((i*DotRows + j) % 7)
							}
							for s, tap := range taps {
								for k := range c.kc {
									p := fa[first+starts[i/DotRows]+i%DotRows*c.row+tap+k] * fb[(s*c.kc+k)/2*c.brow+2*j+k%2]
									want, size = want+p, size+math.Abs(p)
								}
							}
							if e := math.Abs(float64(got[i*DotRows+j]) - want); !(e <= 1e-6*size) {
								t.Fatalf("acc %v: C[%d, %d] is %v, want %v", acc, i, j, got[i*DotRows+j], want)
							}
						}
					}
					for i, v := range got[DotRows*DotRows*c.blocks:] {
						if v != float32((DotRows*DotRows*c.blocks+i)%7) {
							t.Fatalf("acc %v: wrote behind C", acc)
						}
					}
				}
			})
		}
	}
}

// TestRound: what the processor rounds is what ToBF16 says, bit for bit, and that is right where it can be said otherwise.
func TestRound(t *testing.T) {
	src := make([]float32, 1000)
	rng.Normals(src, 3, rng.StreamSample, 0, 0)
	for i, u := range []uint32{
		0, 1 << 31, 1, 0x807fffff, 0x7fffff, 0x800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0xff7fffff,
		0x7f800000, 0xff800000, 0x7f800001, 0xffffffff, 0x7fc00000, 0x3fffffff,
	} {
		src[40*i] = math.Float32frombits(u)
	}
	for _, d := range Dots() {
		got := make([]uint16, len(src))
		d.Round(got, src)
		pairs := make([]uint16, len(src))
		d.Pair(pairs, src[:500], src[500:])
		for i, f := range src {
			want := ToBF16(f)
			if got[i] != want {
				t.Fatalf("%s: %x rounds to %x, want %x", d.Name, math.Float32bits(f), got[i], want)
			}
			if p := pairs[i%500*2+i/500]; p != want {
				t.Fatalf("%s: in a pair, %x rounds to %x, want %x", d.Name, math.Float32bits(f), p, want)
			}
		}
	}
	for _, n := range []int{16, 48, 21} {
		for _, d := range Dots() {
			const ss, ds, pairs = 50, 100, 4
			got := make([]uint16, ds*pairs)
			for i := range got {
				got[i] = 7
			}
			d.PairRows(got, ds, src, ss, n, pairs)
			for i, v := range got {
				want := uint16(7)
				if row, k := i/ds, i%ds; k < 2*n {
					want = ToBF16(src[(2*row+k%2)*ss+k/2])
				}
				if v != want {
					t.Fatalf("%s: PairRows of %d: element %d is %x, want %x", d.Name, n, i, v, want)
				}
			}
		}
	}
	for f, want := range map[float32]float32{1.00390625: 1, 1.01171875: 1.015625, 1.0039065: 1.0078125, -3: -3, 1e-40: 0} {
		if got := FromBF16(ToBF16(f)); got != want {
			t.Errorf("%v rounds to %v, want %v", f, got, want)
		}
	}
	if !math.IsNaN(float64(FromBF16(ToBF16(float32(math.NaN()))))) {
		t.Error("NaN rounds to a number")
	}
}

// BenchmarkDot: a block of rows of a 3x3 convolution.
func BenchmarkDot(b *testing.B) {
	for _, d := range Dots()[1:] {
		for _, c := range []int{32, 64, 128, 256, 512} {
			for _, blocks := range []int{4, 16} {
				b.Run(fmt.Sprintf("%s/%d channels/%d blocks", d.Name, c, blocks), func(b *testing.B) {
					a := make([]uint16, (32*blocks+100)*c)
					w := make([]uint16, 9*c*32+32)
					w = w[-uintptr(unsafe.Pointer(&w[0]))&63/2:]
					out := make([]float32, 1024*blocks+16)
					out = out[-uintptr(unsafe.Pointer(&out[0]))&63/4:]
					var taps [9]int
					for i := range taps {
						taps[i] = (i/3*34 + i%3) * c
					}
					starts := make([]int, blocks)
					for i := range starts {
						starts[i] = 32 * c * i
					}
					args := DotArgs{A: &a[0], Row: c, Starts: &starts[0], BRow: 64, Taps: &taps[0], NTaps: 9, KC: c, B: &w[0], C: &out[0], Blocks: blocks}
					best := time.Hour
					for b.Loop() {
						start := time.Now()
						d.Run(&args)
						best = min(best, time.Since(start))
					}
					b.ReportMetric(2*9*32*32*float64(c*blocks)/best.Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
