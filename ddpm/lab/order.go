package lab

import (
	"fmt"
	"math"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// An Order says which pixels of an image are drawn together, and what comes first.
type Order string

// The orders.
const (
	Blocks  Order = "blocks"  // contiguous squares, in raster order
	Random  Order = "random"  // random pixels in every group
	Lattice Order = "lattice" // pixels as far from each other as they can be: every s-th in both directions
	Growing Order = "growing" // random pixels, few in the first groups and many in the last
	Raster  Order = "raster"  // runs of pixels, row by row
)

// Orders are all of them.
func Orders() []Order { return []Order{Blocks, Random, Lattice, Growing, Raster} }

// orderEpoch keeps the shuffles of pixels apart from those of images, which have the same stream.
const orderEpoch = 1 << 40

// Groups divides the pixels 0..side*side-1 (y*side+x) of an image into groups of size pixels, which are drawn in turn: the last may be
// smaller, and growing groups are of that size on average. Members of a group are in raster order. The seed matters where something
// is random.
func Groups(o Order, side, size int, seed uint64) ([][]int, error) {
	n := side * side
	if side < 1 || size < 1 || size > n {
		return nil, fmt.Errorf("groups of %d pixels of an image of %d: want 1 to %d", size, n, n)
	}
	root := int(math.Round(math.Sqrt(float64(size))))
	square := root*root == size && side%root == 0
	switch o {
	case Raster:
		return cut(identity(n), size), nil
	case Random:
		return cut(shuffled(n, seed), size), nil
	case Growing:
		return growing(shuffled(n, seed), (n+size-1)/size), nil
	case Blocks:
		if !square {
			return nil, fmt.Errorf("blocks of %d pixels do not fill %dx%d: want the square of a divisor of %d, such as 1, 4 or 16", size, side, side, side)
		}
		return blocks(side, root), nil
	case Lattice:
		if !square {
			return nil, fmt.Errorf("a lattice of %d pixels does not fit %dx%d: want the square of a divisor of %d, such as 1, 4 or 16", size, side, side, side)
		}
		return lattice(side, side/root), nil
	}
	return nil, fmt.Errorf("order %q is unknown, want one of %v", o, Orders())
}

// Singles are the same pixels in the same order, one at a time.
func Singles(groups [][]int) [][]int {
	return cut(slices.Concat(groups...), 1)
}

func identity(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	return p
}

func shuffled(n int, seed uint64) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = int(rng.Permute(uint32(i), uint32(n), seed, orderEpoch))
	}
	return p
}

func cut(order []int, size int) [][]int {
	var groups [][]int
	for part := range slices.Chunk(order, size) {
		part = slices.Clone(part)
		slices.Sort(part)
		groups = append(groups, part)
	}
	return groups
}

// growing ends group j of m where a share ((j+1)/m)^2 of the pixels is drawn: sizes grow in proportion to j, and the number of groups
// is that of equal ones.
func growing(order []int, m int) [][]int {
	var groups [][]int
	n, from := len(order), 0
	for j := range m {
		share := float64(j+1) / float64(m)
		to := max(from+1, int(math.Round(float64(n)*share*share)))
		to = min(to, n-(m-1-j)) // one each is left for the others
		groups = append(groups, cut(order[from:to], to-from)...)
		from = to
	}
	return groups
}

func blocks(side, k int) [][]int {
	var groups [][]int
	for by := 0; by < side; by += k {
		for bx := 0; bx < side; bx += k {
			var g []int
			for y := range k {
				for x := range k {
					g = append(g, (by+y)*side+bx+x)
				}
			}
			groups = append(groups, g)
		}
	}
	return groups
}

// lattice has a group for each of the stride^2 offsets. Each offset is the one that is farthest from those before, on the torus of
// offsets, where ties go to the first in raster order: so what is known is always spread evenly.
func lattice(side, stride int) [][]int {
	var groups [][]int
	left := identity(stride * stride)
	near := make([]int, stride*stride) // squared distance to the nearest offset taken
	for i := range near {
		near[i] = math.MaxInt
	}
	around := func(d int) int { d = max(d, -d); return min(d, stride-d) }
	for len(left) > 0 {
		best := 0
		for i := range left {
			if near[left[i]] > near[left[best]] {
				best = i
			}
		}
		at := left[best]
		left = slices.Delete(left, best, best+1)
		var g []int
		for y := at / stride; y < side; y += stride {
			for x := at % stride; x < side; x += stride {
				g = append(g, y*side+x)
			}
		}
		groups = append(groups, g)
		for _, i := range left {
			dx, dy := around(i%stride-at%stride), around(i/stride-at/stride)
			near[i] = min(near[i], dx*dx+dy*dy)
		}
	}
	return groups
}
