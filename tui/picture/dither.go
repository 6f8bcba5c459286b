package picture

import (
	"image"
	"image/color"

	"github.com/soniakeys/quant/median"
)

// A cube is a fixed palette: every combination of a few levels a channel. Finding the nearest colour takes three table look-ups, which
// is what makes live pictures cheap.
type cube struct {
	levels  [3][]uint8
	nearest [3][256]uint8 // channel value to level
	palette color.Palette // red changes slowest
	known   [3][256]tally
}

// A tally is what a channel's value adds to the index of a colour, and what is lost of the value.
type tally struct {
	index uint8
	error int32
}

func newCube(r, g, b []uint8) *cube {
	c := &cube{levels: [3][]uint8{r, g, b}}
	for ch, levels := range c.levels {
		for v := range 256 {
			best := 0
			for i, l := range levels {
				if abs(int(l)-v) < abs(int(levels[best])-v) {
					best = i
				}
			}
			c.nearest[ch][v] = uint8(best)
		}
	}
	for ch, weight := range [3]int{len(g) * len(b), len(b), 1} {
		for v := range 256 {
			k := int(c.nearest[ch][v])
			c.known[ch][v] = tally{uint8(k * weight), int32(v) - int32(c.levels[ch][k])}
		}
	}
	for _, rv := range r {
		for _, gv := range g {
			for _, bv := range b {
				c.palette = append(c.palette, color.RGBA{rv, gv, bv, 255})
			}
		}
	}
	return c
}

// even is n levels, equally far apart.
func even(n int) []uint8 {
	out := make([]uint8, n)
	for i := range out {
		out[i] = uint8((i*255 + (n-1)/2) / (n - 1))
	}
	return out
}

// cubes are the palettes of live pictures, by the number of colours there may be: the eye's best channel has the most levels, and one
// colour is left for the background.
var cubes = map[int]*cube{
	256: newCube(even(6), even(7), even(6)),
	64:  newCube(even(4), even(5), even(3)),
	36:  newCube(even(3), even(4), even(2)),
	16:  newCube(even(2), even(3), even(2)),
	9:   newCube(even(2), even(2), even(2)),
}

// xtermColours are colours 16 to 255 of xterm: a cube whose levels are not equally far apart, and a ramp of greys. Colours 0 to 15 are
// the user's own, and may be anything.
var xtermColours = func() color.Palette {
	levels := []uint8{0, 95, 135, 175, 215, 255}
	p := newCube(levels, levels, levels).palette
	for i := range 24 {
		v := uint8(8 + 10*i)
		p = append(p, color.RGBA{v, v, v, 255})
	}
	return p
}()

// pick is the index of the nearest colour and the colour.
func (c *cube) pick(r, g, b int) (int, [3]int) {
	i, j, k := int(c.nearest[0][r]), int(c.nearest[1][g]), int(c.nearest[2][b])
	n := (i*len(c.levels[1])+j)*len(c.levels[2]) + k
	return n, [3]int{int(c.levels[0][i]), int(c.levels[1][j]), int(c.levels[2][k])}
}

// A table is any palette. The nearest colour is searched once for each 15-bit colour that occurs.
type table struct {
	palette color.Palette
	rgb     [][3]int
	known   [1 << 15]int16 // 1 + index
}

// adaptive is the palette made for a picture, from a sample of its pixels: the quantizer's time grows with them, its palette hardly.
func adaptive(img *image.RGBA, colors int) color.Palette {
	const most = 1 << 13
	n := img.Rect.Dx() * img.Rect.Dy()
	step := max(1, n/most) | 1 // odd, so that it does not fall into step with the tiles
	if n <= most {
		step = 1
	}
	sample := image.NewRGBA(image.Rect(0, 0, n/step+1, 1))
	kept := 0
	for i := 0; i < n; i += step {
		p := img.Pix[img.PixOffset(i%img.Rect.Dx(), i/img.Rect.Dx()):][:4]
		if p[3] == 0 { // a gap
			continue
		}
		copy(sample.Pix[4*kept:], p)
		kept++
	}
	if kept == 0 {
		return color.Palette{color.Black}
	}
	return median.Quantizer(colors).Palette(sample.SubImage(image.Rect(0, 0, kept, 1))).ColorPalette()
}

