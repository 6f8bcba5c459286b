package simd

// This file has no imports: the generator backend/cpu/asm/wino reads it to
// learn the field offsets.

// WinoScratch is the floats of scratch memory that a transform needs.
const WinoScratch = 36 * 16

// WinoArgs are the arguments of the transforms of Wino: Count matrices of
// vectors of N channels. Element (i, j) of matrix m is the N floats at
//
//	Src + m*SrcNext + i*SrcRow + j*SrcCol
//
// and likewise in Dst. Strides count float32 elements and may be negative. N is
// a multiple of Wino.Lanes. Src and Dst must not overlap.
type WinoArgs struct {
	Src                     *float32
	SrcRow, SrcCol, SrcNext int
	Dst                     *float32
	DstRow, DstCol, DstNext int
	N, Count                int
	Bias                    *float32 // [N], which Output adds to every element; or nil
	Scratch                 *float32 // [WinoScratch], undefined content
}
