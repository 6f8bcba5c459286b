package simd

import (
	"fmt"
	"testing"
)

// The benchmarks count the bytes of every array read or written once, so MB/s
// compares with the machine's bandwidth.

const benchC = 64 // channels of the row kernels

var benchImage = make([]uint8, 1<<23)

var vecBenches = []struct {
	name   string
	arrays int // read plus written
	run    func(v *Vec, x [5][]float32, c [5][]float32)
}{
	{"Add", 3, func(v *Vec, x, _ [5][]float32) { v.Add(x[0], x[1], x[2]) }},
	{"SiLU", 2, func(v *Vec, x, _ [5][]float32) { v.SiLU(x[0], x[1]) }},
	{"SiLUGrad", 3, func(v *Vec, x, _ [5][]float32) { v.SiLUGrad(x[0], x[1], x[2]) }},
	{"Sum", 1, func(v *Vec, x, _ [5][]float32) { v.Sum(x[0]) }},
	{"SumSq", 1, func(v *Vec, x, _ [5][]float32) { v.SumSq(x[0]) }},
	{"HasNonFinite", 1, func(v *Vec, x, _ [5][]float32) { v.HasNonFinite(x[0]) }},
	{"AdamW", 9, func(v *Vec, x, _ [5][]float32) {
		v.AdamW(x[0], x[1], x[2], x[3], x[4], AdamScalars{LR: 1e-4, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8,
			WeightDecay: 0.01, Bias1: 0.5, Bias2: 0.5, ClipScale: 1, EMADecay: 0.999})
	}},
	{"Softmax256", 2, func(v *Vec, x, _ [5][]float32) {
		for i := 0; i+256 <= len(x[0]); i += 256 {
			v.SoftmaxRow(x[0][i:i+256], 0.1)
		}
	}},
	{"Normals", 1, func(v *Vec, x, _ [5][]float32) { v.Normals(x[0], 1, 2, 3, 4) }},
	{"Dropout", 2, func(v *Vec, x, _ [5][]float32) { v.Dropout(x[0], x[1], 0.1, 1, 2, 0, 3, 4) }},
	{"ImageToFloat", 1, func(v *Vec, x, _ [5][]float32) { v.ImageToFloat(x[0], benchImage[:len(x[0])]) }},
	{"ChannelSums", 1, func(v *Vec, x, c [5][]float32) {
		v.ChannelSums(c[0], c[1], c[2], x[0], len(x[0])/benchC, benchC)
	}},
	{"AffineSiLU", 2, func(v *Vec, x, c [5][]float32) {
		v.AffineSiLU(x[0], benchC, x[1], benchC, c[0], c[1], len(x[0])/benchC, true)
	}},
	{"AffineSiLUGradSums", 2, func(v *Vec, x, c [5][]float32) {
		v.AffineSiLUGradSums(c[2], c[3], x[0], benchC, x[1], benchC, x[2], benchC, c[0], c[1], len(x[0])/benchC, true)
	}},
	{"AffineGrad", 3, func(v *Vec, x, c [5][]float32) {
		v.AffineGrad(x[0], benchC, x[1], benchC, x[2], benchC, c[2], c[3], c[4], len(x[0])/benchC)
	}},
	{"AddRow", 2, func(v *Vec, x, c [5][]float32) {
		v.AddRow(x[0], benchC, x[1], benchC, c[0], len(x[0])/benchC)
	}},
}

func BenchmarkVec(b *testing.B) {
	for _, bench := range vecBenches {
		for _, n := range []int{1 << 14, 1 << 23} { // second-level cache, memory
			for _, l := range Supported() {
				b.Run(fmt.Sprintf("%s/n=%d/%v", bench.name, n, l), func(b *testing.B) {
					var x, c [5][]float32
					for k := range x {
						// Shifted against each other, or all arrays share cache sets.
						x[k], c[k] = make([]float32, n+16*k)[16*k:], make([]float32, benchC)
						for i := range x[k] {
							x[k][i] = float32(i%17) * 0.1
						}
					}
					b.SetBytes(int64(4 * n * bench.arrays))
					v := VecFor(l)
					for b.Loop() {
						bench.run(v, x, c)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
				})
			}
		}
	}
}
