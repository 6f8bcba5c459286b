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

// WinoTiles is how many tiles Wino.Product computes at a time.
const WinoTiles = 4

// WinoProductArgs are the arguments of Wino.Product: for each of the 36 places p, WinoTiles tiles t and Lanes output channels j,
//
//	M[p*MPlane+t*MTile+j] = (that if Acc) + sum over c < KC of V[p*VPlane+t*VTile+c] * (kernel c, j)[p]
//
// where V holds transformed inputs and G the kernels before they are transformed. Strides count float32 elements.
type WinoProductArgs struct {
	G             *float32 // [KC, 3, 3, Lanes]
	V             *float32
	VPlane, VTile int
	M             *float32
	MPlane, MTile int
	KC            int // even, not 0
	Acc           bool
	Ahead         *float32 // from here on, as much as G holds is fetched into the second-level cache
}
