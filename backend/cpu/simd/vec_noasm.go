//go:build !amd64 || purego

package simd

// vecLevel returns the assembly kernels of a level; this build has none.
func vecLevel(Level) *vecKernels { return nil }
