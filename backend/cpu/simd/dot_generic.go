package simd

import "unsafe"

func dotGeneric(args *DotArgs) {
	half := func(p *uint16, i, n int) []uint16 {
		return unsafe.Slice((*uint16)(unsafe.Add(unsafe.Pointer(p), 2*i)), n)
	}
	var row [DotRows]float32
	starts := unsafe.Slice(args.Starts, args.Blocks)
	for i := range DotRows * args.Blocks {
		c := vec(args.C, i*DotRows, DotRows)
		clear(row[:])
		if args.Acc {
			copy(row[:], c)
		}
		for t, tap := range unsafe.Slice(args.Taps, args.NTaps) {
			a := half(args.A, starts[i/DotRows]+i%DotRows*args.Row+tap, args.KC)
			for k := 0; k < args.KC; k += 2 {
				x, y, pairs := FromBF16(a[k]), FromBF16(a[k+1]), half(args.B, (t*args.KC+k)/2*args.BRow, 2*DotRows)
				for j := range row {
					row[j] += x*FromBF16(pairs[2*j]) + y*FromBF16(pairs[2*j+1])
				}
			}
		}
		copy(c, row[:])
	}
}
