//go:build !amd64 || purego

package simd

func winoFor(_ Level, tile int) Wino { return genericWino(tile) }
