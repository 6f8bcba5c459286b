package simd

import (
	"slices"
	"testing"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		env  string
		top  Level
		want Level
		ok   bool
	}{
		{"", Generic, Generic, true},
		{"", AVX512, AVX512, true},
		{"generic", AVX512, Generic, true},
		{"AVX2", AVX512, AVX2, true},
		{"avx512", AVX512, AVX512, true},
		{"avx512", AVX2, AVX2, false},
		{"avx2", Generic, Generic, false},
		{"sse", AVX2, AVX2, false},
	} {
		got, err := resolve(c.env, c.top)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("resolve(%q, %v) = %v, %v; want %v, ok %v", c.env, c.top, got, err, c.want, c.ok)
		}
	}
}

func TestSupported(t *testing.T) {
	s := Supported()
	if len(s) == 0 || s[0] != Generic || !slices.IsSorted(s) {
		t.Fatalf("Supported() = %v", s)
	}
	if !slices.Contains(s, Best()) {
		t.Errorf("Best() = %v is not in %v", Best(), s)
	}
	// A level above the hardware must fall back, not crash.
	top := TileFor(s[len(s)-1])
	if got := TileFor(AVX512); got.MR != top.MR || got.NR != top.NR {
		t.Errorf("TileFor(AVX512) is %dx%d on a machine whose best is %dx%d", got.MR, got.NR, top.MR, top.NR)
	}
}
