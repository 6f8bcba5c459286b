package simd

import "unsafe"

// The Generic tile is computed in blocks of 3x2. On amd64 the compiler spills
// an accumulator of any block of 8, which takes twice as long.
const (
	genericMR = 6
	genericNR = 8
)

var genericTile = Tile{genericMR, genericNR, gemmGeneric, outerGeneric, nil, nil}

// at returns the element at offset i from p.
func at(p *float32, i int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*i))
}

// vec returns n elements at offset i from p.
func vec(p *float32, i, n int) []float32 { return unsafe.Slice(at(p, i), n) }

func gemmGeneric(args *GEMMArgs) {
	var tile [genericMR][genericNR]float32
	if args.Acc {
		for i := range tile {
			copy(tile[i][:], vec(args.C, args.Out[i], genericNR))
		}
	} else if args.Bias != nil {
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
		for i := 0; i < genericMR; i += 3 {
			x := vec(args.A, args.Pix[i]+tap, args.KC)
			y := vec(args.A, args.Pix[i+1]+tap, args.KC)
			z := vec(args.A, args.Pix[i+2]+tap, args.KC)
			for j := 0; j < genericNR; j += 2 {
				dot3x2((*[3][genericNR]float32)(tile[i:]), j, x, y, z, b)
			}
		}
	}
	// All reads of C come before all writes, so that rows may repeat.
	if args.Add != nil {
		for i := range tile {
			addTo(&tile[i], at(args.Add, args.AddOff[i]))
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

// dot3x2 adds to columns j and j+1 of c the products of the rows x, y and z
// [K] with those columns of b [K, genericNR].
func dot3x2(c *[3][genericNR]float32, j int, x, y, z, b []float32) {
	c0, c1 := c[0][j], c[0][j+1]
	d0, d1 := c[1][j], c[1][j+1]
	e0, e1 := c[2][j], c[2][j+1]
	y, z = y[:len(x)], z[:len(x)]
	p := unsafe.Pointer(&b[j])
	for k, xv := range x {
		yv, zv := y[k], z[k]
		bk := (*[2]float32)(unsafe.Add(p, k*genericNR*4))
		c0 += xv * bk[0]
		c1 += xv * bk[1]
		d0 += yv * bk[0]
		d1 += yv * bk[1]
		e0 += zv * bk[0]
		e1 += zv * bk[1]
	}
	c[0][j], c[0][j+1] = c0, c1
	c[1][j], c[1][j+1] = d0, d1
	c[2][j], c[2][j+1] = e0, e1
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
	edge := args.XN > 0 && args.XN < genericMR || args.YN > 0 && args.YN < genericNR
	for r, xrow := range unsafe.Slice(args.XRows, args.Rows) {
		yrow := yrows[r]
		if edge {
			outerEdge(&tile, args, xrow, yrow)
			continue
		}
		for i := 0; i < genericMR; i += 3 {
			for j := 0; j < genericNR; j += 2 {
				outer3x2((*[3][genericNR]float32)(tile[i:]), j, args, xrow+i, yrow+j)
			}
		}
	}
	for i := range tile {
		copy(c[i*genericNR:], tile[i][:])
	}
}

// outerEdge adds the products of the XN channels of X at xoff with the YN of Y at yoff, over args.P pixels. Others may be
// another task's to write.
func outerEdge(c *[genericMR][genericNR]float32, args *OuterArgs, xoff, yoff int) {
	xn, yn := args.XN, args.YN
	if xn == 0 {
		xn = genericMR
	}
	if yn == 0 {
		yn = genericNR
	}
	for range args.P {
		y := vec(args.Y, yoff, yn)
		for i, xv := range vec(args.X, xoff, xn) {
			row := c[i][:yn]
			for j, yv := range y {
				row[j] += xv * yv
			}
		}
		xoff += args.XStride
		yoff += args.YStride
	}
}

// outer3x2 adds to columns j and j+1 of c the products of X's three channels
// at xoff with Y's two at yoff, over args.P pixels.
func outer3x2(c *[3][genericNR]float32, j int, args *OuterArgs, xoff, yoff int) {
	c0, c1 := c[0][j], c[0][j+1]
	d0, d1 := c[1][j], c[1][j+1]
	e0, e1 := c[2][j], c[2][j+1]
	xp, yp := args.X, args.Y
	xs, ys := args.XStride, args.YStride
	for range args.P {
		x := (*[3]float32)(unsafe.Pointer(at(xp, xoff)))
		y := (*[2]float32)(unsafe.Pointer(at(yp, yoff)))
		c0 += x[0] * y[0]
		c1 += x[0] * y[1]
		d0 += x[1] * y[0]
		d1 += x[1] * y[1]
		e0 += x[2] * y[0]
		e1 += x[2] * y[1]
		xoff += xs
		yoff += ys
	}
	c[0][j], c[0][j+1] = c0, c1
	c[1][j], c[1][j+1] = d0, d1
	c[2][j], c[2][j+1] = e0, e1
}
