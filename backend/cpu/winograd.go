package cpu

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// Winograd's convolutions F(4x4, 3x3) and F(2x2, 3x3) (Lavin and Gray, 2016; the matrices are in simd.Wino). The output is cut
// into tiles of 4x4 (2x2), each of which reads a patch of 6x6 (4x4) of the input. In the transformed domain a patch and the kernel
// are 36 (16) numbers for each channel, and the convolution is 36 (16) products of matrices, [tiles, in] x [in, out], where the
// direct form has 144 (36) for as many outputs.

// planeGap is floats behind each plane, the matrix of one of the products: one cache line. Planes a power of two apart would share
// a few sets of the cache.
const planeGap = 16

// What the forms cost was measured: see docs/benchmarks.md. Each is a rule on shape and instruction set alone, so that a run goes
// on with the same numbers. That of a forward pass does not look at the number of images either: an image that is sampled is the same
// alone as among others.
const (
	winoOne4    = 4       // tiles of 4x4 of one image, from 8x8 pixels on
	winoOne2    = 4       // else tiles of 2x2 of one image,
	winoKernel2 = 1 << 15 // and input times output channels; with less of either the direct form is best

	winoTiles4  = 16      // tiles of 4x4 of all images for a data gradient, so that transforming the kernel, to planes four times its size, is made up for
	winoTiles2  = 8       // else tiles of 2x2, where planes are not twice its size,
	winoWork2   = 1 << 18 // and how many products of tiles and channels there must be more than
	winoWeight4 = 4       // tiles of 4x4 for a weight gradient, which transforms no kernel
)

// winograd is the form that a convolution between in and out channels takes, nil the direct one.
func (b *Backend) winograd(a backend.Conv, in, out int) *simd.Wino {
	tiles4, tiles2 := b.tiles(a, 1, in, out)
	switch {
	case tiles4 >= winoOne4:
		return &b.wino4
	case tiles2 >= winoOne2 && in*out >= winoKernel2:
		return &b.wino2
	}
	return nil
}

// winogradData is the form of a data gradient of n images, a convolution from in to out channels.
func (b *Backend) winogradData(a backend.Conv, n, in, out int) *simd.Wino {
	tiles4, tiles2 := b.tiles(a, n, in, out)
	switch {
	case tiles4 >= winoTiles4:
		return &b.wino4
	case tiles2 >= winoTiles2 && tiles2*in*out > winoWork2:
		return &b.wino2
	}
	return nil
}

// winogradWeight is the form of a weight gradient.
func (b *Backend) winogradWeight(a backend.Conv, n, in, out int) *simd.Wino {
	tiles4, tiles2 := b.tiles(a, n, in, out)
	switch {
	case tiles4 >= winoWeight4:
		return &b.wino4
	case tiles2 >= winoTiles2:
		return &b.wino2
	}
	return nil
}

// tiles is how many tiles of 4x4 and of 2x2 a convolution has; none where Winograd's form does not do it.
func (b *Backend) tiles(a backend.Conv, n, in, out int) (tiles4, tiles2 int) {
	lanes := b.wino4.Lanes
	if b.exact || a != (backend.Conv{KH: 3, KW: 3, Stride: 1, Top: 1, Left: 1, Bottom: 1, Right: 1, H: a.H, W: a.W}) || in%lanes != 0 || out%lanes != 0 {
		return 0, 0
	}
	if a.H%4 == 0 && a.W%4 == 0 {
		tiles4 = tilesOf(&b.wino4, n, a.H, a.W).count()
	}
	if a.H%2 == 0 && a.W%2 == 0 {
		tiles2 = tilesOf(&b.wino2, n, a.H, a.W).count()
	}
	return tiles4, tiles2
}

// winoTiles is a batch cut into tiles: images, and tiles down and across each.
type winoTiles struct{ n, h, w int }

func tilesOf(form *simd.Wino, n, h, w int) winoTiles {
	return winoTiles{n, h / form.Tile, w / form.Tile}
}

func (t winoTiles) count() int { return t.n * t.h * t.w }

// runs calls f for the tiles [from, to), in runs that lie side by side: the first's number after from, image and place, and how
// many.
func (t winoTiles) runs(from, to int, f func(i, n, y, x, count int)) {
	for i := from; i < to; {
		x := i % t.w
		count := min(to-i, t.w-x)
		f(i-from, i/t.w/t.h, i/t.w%t.h, x, count)
		i += count
	}
}

// patch is where the inputs of a tile of m begin, with border 1, or its outputs, with border 0.
func (m image) patch(form *simd.Wino, n, y, x, border int) *float32 {
	return ptr(m.p, n*m.imgs+(form.Tile*y-border)*m.rows+(form.Tile*x-border)*m.pixs)
}
