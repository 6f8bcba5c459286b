//go:build !amd64 || purego

package simd

// HasDot says whether the processor has one.
func HasDot() bool { return false }

// DotFor is the fastest Dot of this machine.
func DotFor() Dot { return DotPlain }

// Dots is every Dot of this machine.
func Dots() []Dot { return []Dot{DotPlain} }
