//go:build amd64 && !purego

package simd

import "golang.org/x/sys/cpu"

// HasDot says whether the processor has one.
func HasDot() bool { return hardware() == AVX512 && cpu.X86.HasAVX512BF16 }

// DotFor is the fastest Dot of this machine. It asks the system for the use of AMX.
func DotFor() Dot {
	list := Dots()
	return list[len(list)-1]
}

// Dots is every Dot of this machine, the slowest first.
func Dots() []Dot {
	list := []Dot{DotPlain}
	if x := &cpu.X86; HasDot() {
		list = append(list, Dot{"avx512_bf16", false, dotAVX512, roundAVX512, pairAVX512})
		if x.HasAMXTile && x.HasAMXBF16 && amxPermitted() {
			list = append(list, Dot{"amx", true, dotAMX, roundAVX512, pairAVX512})
		}
	}
	return list
}
