package cpu

import (
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// Roof implements backend.Roof: the multiply-adds that all workers do in registers, and the traffic of dst = a + b over
// arrays that no cache holds, best of some runs of each. It is in float32 whatever the precision: what bf16 could do is not measured.
func (b *Backend) Roof(backend.Precision) (flops, bytes float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	each := make([]float64, b.pool.n)
	b.pool.run(b.pool.n, func(_, i int) { each[i] = simd.PeakFlops(b.level, 0.3) })
	for _, f := range each {
		flops += f
	}
	const n, block, runs = 32 << 20, 1 << 16, 4
	x, y, z := make([]float32, n), make([]float32, n), make([]float32, n)
	for range runs {
		start := time.Now()
		b.pool.run(n/block, func(_, i int) {
			at := i * block
			b.vec.Add(x[at:at+block], y[at:at+block], z[at:at+block])
		})
		bytes = max(bytes, 3*4*n/time.Since(start).Seconds())
	}
	return flops, bytes
}
