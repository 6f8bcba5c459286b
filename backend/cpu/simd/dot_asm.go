//go:build amd64 && !purego

package simd

import "golang.org/x/sys/cpu"

// DotFor is the fastest Dot of this machine, and whether its processor has one. It asks the system for the use of AMX.
func DotFor() (Dot, bool) {
	list := Dots()
	return list[len(list)-1], len(list) > 1
}

// Dots is every Dot of this machine, the slowest first.
func Dots() []Dot {
	list := []Dot{DotPlain}
	if x := &cpu.X86; hardware() == AVX512 && x.HasAVX512BF16 {
		list = append(list, Dot{"avx512_bf16", false, dotAVX512, roundAVX512, pairAVX512})
		if x.HasAMXTile && x.HasAMXBF16 && amxPermitted() {
			list = append(list, Dot{"amx", true, dotAMX, roundAVX512, pairAVX512})
		}
	}
	return list
}
