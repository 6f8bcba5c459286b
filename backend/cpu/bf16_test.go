package cpu_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// TestBF16: with operands that are bf16 numbers the products are exact, so the result is as near to the reference as with float32,
// for every kernel that this machine has; with others it is as far off as rounding to 8 bits makes it. It does not depend on the
// workers.
func TestBF16(t *testing.T) {
	t.Setenv(cpu.ExactEnv, "")
	for _, c := range []conv{
		conv3x3(2, 8, 12, 32, 48),
		conv3x3(3, 5, 7, 40, 33), // nothing is a multiple of anything
		conv3x3(2, 32, 32, 32, 3),
		conv3x3(3, 4, 4, 64, 96),
		conv3x3(1, 16, 16, 16, 160),
		{n: 2, h: 16, w: 16, in: 32, out: 32, k: 3, stride: 2, bot: 1, rig: 1},
		{n: 2, h: 9, w: 11, in: 33, out: 40, k: 3, stride: 2, top: 1, left: 1, bot: 1, rig: 1},
		{n: 2, h: 8, w: 8, in: 32, out: 64, k: 2, stride: 2},
		{n: 3, h: 9, w: 7, in: 96, out: 64, k: 1, stride: 1},
		{n: 70, h: 1, w: 1, in: 600, out: 40, k: 1, stride: 1},
		{n: 1, h: 12, w: 40, in: 48, out: 17, k: 5, stride: 1, top: 2, left: 1, bot: 0, rig: 3},
	} {
		for _, op := range []string{"conv2d", "conv2d_data", "conv2d_weight"} {
			c.rounds = true
			rounded := c.reference(op)
			c.rounds = false
			exact := c.reference(op)
			for _, d := range simd.Dots() {
				t.Run(fmt.Sprintf("%s/%v/%s", op, c, d.Name), func(t *testing.T) {
					o := cpu.Options{Threads: 1, Dot: d.Name, Exact: true}
					c := c
					c.rounds = true
					if e := rms(c.result(t, o, op), rounded); !(e <= 2e-6) {
						t.Errorf("on bf16 numbers, relative rms error %.3g, want at most 2e-6", e)
					}
					c.rounds = false
					got := c.result(t, o, op)
					if e := rms(got, exact); !(e <= 4e-3) {
						t.Errorf("relative rms error %.3g, want at most 4e-3", e)
					}
					plain := c.result(t, cpu.Options{Threads: 1, Exact: true}, op)
					if takes := !(op == "conv2d_data" && c.out < 16 || op == "conv2d_weight" && c.out < 16); takes == bytes.Equal(got, plain) {
						t.Errorf("takes bf16: %v, want %v", !takes, takes)
					}
					o.Threads = 3
					if !bytes.Equal(got, c.result(t, o, op)) {
						t.Error("three workers give other bits")
					}
				})
			}
		}
	}
}
