package simd

import "unsafe"

// The Generic tile is computed in blocks of 2x4, whose accumulators and
// operands fit 16 scalar registers.
const (
	genericMR = 4
	genericNR = 8
)

var genericTile = Tile{genericMR, genericNR, gemmGeneric, outerGeneric}

// at returns the element at offset i from p.
func at(p *float32, i int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*i))
}

// vec returns n elements at offset i from p.
func vec(p *float32, i, n int) []float32 { return unsafe.Slice(at(p, i), n) }

func gemmGeneric(args *GEMMArgs) {
	var tile [genericMR][genericNR]float32
	if args.Bias != nil {
		bias := [genericNR]float32(vec(args.Bias, 0, genericNR))
		for i := range tile {
			tile[i] = bias
		}
	}
	for t, tap := range unsafe.Slice(args.Taps, args.NTaps) {
		if args.KC == 0 {
			break
		}
		b := vec(args.B, t*args.KC*genericNR, args.KC*genericNR)
		for i := 0; i < genericMR; i += 2 {
			x := vec(args.A, args.Pix[i]+tap, args.KC)
			y := vec(args.A, args.Pix[i+1]+tap, args.KC)
			for j := 0; j < genericNR; j += 4 {
				dot2x4((*[4]float32)(tile[i][j:]), (*[4]float32)(tile[i+1][j:]), x, y, b[j:])
			}
		}
	}
	// All reads of C come before all writes, so that rows may repeat.
	for i := range tile {
		if args.Add != nil {
			addTo(&tile[i], at(args.Add, args.AddOff[i]))
		}
		if args.Acc {
			addTo(&tile[i], at(args.C, args.Out[i]))
		}
	}
	for i := range tile {
		copy(vec(args.C, args.Out[i], genericNR), tile[i][:])
	}
}

// addTo adds genericNR elements at p to row.
func addTo(row *[genericNR]float32, p *float32) {
	for j, v := range vec(p, 0, genericNR) {
		row[j] += v
	}
}

// dot2x4 adds to c [4] and d [4] the products of x [K] and y [K] with four
// columns of b [K, genericNR].
func dot2x4(c, d *[4]float32, x, y, b []float32) {
	c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
	d0, d1, d2, d3 := d[0], d[1], d[2], d[3]
	y = y[:len(x)]
	p := unsafe.Pointer(unsafe.SliceData(b))
	for k, xv := range x {
		yv := y[k]
		bk := (*[4]float32)(unsafe.Add(p, k*genericNR*4))
		c0 += xv * bk[0]
		c1 += xv * bk[1]
		c2 += xv * bk[2]
		c3 += xv * bk[3]
		d0 += yv * bk[0]
		d1 += yv * bk[1]
		d2 += yv * bk[2]
		d3 += yv * bk[3]
	}
	*c = [4]float32{c0, c1, c2, c3}
	*d = [4]float32{d0, d1, d2, d3}
}

func outerGeneric(args *OuterArgs) {
	var tile [genericMR][genericNR]float32
	c := vec(args.C, 0, genericMR*genericNR)
	if args.Acc {
		for i := range tile {
			copy(tile[i][:], c[i*genericNR:])
		}
	}
	yrows := unsafe.Slice(args.YRows, args.Rows)
	for r, xrow := range unsafe.Slice(args.XRows, args.Rows) {
		yrow := yrows[r]
		for i := 0; i < genericMR; i += 2 {
			for j := 0; j < genericNR; j += 4 {
				outer2x4((*[4]float32)(tile[i][j:]), (*[4]float32)(tile[i+1][j:]),
					args, xrow+i, yrow+j)
			}
		}
	}
	for i := range tile {
		copy(c[i*genericNR:], tile[i][:])
	}
}

// outer2x4 adds to c [4] and d [4] the products of X's channels xoff and
// xoff+1 with Y's four at yoff, over args.P pixels.
func outer2x4(c, d *[4]float32, args *OuterArgs, xoff, yoff int) {
	c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
	d0, d1, d2, d3 := d[0], d[1], d[2], d[3]
	for range args.P {
		x := (*[2]float32)(unsafe.Pointer(at(args.X, xoff)))
		y := (*[4]float32)(unsafe.Pointer(at(args.Y, yoff)))
		c0 += x[0] * y[0]
		c1 += x[0] * y[1]
		c2 += x[0] * y[2]
		c3 += x[0] * y[3]
		d0 += x[1] * y[0]
		d1 += x[1] * y[1]
		d2 += x[1] * y[2]
		d3 += x[1] * y[3]
		xoff += args.XStride
		yoff += args.YStride
	}
	*c = [4]float32{c0, c1, c2, c3}
	*d = [4]float32{d0, d1, d2, d3}
}
