package cpu

import "github.com/ddpm-tui/ddpm-tui/backend"

// Winograd's convolution F(4x4, 3x3) (Lavin and Gray, 2016; the matrices are in simd.Wino). The output is cut into tiles of
// 4x4, each of which reads a patch of 6x6 of the input. In the transformed domain a patch and the kernel are 36 numbers for each
// channel, and the convolution is 36 products of matrices, [tiles, in] x [in, out], where the direct form has 144.

// planes is the number of the products, each of whose matrices is called a plane.
const planes = 36

// planeGap is floats behind each plane, one cache line: planes a power of two apart would share a few sets of the cache.
const planeGap = 16

// winogradShare is how many elements of the kernel's matrix [in, out] there may be for each tile: with more, transforming the
// kernel, to planes four times its size, takes longer than the products save.
const winogradShare = 16384

// winograd reports whether a convolution of n images between in and out channels, or a gradient of one, takes this form: a rule
// on shape and instruction set alone, so that a run goes on with the same numbers.
func (b *Backend) winograd(a backend.Conv, n, in, out int) bool {
	if b.exact || a != (backend.Conv{KH: 3, KW: 3, Stride: 1, Top: 1, Left: 1, Bottom: 1, Right: 1, H: a.H, W: a.W}) {
		return false
	}
	tiles := winoTiles{n, a.H / 4, a.W / 4}.count()
	return a.H%4 == 0 && a.W%4 == 0 && in%b.wino.Lanes == 0 && out%b.wino.Lanes == 0 && tiles >= max(4, in*out/winogradShare)
}

// winoTiles is a batch cut into tiles: images, and tiles down and across each.
type winoTiles struct{ n, h, w int }

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

// patch is where the 6x6 inputs of a tile of m begin, with border 1, or its 4x4 outputs, with border 0.
func (m image) patch(n, y, x, border int) *float32 {
	return ptr(m.p, n*m.imgs+(4*y-border)*m.rows+(4*x-border)*m.pixs)
}
