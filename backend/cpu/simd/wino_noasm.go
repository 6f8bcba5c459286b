//go:build !amd64 || purego

package simd

func winoFor(Level) Wino { return genericWino }
