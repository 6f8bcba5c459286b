//go:build !amd64 || purego

package simd

// DotFor is the fastest Dot of this machine, and whether its processor has one.
func DotFor() (Dot, bool) { return DotPlain, false }

// Dots is every Dot of this machine.
func Dots() []Dot { return []Dot{DotPlain} }
