package picture

import (
	"image"
	"image/draw"
)

// fit is the largest size of a w by h picture inside a box of pixels. Enlarging takes a whole factor, so that every source pixel is
// a square of the same size, unless that would leave more than a quarter of the box's width or height unused.
func fit(w, h, boxW, boxH int) (int, int) {
	if w <= 0 || h <= 0 || boxW <= 0 || boxH <= 0 {
		return 0, 0
	}
	fw, fh := boxW, max(1, h*boxW/w)
	if boxW*h > boxH*w {
		fw, fh = max(1, w*boxH/h), boxH
	}
	if k := min(boxW/w, boxH/h); k >= 1 && 4*k*w >= 3*fw {
		return w * k, h * k
	}
	return fw, fh
}

// pixels is img as RGBA with its origin at 0, 0.
func pixels(img image.Image) *image.RGBA {
	b := img.Bounds()
	if m, ok := img.(*image.RGBA); ok && b.Min == (image.Point{}) {
		return m
	}
	m := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(m, m.Rect, img, b.Min, draw.Src)
	return m
}

// scaleInto draws the rectangle from of src over the rectangle to of dst. Every pixel becomes the mean of the area it covers: by a
// whole factor that is the nearest pixel, shrinking it shows no noise that is not in the picture, and enlarging by a broken factor
// keeps pixels sharp and of even size.
func scaleInto(dst *image.RGBA, to image.Rectangle, src *image.RGBA, from image.Rectangle) {
	if to.Empty() || from.Empty() {
		return
	}
	xs, ys := covers(from.Dx(), to.Dx()), covers(from.Dy(), to.Dy())
	sums := make([]int, 4*from.Dx()) // of the rows under a row, weighted
	var before []byte                // the row above, where it came from one row of src
	last := -1
	for y, cy := range ys {
		row := dst.Pix[dst.PixOffset(to.Min.X, to.Min.Y+y):][:4*to.Dx()]
		at := src.Pix[src.PixOffset(from.Min.X, from.Min.Y+cy.first):]
		if len(cy.weights) == 1 {
			if cy.first == last {
				copy(row, before)
				continue
			}
			before, last = row, cy.first
			if to.Dx()%from.Dx() == 0 {
				for x, cx := range xs {
					copy(row[4*x:4*x+4], at[4*cx.first:4*cx.first+4])
				}
				continue
			}
		}
		clear(sums)
		for v, w := range cy.weights {
			for i, c := range at[v*src.Stride:][:len(sums)] {
				sums[i] += w * int(c)
			}
		}
		for x, cx := range xs {
			p := row[4*x : 4*x+4 : 4*x+4]
			r, g, b, a := unit*unit/2, unit*unit/2, unit*unit/2, unit*unit/2
			q := sums[4*cx.first:][:4*len(cx.weights)]
			for u, w := range cx.weights {
				c := q[4*u : 4*u+4 : 4*u+4]
				r, g, b, a = r+w*c[0], g+w*c[1], b+w*c[2], a+w*c[3]
			}
			p[0], p[1], p[2], p[3] = uint8(r/(unit*unit)), uint8(g/(unit*unit)), uint8(b/(unit*unit)), uint8(a/(unit*unit))
		}
	}
}

// unit is the sum of the weights of a cover.
const unit = 1 << 12

// A cover is the source pixels under one pixel, and how much of it each covers.
type cover struct {
	first   int
	weights []int
}

// covers divides n source pixels among m pixels.
func covers(n, m int) []cover {
	out := make([]cover, m)
	for i := range out {
		// In units of 1/m source pixel, pixel i reaches from i*n to (i+1)*n.
		a, b := i*n, (i+1)*n
		c := cover{first: a / m}
		left := unit
		for p := c.first; p*m < b; p++ {
			w := (min(b, (p+1)*m) - max(a, p*m)) * unit / n
			c.weights = append(c.weights, w)
			left -= w
		}
		c.weights[len(c.weights)/2] += left // what rounding lost
		out[i] = c
	}
	return out
}
