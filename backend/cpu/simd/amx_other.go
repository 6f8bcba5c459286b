//go:build !linux && amd64 && !purego

package simd

func amxPermitted() bool { return false }
