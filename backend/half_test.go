package backend

import (
	"math"
	"testing"
)

// Every half is itself after widening and rounding, and what lies between two goes to the nearer one, or to the even one.
func TestHalf(t *testing.T) {
	for h := range uint32(1 << 16) {
		f := FromHalf(uint16(h))
		if got := ToHalf(f); got != uint16(h) && f == f {
			t.Fatalf("%#04x is %v, which is rounded to %#04x", h, f, got)
		}
		if f != f && ToHalf(f)&0x7fff <= 0x7c00 {
			t.Fatalf("%#04x is no number, and becomes one", h)
		}
		if h&0x7fff >= 0x7bff {
			continue
		}
		next := FromHalf(uint16(h + 1))
		middle := f + (next-f)/2
		even := uint16(h + h&1)
		below, above := math.Nextafter32(middle, f), math.Nextafter32(middle, next)
		if a, b, c := ToHalf(below), ToHalf(middle), ToHalf(above); a != uint16(h) || b != even || c != uint16(h+1) {
			t.Fatalf("around %v, between %#04x and the next: %#04x %#04x %#04x", middle, h, a, b, c)
		}
	}
	for f, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, -1e9: 0xfc00, 1: 0x3c00, float32(math.Inf(-1)): 0xfc00, 1e-9: 0} {
		if got := ToHalf(f); got != want {
			t.Errorf("%v becomes %#04x, want %#04x", f, got, want)
		}
	}
}
