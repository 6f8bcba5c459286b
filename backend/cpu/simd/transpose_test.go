package simd

import (
	"math/rand/v2"
	"testing"
)

func TestTranspose(t *testing.T) {
	vecLevels(t, func(t *testing.T, v *Vec) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, rows := range []int{0, 1, 7, 8, 9, 16, 31, 32} {
			for _, cols := range []int{0, 1, 3, 8, 13, 24, 64, 67} {
				for _, gap := range []int{0, 1, 5} {
					src := newImage(r, max(cols, 1), gap, max(rows, 1))
					dst := newImage(r, max(rows, 1), gap, max(cols, 1))
					before := dst.clone()
					v.Transpose(dst.v, dst.stride, src.v, src.stride, rows, cols)
					dst.intact(t, "dst")
					for i := range dst.c {
						for j := range dst.pixels {
							want := before.at(j, i)
							if i < rows && j < cols {
								want = src.at(i, j)
							}
							if got := dst.at(j, i); got != want {
								t.Fatalf("[%d, %d], gap %d: [%d, %d] is %v, want %v", rows, cols, gap, i, j, got, want)
							}
						}
					}
				}
			}
		}
	})
}

func TestTransposeBounds(t *testing.T) {
	v := VecFor(Best())
	for name, f := range map[string]func(){
		"short src": func() { v.Transpose(make([]float32, 64), 8, make([]float32, 63), 8, 8, 8) },
		"short dst": func() { v.Transpose(make([]float32, 63), 8, make([]float32, 64), 8, 8, 8) },
		"narrow":    func() { v.Transpose(make([]float32, 64), 7, make([]float32, 64), 8, 8, 8) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
