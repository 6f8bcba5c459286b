package chart

import (
	"math"
	"strings"
)

// shades are the levels of a heat map without colours, low to high.
var shades = []rune(" .:-=+*#%@")

// Heat draws columns of values over time, the oldest on the left: column i holds the values of one moment, the first at the top. The
// colour, from inks (low to high), is that of the logarithm where all is above zero. With colours each cell holds two rows; without,
// the value is a character. What is not known is left blank.
func Heat(columns [][]float64, w, h int, inks []Ink) []string {
	rows := 0
	var all []float64
	for _, c := range columns {
		rows = max(rows, len(c))
		all = append(all, c...)
	}
	if w <= 0 || h <= 0 || rows == 0 {
		return blank(w, h)
	}
	low, high, ok := span(all)
	if !ok {
		return blank(w, h)
	}
	scale := func(v float64) float64 { return v }
	if low > 0 {
		scale = math.Log
	}
	slots := h
	if len(inks) > 0 {
		slots = 2 * h
	}
	// at is the mean of the values that fall into a slot of the picture, NaN where there is none.
	at := func(x, y int) float64 {
		sum, n := 0.0, 0
		for i := x * len(columns) / w; i < max(x*len(columns)/w+1, (x+1)*len(columns)/w); i++ {
			c := columns[i]
			for k := y * rows / slots; k < max(y*rows/slots+1, (y+1)*rows/slots); k++ {
				if k < len(c) && finite(c[k]) {
					sum += c[k]
					n++
				}
			}
		}
		return sum / float64(n)
	}
	ink := func(v float64) Ink {
		if !finite(v) {
			return ""
		}
		return inks[level(scale(v), scale(low), scale(high), len(inks)-1)]
	}
	lines := make([]string, h)
	var b brush
	for y := range h {
		for x := range w {
			if len(inks) == 0 {
				r := ' '
				if v := at(x, y); finite(v) {
					r = shades[1+level(scale(v), scale(low), scale(high), len(shades)-2)]
				}
				b.put("", r)
				continue
			}
			top, bottom := ink(at(x, 2*y)), ink(at(x, 2*y+1))
			switch {
			case top == "" && bottom == "":
				b.put("", ' ')
			case top == "":
				b.put(bottom, '▄')
			case bottom == "":
				b.put(top, '▀')
			default:
				b.put(top+Ink(strings.Replace(string(bottom), "\x1b[38;", "\x1b[48;", 1)), '▀')
			}
		}
		lines[y] = b.line()
	}
	return lines
}

// Between are the points whose X lies between low and high.
func Between(points []Point, low, high float64) []Point {
	from := 0
	for from < len(points) && points[from].X < low {
		from++
	}
	to := len(points)
	for to > from && points[to-1].X > high {
		to--
	}
	return points[from:to]
}
