package chart

import "math"

// eighths are the lower blocks, one to seven eighths of a cell.
var eighths = []rune(" ▁▂▃▄▅▆▇")

// Spark draws the last w values as columns of h rows. The lowest value still shows as one eighth, so that a value can be told from
// none; where there is no finite value the column is empty.
func Spark(values []float64, w, h int, ink Ink) []string {
	if w <= 0 || h <= 0 {
		return blank(w, h)
	}
	if len(values) > w {
		values = values[len(values)-w:]
	}
	low, high, ok := span(values)
	if !ok {
		return blank(w, h)
	}
	heights := make([]int, w)
	for i, v := range values {
		if finite(v) {
			heights[i] = 1 + level(v, low, high, 8*h-1)
		}
	}
	return columns(heights, h, func(int) Ink { return ink })
}

// Log is the logarithms of the values, for a sparkline of what falls by orders of magnitude; the values themselves if one is not
// above zero.
func Log(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		if v <= 0 {
			return values
		}
		out[i] = math.Log(v)
	}
	return out
}

// level is where v lies between low and high, as a whole number from 0 to n; the middle when they are equal.
func level(v, low, high float64, n int) int {
	if high <= low {
		return n / 2
	}
	f := (v - low) / (high - low)
	if !finite(f) { // the range overflows
		f = v/high/2 + .5
	}
	return min(n, max(0, int(math.Round(f*float64(n)))))
}

// columns draws columns of the given heights, in eighths of a cell, over h rows.
func columns(heights []int, h int, ink func(i int) Ink) []string {
	lines := make([]string, h)
	var b brush
	for y := range h {
		base := 8 * (h - 1 - y)
		for i, n := range heights {
			b.column(ink(i), n-base)
		}
		lines[y] = b.line()
	}
	return lines
}

// column writes one cell of a column that is n eighths high, counted from the bottom of the cell.
func (b *brush) column(ink Ink, n int) {
	if n >= 8 {
		b.solid(ink)
		return
	}
	b.put(ink, eighths[max(0, n)])
}

// Bars stretches the values over w columns of h rows. A bar's height starts at zero and its colour, from inks (low to high), says the
// same again. A value that is not known is a dot.
func Bars(values []float64, w, h int, inks []Ink, unknown Ink) []string {
	if w <= 0 || h <= 0 || len(values) == 0 {
		return blank(w, h)
	}
	low, high, ok := span(values)
	heights := make([]int, w)
	colour := make([]Ink, w)
	known := make([]bool, w)
	for i := range w {
		v := values[i*len(values)/w]
		colour[i] = unknown
		if ok && finite(v) {
			known[i] = true
			heights[i] = max(1, level(max(0, v), 0, max(high, 0), 8*h))
			if len(inks) > 0 {
				colour[i] = inks[level(v, low, high, len(inks)-1)]
			}
		}
	}
	lines := make([]string, h)
	var b brush
	for y := range h {
		base := 8 * (h - 1 - y)
		for i, n := range heights {
			if !known[i] && y == h-1 {
				b.put(colour[i], '·')
				continue
			}
			b.column(colour[i], n-base)
		}
		lines[y] = b.line()
	}
	return lines
}

// Progress is a bar of w cells, filled up to fraction f, in halves of a cell.
func Progress(f float64, w int, done, rest Ink) string {
	if w <= 0 {
		return ""
	}
	if !finite(f) {
		f = 0
	}
	n := min(2*w, max(0, int(f*float64(2*w))))
	var b brush
	for i := range w {
		switch {
		case 2*i+2 <= n:
			b.put(done, '━')
		case 2*i+1 <= n:
			b.put(done, '╸')
		default:
			b.put(rest, '─')
		}
	}
	return b.line()
}
