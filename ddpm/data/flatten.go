package data

import (
	"image"
	"image/color"
)

// flatten copies a square of a picture into RGB bytes [S,S,3], composited on white. The picture lies at an offset on
// a canvas, and the square is given in the canvas's coordinates: what the picture does not cover is white.
func flatten(m image.Image, at image.Point, square image.Rectangle) []byte {
	s := square.Dx()
	out := make([]byte, s*s*3)
	cover := square.Intersect(m.Bounds().Add(at))
	if cover != square {
		for i := range out {
			out[i] = 255
		}
	}
	pixel := pixelReader(m)
	for y := cover.Min.Y; y < cover.Max.Y; y++ {
		o := ((y-square.Min.Y)*s + cover.Min.X - square.Min.X) * 3
		for x := cover.Min.X; x < cover.Max.X; x++ {
			out[o], out[o+1], out[o+2] = pixel(x-at.X, y-at.Y)
			o += 3
		}
	}
	return out
}

// to8 rounds 16 bits to 8: 0xffff is 255 and every v*257 is v.
func to8(v uint32) byte { return byte((v*255 + 32895) >> 16) }

// over puts a colour that is not premultiplied on white.
func over(c, a uint32) byte { return byte((c*a + 255*(255-a) + 127) / 255) }

// pixelReader returns a function that reads one pixel as RGB on white. The common types have a path of their own,
// because At allocates; the rest goes through At, whose RGBA is premultiplied in 16 bits.
func pixelReader(m image.Image) func(x, y int) (r, g, b byte) {
	switch m := m.(type) {
	case *videoYCbCr:
		return func(x, y int) (byte, byte, byte) {
			r, g, b := m.rgb(x, y)
			if m.alpha != nil {
				a := m.alpha(x, y)
				return over(r, a), over(g, a), over(b, a)
			}
			return byte(r), byte(g), byte(b)
		}
	case *image.YCbCr:
		return func(x, y int) (byte, byte, byte) {
			c := m.COffset(x, y)
			return color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[c], m.Cr[c])
		}
	case *image.NYCbCrA:
		return func(x, y int) (byte, byte, byte) {
			c := m.COffset(x, y)
			r, g, b := color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[c], m.Cr[c])
			a := uint32(m.A[m.AOffset(x, y)])
			return over(uint32(r), a), over(uint32(g), a), over(uint32(b), a)
		}
	case *image.NRGBA:
		return func(x, y int) (byte, byte, byte) {
			p := m.Pix[m.PixOffset(x, y):]
			a := uint32(p[3])
			return over(uint32(p[0]), a), over(uint32(p[1]), a), over(uint32(p[2]), a)
		}
	case *image.RGBA: // premultiplied: the white shows through what alpha leaves
		return func(x, y int) (byte, byte, byte) {
			p := m.Pix[m.PixOffset(x, y):]
			w := 255 - int(p[3])
			return byte(min(255, int(p[0])+w)), byte(min(255, int(p[1])+w)), byte(min(255, int(p[2])+w))
		}
	case *image.Gray:
		return func(x, y int) (byte, byte, byte) {
			v := m.Pix[m.PixOffset(x, y)]
			return v, v, v
		}
	case *image.Paletted:
		table := make([][3]byte, 256) // indices past the palette were refused before; they are black if one slips by
		for i, c := range m.Palette[:min(len(m.Palette), 256)] {
			r, g, b := onWhite(c)
			table[i] = [3]byte{r, g, b}
		}
		return func(x, y int) (byte, byte, byte) {
			c := table[m.Pix[m.PixOffset(x, y)]]
			return c[0], c[1], c[2]
		}
	case image.RGBA64Image:
		return func(x, y int) (byte, byte, byte) { return onWhite(m.RGBA64At(x, y)) }
	}
	return func(x, y int) (byte, byte, byte) { return onWhite(m.At(x, y)) }
}

// onWhite composites any colour. One that is not premultiplied is taken as it is, which spares two roundings.
func onWhite(c color.Color) (byte, byte, byte) {
	if n, ok := c.(color.NRGBA); ok {
		a := uint32(n.A)
		return over(uint32(n.R), a), over(uint32(n.G), a), over(uint32(n.B), a)
	}
	r, g, b, a := c.RGBA()
	w := 0xffff - a
	return to8(min(0xffff, r+w)), to8(min(0xffff, g+w)), to8(min(0xffff, b+w))
}
