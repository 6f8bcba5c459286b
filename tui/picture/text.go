package picture

import (
	"image"
	"strconv"
	"strings"
)

// lower and upper are half blocks: the lower is used where only the lower pixel is painted.
const (
	upper = "▀"
	lower = "▄"
	reset = "\x1b[m"
)

// A paint turns the pixel at x, y into SGR parameters without the leading 3 or 4, such as "8;5;17"; "" for a transparent pixel.
type paint func(x, y int) string

func truecolour(img *image.RGBA) paint {
	var b []byte
	return func(x, y int) string {
		p := img.Pix[img.PixOffset(x, y):][:4]
		if p[3] == 0 {
			return ""
		}
		b = append(b[:0], "8;2;"...)
		for i, c := range p[:3] {
			if i > 0 {
				b = append(b, ';')
			}
			b = strconv.AppendUint(b, uint64(c), 10)
		}
		return string(b)
	}
}

// indexed paints with the 256 colours of xterm.
func indexed(img *image.RGBA) paint {
	const first, hole = 16, 255
	pix := dither(img, newTable(xtermColours).pick, 6, hole)
	return func(x, y int) string {
		n := pix[y*img.Rect.Dx()+x]
		if n == hole {
			return ""
		}
		return "8;5;" + strconv.Itoa(first+int(n))
	}
}

// halfBlocks is img as lines, two rows of pixels a line. Every line starts and ends in the default style.
func halfBlocks(img *image.RGBA, at paint) []string {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	lines := make([]string, 0, (h+1)/2)
	var b strings.Builder
	for y := 0; y < h; y += 2 {
		b.Reset()
		state := ""
		for x := range w {
			top, bottom := at(x, y), ""
			if y+1 < h {
				bottom = at(x, y+1)
			}
			glyph, want := upper, "\x1b[0;3"+top+";4"+bottom+"m"
			switch {
			case top == "" && bottom == "":
				glyph, want = " ", reset
			case top == "":
				glyph, want = lower, "\x1b[0;3"+bottom+"m"
			case bottom == "":
				want = "\x1b[0;3" + top + "m"
			}
			if want != state {
				b.WriteString(want)
				state = want
			}
			b.WriteString(glyph)
		}
		b.WriteString(reset)
		lines = append(lines, b.String())
	}
	return lines
}

// ramp are letters from little to much ink.
const ramp = " .:-=+*#%@"

// letters is img as lines of letters, two rows of pixels a line. On a dark screen ink is light.
func letters(img *image.RGBA, light bool) []string {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	var lines []string
	for y := 0; y < h; y += 2 {
		line := make([]byte, w)
		for x := range w {
			sum, n := 0, 0
			for v := y; v < min(y+2, h); v++ {
				p := img.Pix[img.PixOffset(x, v):][:4]
				if p[3] == 0 {
					continue
				}
				sum += (299*int(p[0]) + 587*int(p[1]) + 114*int(p[2])) / 1000
				n++
			}
			line[x] = ' '
			if n > 0 {
				v := sum / n
				if light {
					v = 255 - v
				}
				line[x] = ramp[v*(len(ramp)-1)/255]
			}
		}
		lines = append(lines, string(line))
	}
	return lines
}
