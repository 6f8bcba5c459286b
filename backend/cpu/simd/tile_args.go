package simd

// This file has no imports: the generator backend/cpu/asm/tile reads it to
// learn the field offsets.

// MaxMR is the largest MR of any Tile.
const MaxMR = 8

// GEMMArgs are the arguments of Tile.GEMM, which computes an [MR, NR] tile
//
//	C[Out[i]+j] = (C[Out[i]+j] if Acc, else Bias[j]) + Add[AddOff[i]+j] +
//	    sum over t < NTaps, k < KC of A[Pix[i]+Taps[t]+k] * B[(t*KC+k)*NR+j]
//
// for i < MR and j < NR. The sum begins with C or Bias, so that a sum in parts
// is to the last bit that of the whole. All offsets count float32 elements and may be
// negative. A tile is always computed and written whole: a caller with fewer
// than MR rows repeats one or sends the rest to scratch, and pads the columns
// of B. All reads of C and Add come before all writes of C, so a row repeated
// with the same Pix, Out and AddOff is computed once in effect, even if Acc.
type GEMMArgs struct {
	A      *float32   // base of the input, for instance NHWC with a zero halo
	Pix    [MaxMR]int // offset of each row's pixel from A
	Taps   *int       // [NTaps] offsets added to each pixel
	NTaps  int        // taps; 1 for a matrix product
	KC     int        // contiguous elements read at each tap
	B      *float32   // [NTaps*KC, NR] packed
	C      *float32   // base of the output
	Out    [MaxMR]int // offset of each output row from C
	Bias   *float32   // [NR], or nil for none
	Add    *float32   // base of a residual, or nil for none; may be C
	AddOff [MaxMR]int // offset of each residual row from Add
	Acc    bool       // go on from what C holds
	Ahead  *float32   // from here on, Fetched(KC) floats for each tap are fetched into the second-level cache; nil for nothing
}

// OuterArgs are the arguments of Tile.Outer, which computes an [MR, NR] tile
//
//	C[i*NR+j] = (C[i*NR+j] if Acc) + sum over r < Rows, p < P of
//	    X[XRows[r]+p*XStride+i] * Y[YRows[r]+p*YStride+j]
//
// for i < MR and j < NR: a tile of a weight gradient, with r over image rows
// and p over the pixels of a row. Offsets and strides count float32 elements.
// MR elements of X and NR elements of Y may be read at every pixel, also where the caller needs fewer; XN and YN say how
// many it needs, 0 all. The plain Go kernel reads no more than those.
type OuterArgs struct {
	X, Y    *float32 // base of the input and of the output's gradient, NHWC
	XRows   *int     // [Rows] offset of each row's first pixel from X
	YRows   *int     // [Rows] offset of each row's first pixel from Y
	Rows    int      // rows of pixels
	P       int      // pixels a row
	XStride int      // from one pixel of X to the next
	YStride int      // from one pixel of Y to the next
	C       *float32 // [MR, NR] contiguous
	Acc     bool     // add to what C holds
	XN, YN  int      // elements of X and Y that matter, 0 for MR and NR
}