func newTable(p color.Palette) *table {
	t := &table{palette: p}
	for _, c := range t.palette {
		r, g, b, _ := c.RGBA()
		t.rgb = append(t.rgb, [3]int{int(r >> 8), int(g >> 8), int(b >> 8)})
	}
	return t
}

func (t *table) pick(r, g, b int) (int, [3]int) {
	known := &t.known[r>>3<<10|g>>3<<5|b>>3]
	if *known == 0 {
		best, bestD := 0, 1<<30
		for i, c := range t.rgb {
			dr, dg, db := c[0]-r, c[1]-g, c[2]-b
			if d := 2*dr*dr + 4*dg*dg + 3*db*db; d < bestD {
				best, bestD = i, d
			}
		}
		*known = int16(best + 1)
	}
	i := int(*known) - 1
	return i, t.rgb[i]
}

// dither maps img to a palette with Floyd-Steinberg error diffusion, passing on strength sixteenths of the error: all of it where the
// pixels are small, less where each can be seen. Transparent pixels get the index hole, and spread no error. The result is
// borrowed.
func dither(img *image.RGBA, pick func(r, g, b int) (int, [3]int), strength int, hole uint8) []uint8 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := borrow(w * h)
	here, next := make([][3]int, w+2), make([][3]int, w+2) // sixteenths; one cell of margin on both sides
	for y := range h {
		row := img.Pix[img.PixOffset(0, y):]
		for x := range w {
			p := row[4*x : 4*x+4 : 4*x+4]
			if p[3] == 0 {
				out[y*w+x] = hole
				continue
			}
			var v [3]int
			for ch := range v {
				v[ch] = min(255, max(0, int(p[ch])+(here[x+1][ch]+8)>>4))
			}
			n, got := pick(v[0], v[1], v[2])
			out[y*w+x] = uint8(n)
			for ch := range v {
				e := (v[ch] - got[ch]) * strength / 16
				here[x+2][ch] += 7 * e
				next[x][ch] += 3 * e
				next[x+1][ch] += 5 * e
				next[x+2][ch] += e
			}
		}
		here, next = next, here
		clear(next)
	}
	return out
}

// dither is the function of that name for a cube, with the whole of the error: the same pixels in a fraction of the time. What a pixel of
// the row below gets from the three above it is added up on the way, and stored once.
func (c *cube) dither(img *image.RGBA, hole uint8) []uint8 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := borrow(w * h)
	below := make([][3]int32, w) // sixteenths for the row to come
	for y := range h {
		row, to := img.Pix[img.PixOffset(0, y):][:4*w], out[y*w:][:w]
		var e, before, sum [3]int32 // the error of the pixel, of the one before, and what is below that one so far
		for x := range to {
			p, now := row[4*x:4*x+4:4*x+4], below[x]
			if p[3] == 0 {
				to[x] = hole
				e = [3]int32{}
			} else {
				r := c.known[0][min(255, max(0, int32(p[0])+(now[0]+7*e[0]+8)>>4))]
				g := c.known[1][min(255, max(0, int32(p[1])+(now[1]+7*e[1]+8)>>4))]
				b := c.known[2][min(255, max(0, int32(p[2])+(now[2]+7*e[2]+8)>>4))]
				to[x] = r.index + g.index + b.index
				e = [3]int32{r.error, g.error, b.error}
			}
			if x > 0 {
				below[x-1] = [3]int32{sum[0] + 3*e[0], sum[1] + 3*e[1], sum[2] + 3*e[2]}
			}
			sum = [3]int32{5*e[0] + before[0], 5*e[1] + before[1], 5*e[2] + before[2]}
			before = e
		}
		below[w-1] = sum
	}
	return out
}

func abs(v int) int { return max(v, -v) }
