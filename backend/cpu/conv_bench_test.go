package cpu_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// BenchmarkConv3x3 reports the fastest call as a rate, counted as the multiplications of the direct form, for both forms. The
// peak is that of all threads.
func BenchmarkConv3x3(b *testing.B) {
	for _, op := range []string{"conv2d", "conv2d_data", "conv2d_weight"} {
		for _, c := range []conv{
			conv3x3(64, 32, 32, 32, 32), conv3x3(64, 16, 16, 192, 64), conv3x3(64, 8, 8, 128, 128), conv3x3(16, 64, 64, 64, 64), conv3x3(16, 32, 32, 128, 128), conv3x3(16, 16, 16, 256, 256), conv3x3(16, 8, 8, 512, 512),
			{n: 32, h: 16, w: 16, in: 128, out: 128, k: 1, stride: 1}, conv3x3(32, 4, 4, 128, 128),
		} {
			for _, form := range []string{"direct", "winograd", "bf16"} {
				o, precision := cpu.Options{Exact: form == "direct"}, backend.FP32
				if form == "bf16" {
					precision = backend.BF16
				}
				b.Run(fmt.Sprintf("%s/%v/%s", op, c, form), func(b *testing.B) {
					be, err := cpu.New(o)
					if err != nil {
						b.Fatal(err)
					}
					defer be.Close()
					e, _ := c.program(b, be, op, precision)
					e.(backend.Timer).SetTiming(true)
					best, before := time.Hour, time.Duration(0)
					for b.Loop() {
						if err := e.Run(context.Background(), 1); err != nil {
							b.Fatal(err)
						}
						for _, t := range e.Timings() {
							if t.Step.Op == op {
								best = min(best, t.Total-before)
								before = t.Total
							}
						}
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(2*float64(c.k*c.k*c.n*c.h*c.w*c.in*c.out)/best.Seconds()/1e9, "GFLOP/s")
					b.ReportMetric(simd.PeakFlops(be.Level(), 0.02)*float64(be.Info().Threads)/1e9, "peak")
				})
			}
		}
	}
}
