package simd

import "fmt"

// Transpose computes dst[j*ld+i] = src[i*ls+j] for i < rows, j < cols. What lies
// between the rows of dst and of src is neither read nor written.
func (v *Vec) Transpose(dst []float32, ld int, src []float32, ls, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	if ld < rows || ls < cols || len(dst) < (cols-1)*ld+rows || len(src) < (rows-1)*ls+cols {
		panic(fmt.Sprintf("simd: Transpose: %d floats, rows %d apart, to %d floats, rows %d apart, cannot hold [%d, %d]",
			len(src), ls, len(dst), ld, rows, cols))
	}
	const block = 8
	i, whole := 0, cols/block*block
	if v.k.transpose != nil && whole > 0 {
		for ; i+block <= rows; i += block {
			v.k.transpose(dst[i:], ld, src[i*ls:], ls, whole/block)
			transposeRest(dst, ld, src, ls, i, i+block, whole, cols)
		}
	}
	transposeRest(dst, ld, src, ls, i, rows, 0, cols)
}

// transposeRest does the rows [i, rows) from column j on, one by one.
func transposeRest(dst []float32, ld int, src []float32, ls, i, rows, j, cols int) {
	for ; i < rows; i++ {
		for k := j; k < cols; k++ {
			dst[k*ld+i] = src[i*ls+k]
		}
	}
}
