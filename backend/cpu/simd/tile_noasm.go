//go:build !amd64 || purego

package simd

// haveAsm says whether this build contains the assembly kernels.
const haveAsm = false

func tileFor(Level) Tile { return genericTile }

func peakStep(Level) (func(steps int), int) { return peakGeneric, peakGenericFlops }
