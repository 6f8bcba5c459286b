//go:build amd64 && !purego

package simd

func winoFor(l Level) Wino {
	switch l {
	case AVX512:
		return Wino{16, winoInputAVX512, winoOutputAVX512, winoWeightsAVX512, winoOutputGradAVX512, winoWeightsGradAVX512}
	case AVX2:
		return Wino{8, winoInputAVX2, winoOutputAVX2, winoWeightsAVX2, winoOutputGradAVX2, winoWeightsGradAVX2}
	}
	return genericWino
}
