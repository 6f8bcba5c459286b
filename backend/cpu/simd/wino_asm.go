//go:build amd64 && !purego

package simd

func winoFor(l Level, tile int) Wino {
	switch {
	case l == AVX512 && tile == 2:
		return Wino{2, 16, winoInput2AVX512, winoOutput2AVX512, winoWeights2AVX512, winoOutputGrad2AVX512, winoWeightsGrad2AVX512, nil}
	case l == AVX512:
		return Wino{4, 16, winoInputAVX512, winoOutputAVX512, winoWeightsAVX512, winoOutputGradAVX512, winoWeightsGradAVX512, winoProductAVX512}
	case l == AVX2 && tile == 2:
		return Wino{2, 8, winoInput2AVX2, winoOutput2AVX2, winoWeights2AVX2, winoOutputGrad2AVX2, winoWeightsGrad2AVX2, nil}
	case l == AVX2:
		return Wino{4, 8, winoInputAVX2, winoOutputAVX2, winoWeightsAVX2, winoOutputGradAVX2, winoWeightsGradAVX2, nil}
	}
	return genericWino(tile)
}
