//go:build amd64 && !purego

package simd

// haveAsm says whether this build contains the assembly kernels.
const haveAsm = true

func tileFor(l Level) Tile {
	switch l {
	case AVX512:
		return Tile{8, 32, gemmAVX512, outerAVX512, gemmNarrowAVX512, gemmShortAVX512}
	case AVX2:
		return Tile{6, 16, gemmAVX2, outerAVX2, gemmNarrowAVX2, gemmShortAVX2}
	}
	return genericTile
}

// peakStep returns a function that runs a number of steps of independent
// multiply-adds, and the floating-point operations of one step.
func peakStep(l Level) (func(steps int), int) {
	switch l {
	case AVX512:
		return peakAVX512, 2 * 8 * 32
	case AVX2:
		return peakAVX2, 2 * 6 * 16
	}
	return peakGeneric, peakGenericFlops
}
