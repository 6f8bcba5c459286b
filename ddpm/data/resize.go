package data

import (
	"image"

	"golang.org/x/image/draw"
)

// resize turns a square picture [S,S,3] into [D,D,3]: the area average when it shrinks, Catmull-Rom when it grows.
func resize(rgb []byte, s, d int) []byte {
	switch {
	case s == d:
		return rgb
	case s > d:
		return shrink(rgb, s, d)
	}
	return enlarge(rgb, s, d)
}

// shrink averages over the area that each new pixel covers. In units of 1/D of an old pixel, new pixel i covers
// [i*S, (i+1)*S) and old pixel k covers [k*D, (k+1)*D): the weights are integers, their sum is S a side, and the result
// is exact up to one rounding, for factors that are whole and for those that are not.
func shrink(rgb []byte, s, d int) []byte {
	out := make([]byte, d*d*3)
	row := make([]uint64, d*3) // one old row averaged along x, times S
	acc := make([]uint64, d*3) // the new row being gathered, times S*S
	total := uint64(s) * uint64(s)
	flush := func(y int) {
		for i, v := range acc {
			out[y*d*3+i] = byte((v + total/2) / total)
			acc[i] = 0
		}
	}
	j := 0
	for y := range s {
		clear(row)
		i := 0
		for x := range s {
			p := rgb[(y*s+x)*3:]
			left, right := x*d, (x+1)*d
			if edge := (i + 1) * s; right > edge { // this old pixel straddles two new ones: D <= S, so never three
				w := uint64(edge - left)
				for c := range 3 {
					row[i*3+c] += w * uint64(p[c])
				}
				left = edge
				i++
			}
			w := uint64(right - left)
			for c := range 3 {
				row[i*3+c] += w * uint64(p[c])
			}
			if right == (i+1)*s {
				i++
			}
		}
		top, bottom := y*d, (y+1)*d
		if edge := (j + 1) * s; bottom > edge {
			w := uint64(edge - top)
			for k, v := range row {
				acc[k] += w * v
			}
			flush(j)
			top = edge
			j++
		}
		w := uint64(bottom - top)
		for k, v := range row {
			acc[k] += w * v
		}
		if bottom == (j+1)*s {
			flush(j)
			j++
		}
	}
	return out
}

func enlarge(rgb []byte, s, d int) []byte {
	dst := image.NewRGBA(image.Rect(0, 0, d, d))
	draw.CatmullRom.Scale(dst, dst.Rect, rgba(rgb, s, 3), image.Rect(0, 0, s, s), draw.Src, nil)
	out := make([]byte, d*d*3)
	for i := range d * d {
		copy(out[i*3:i*3+3], dst.Pix[i*4:])
	}
	return out
}

// rgba makes a picture of [S,S,C] bytes.
func rgba(p []byte, s, c int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, s, s))
	paste(m, 0, 0, p, s, c)
	return m
}

// paste draws [S,S,C] bytes at a place inside a picture.
func paste(m *image.RGBA, x0, y0 int, p []byte, s, c int) {
	for y := range s {
		o := m.PixOffset(x0, y0+y)
		for x := range s {
			q := p[(y*s+x)*c:]
			to := m.Pix[o+4*x : o+4*x+4]
			if c == 1 {
				to[0], to[1], to[2], to[3] = q[0], q[0], q[0], 255
			} else {
				to[0], to[1], to[2], to[3] = q[0], q[1], q[2], 255
			}
		}
	}
}

// luma turns [S,S,3] into [S,S,1]. The weights are Rec. 601's and add up to 1<<16, so grey stays as it was.
func luma(rgb []byte) []byte {
	out := make([]byte, len(rgb)/3)
	for i := range out {
		p := rgb[i*3:]
		out[i] = byte((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16)
	}
	return out
}
