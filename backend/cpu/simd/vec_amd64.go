//go:build amd64 && !purego

package simd

// vecLevel returns the assembly kernels of a level, nil for Generic.
func vecLevel(l Level) *vecKernels {
	switch l {
	case AVX2:
		return &vecAVX2
	case AVX512:
		return &vecAVX512
	}
	return nil
}

var vecAVX2 = vecKernels{
	add:            vecAddAVX2,
	sub:            vecSubAVX2,
	mul:            vecMulAVX2,
	axpby:          vecAxpbyAVX2,
	scaleAdd:       vecScaleAddAVX2,
	silu:           vecSiLUAVX2,
	siluGrad:       vecSiLUGradAVX2,
	imageToFloat:   vecImageToFloatAVX2,
	sum:            vecSumAVX2,
	sumSq:          vecSumSqAVX2,
	probe:          vecProbeAVX2,
	sumSqDiff:      vecSumSqDiffAVX2,
	softmax:        vecSoftmaxAVX2,
	softmaxBack:    vecSoftmaxBackAVX2,
	adamW:          vecAdamWAVX2,
	adamWEMA:       vecAdamWEMAAVX2,
	channelSums:    vecChannelSumsAVX2,
	finishMoments:  vecFinishMomentsAVX2,
	moments:        vecMomentsAVX2,
	merge:          vecMergeAVX2,
	rowSums:        vecRowSumsAVX2,
	affine:         vecAffineAVX2,
	affineSiLU:     vecAffineSiLUAVX2,
	affineSums:     vecAffineGradSumsAVX2,
	affineSiLUSums: vecAffineGradSumsSiLUAVX2,
	affineGrad:     vecAffineGradAVX2,
	addRow:         vecAddRowAVX2,
	normals:        vecNormalsAVX2,
	dropout:        vecDropoutAVX2,
	transpose:      vecTransposeAVX2,
	mixture:        vecMixtureAVX2,
	copyRows:       vecCopyRowsAVX2,
	addRows:        vecAddRowsAVX2,
}

var vecAVX512 = vecKernels{
	add:            vecAddAVX512,
	sub:            vecSubAVX512,
	mul:            vecMulAVX512,
	axpby:          vecAxpbyAVX512,
	scaleAdd:       vecScaleAddAVX512,
	silu:           vecSiLUAVX512,
	siluGrad:       vecSiLUGradAVX512,
	imageToFloat:   vecImageToFloatAVX512,
	sum:            vecSumAVX512,
	sumSq:          vecSumSqAVX512,
	probe:          vecProbeAVX512,
	sumSqDiff:      vecSumSqDiffAVX512,
	softmax:        vecSoftmaxAVX512,
	softmaxBack:    vecSoftmaxBackAVX512,
	adamW:          vecAdamWAVX512,
	adamWEMA:       vecAdamWEMAAVX512,
	channelSums:    vecChannelSumsAVX512,
	finishMoments:  vecFinishMomentsAVX512,
	moments:        vecMomentsAVX512,
	merge:          vecMergeAVX512,
	rowSums:        vecRowSumsAVX512,
	affine:         vecAffineAVX512,
	affineSiLU:     vecAffineSiLUAVX512,
	affineSums:     vecAffineGradSumsAVX512,
	affineSiLUSums: vecAffineGradSumsSiLUAVX512,
	affineGrad:     vecAffineGradAVX512,
	addRow:         vecAddRowAVX512,
	normals:        vecNormalsAVX512,
	dropout:        vecDropoutAVX512,
	transpose:      vecTransposeAVX512,
	mixture:        vecMixtureAVX512,
	copyRows:       vecCopyRowsAVX512,
	addRows:        vecAddRowsAVX512,
}
