package simd

// This file has no imports: the generator backend/cpu/asm/dot reads it to learn the field offsets.

const (
	DotRows = 32 // rows of a block, and columns
	DotK    = 32 // what KC is a multiple of
)

// DotArgs are the arguments of Dot.Run, which computes blocks of 32 rows and 32 columns
//
//	C[(b*32+i)*32+j] = (C[(b*32+i)*32+j] if Acc) +
//	    sum over t < NTaps, k < KC of A[Starts[b]+i*Row+Taps[t]+k] * B[(t*KC+k)/2*BRow+2*j+k%2]
//
// for b < Blocks, i < 32 and j < 32, with A and B in bf16 and sums in float32. Offsets count elements and may be negative, and odd.
type DotArgs struct {
	A      *uint16
	Row    int  // from one row of a block to the next
	Starts *int // [Blocks] offset of each block's first row
	Taps   *int // [NTaps] offsets added to each row
	NTaps  int  // at least 1
	KC     int  // contiguous elements read at each tap, a multiple of DotK
	B      *uint16
	BRow   int // from one row of pairs of B to the next
	C      *float32
	Blocks int // at least 1
	Acc    bool
}
