package lab

import (
	"math"
	"slices"
	"testing"
)

// Every order draws each pixel once, in groups of the size it says.
func TestGroupsArePartitions(t *testing.T) {
	for _, o := range Orders() {
		for _, side := range []int{1, 8, 12} {
			for _, size := range []int{1, 4, 16, side * side} {
				groups, err := Groups(o, side, size, 3)
				if err != nil {
					if side == 1 && size > 1 {
						continue
					}
					t.Fatalf("%s, %dx%d by %d: %v", o, side, side, size, err)
				}
				all := slices.Concat(groups...)
				slices.Sort(all)
				if !slices.Equal(all, identity(side*side)) {
					t.Errorf("%s, %dx%d by %d: not every pixel once", o, side, side, size)
				}
				if want := (side*side + size - 1) / size; len(groups) != want {
					t.Errorf("%s, %dx%d by %d: %d groups, want %d", o, side, side, size, len(groups), want)
				}
				for j, g := range groups {
					if len(g) == 0 || o != Growing && len(g) != min(size, side*side) || o == Growing && j > 0 && len(g)+1 < len(groups[j-1]) {
						t.Errorf("%s, %dx%d by %d: group %d has %d pixels", o, side, side, size, j, len(g))
					}
				}
			}
		}
	}
	if groups, _ := Groups(Blocks, 8, 4, 0); !slices.Equal(groups[1], []int{2, 3, 10, 11}) {
		t.Errorf("the second 2x2 block is %v", groups[1])
	}
	if groups, _ := Groups(Lattice, 8, 4, 0); !slices.Equal(groups[0], []int{0, 4, 32, 36}) {
		t.Errorf("the first lattice of 4 is %v", groups[0])
	}
	for _, bad := range []struct {
		o    Order
		size int
	}{{Blocks, 9}, {Lattice, 5}, {Random, 0}, {Random, 65}, {"diagonal", 1}} {
		if _, err := Groups(bad.o, 8, bad.size, 0); err == nil {
			t.Errorf("%s by %d of 8x8: no error", bad.o, bad.size)
		}
	}
}

// The price of drawing groups at once, on a field where it can be computed: the figures were computed by others too.
func TestFieldExcess(t *testing.T) {
	const side = 24
	cov := Field(side, 6, 1e-3)
	excess := func(o Order, size int, seed uint64) float64 {
		groups, err := Groups(o, side, size, seed)
		if err != nil {
			t.Fatal(err)
		}
		e, err := FieldExcess(cov, groups)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for _, c := range []struct {
		o         Order
		size      int
		want, tol float64
	}{
		{Blocks, 1, 0, 1e-12}, {Random, 1, 0, 1e-12},
		{Blocks, 16, 0.466, 0.0006}, {Blocks, 64, 0.789, 0.0006}, {Blocks, side * side, 1.207, 0.0006},
		{Lattice, 16, 0.0042, 0.0003},
	} {
		if got := excess(c.o, c.size, 1); math.Abs(got-c.want) > c.tol {
			t.Errorf("%s of %d: %.5f bits a pixel, want %.4f", c.o, c.size, got, c.want)
		}
	}
	const draws = 6
	for _, c := range []struct {
		size      int
		want, tol float64
	}{{4, 0.004, 0.001}, {16, 0.021, 0.0025}, {64, 0.10, 0.01}} {
		sum := 0.0
		for seed := range uint64(draws) {
			sum += excess(Random, c.size, seed)
		}
		if mean := sum / draws; math.Abs(mean-c.want) > c.tol {
			t.Errorf("random groups of %d: %.4f bits a pixel, want %.3f", c.size, mean, c.want)
		}
	}
	if small, equal := excess(Growing, 16, 1), excess(Random, 16, 1); !(small < equal) {
		t.Errorf("small groups first cost %.4f, groups of one size %.4f", small, equal)
	}
	if b, r := excess(Blocks, 16, 1), excess(Random, 16, 1); r > b/5 {
		t.Errorf("random groups of 16 cost %.4f, blocks %.4f", r, b)
	}
}

// A case that can be worked out by hand: two pixels with correlation r cost -log2(1-r^2)/2 bits when drawn together.
func TestFieldExcessOfTwo(t *testing.T) {
	const r = 0.8
	got, err := FieldExcess([][]float64{{1, r}, {r, 1}}, [][]int{{0, 1}})
	if want := -math.Log2(1-r*r) / 4; err != nil || math.Abs(got-want) > 1e-12 {
		t.Errorf("%v bits a pixel (%v), want %v", got, err, want)
	}
	if _, err := FieldExcess([][]float64{{1, 2}, {2, 1}}, [][]int{{0}, {1}}); err == nil {
		t.Error("a matrix that is no covariance is taken")
	}
	if _, err := FieldExcess([][]float64{{1}}, [][]int{{0, 1}}); err == nil {
		t.Error("groups of other pixels are taken")
	}
}
