package chart

import (
	"image"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/NimbleMarkets/ntcharts/v2/canvas"
	"github.com/NimbleMarkets/ntcharts/v2/canvas/graph"
)

// A Curve is one line of a chart. With Band the points also show the range of the values they stand for. Of a curve with Every only
// every so many columns are drawn, which tells curves apart without colours.
type Curve struct {
	Points []Point
	Ink    Ink
	Band   bool
	Every  int
}

// Lines is a line chart: curves in braille dots, the last on top, with labelled axes where there is room for them.
type Lines struct {
	Curves []Curve
	Log    bool // a logarithmic y axis
	Guides bool // lines across the plot at the labels
	Axis   Ink
}

// empty is a braille rune without dots.
const empty = '\u2800'

// Draw draws the chart.
func (c Lines) Draw(w, h int) []string {
	if w <= 0 || h <= 0 {
		return blank(w, h)
	}
	xs, ys, ok := c.span()
	if !ok {
		return blank(w, h)
	}
	plotH := h
	if h >= 4 {
		plotH-- // the x axis
	}
	y := newAxis(ys[0], ys[1], c.Log)
	labels, gutter := c.yLabels(y, w, plotH)
	plotW := w - gutter
	runes, inks := c.dots(xs, y, plotW, plotH)
	lines := make([]string, 0, h)
	var b brush
	for row := range plotH {
		if gutter > 0 {
			label, mark := labels[row], '│'
			if label != "" {
				mark = '┤'
			}
			b.text(c.Axis, strings.Repeat(" ", gutter-1-utf8.RuneCountInString(label))+label)
			b.put(c.Axis, mark)
		}
		for col := range plotW {
			if c.Guides && labels[row] != "" && runes[row][col] == ' ' {
				b.put(c.Axis, '┈')
				continue
			}
			b.put(inks[row][col], runes[row][col])
		}
		lines = append(lines, b.line())
	}
	if plotH < h {
		b.text(c.Axis, xAxis(xs, gutter, plotW))
		lines = append(lines, b.line())
	}
	return lines
}

// span is the range of all curves: of the means, so that one outlier does not flatten the rest.
func (c Lines) span() (x, y [2]float64, ok bool) {
	var xv, yv []float64
	for _, k := range c.Curves {
		for _, p := range k.Points {
			if p.N > 0 && finite(p.Mean) {
				xv, yv = append(xv, p.X), append(yv, p.Mean)
			}
		}
	}
	x[0], x[1], ok = span(xv)
	y[0], y[1], _ = span(yv)
	return x, y, ok
}

// yLabels are the labels by row and the width of the gutter they need, 0 if the chart is too small.
func (c Lines) yLabels(y axis, w, h int) (map[int]string, int) {
	if w < 16 || h < 2 {
		return nil, 0
	}
	labels, width := map[int]string{}, 0
	for _, v := range y.ticks(max(2, h/2)) {
		row := int(math.Round((1 - y.at(v)) * float64(h-1)))
		if row < 0 || row >= h {
			continue
		}
		labels[row] = Label(v)
		width = max(width, utf8.RuneCountInString(labels[row]))
	}
	return labels, width + 1
}

// dots draws the curves and returns the runes of the plot with their colours.
func (c Lines) dots(xs [2]float64, y axis, w, h int) ([][]rune, [][]Ink) {
	runes, inks := make([][]rune, h), make([][]Ink, h)
	for row := range h {
		runes[row] = []rune(strings.Repeat(" ", w))
		inks[row] = make([]Ink, w)
	}
	for _, k := range c.Curves {
		// The grid spans 0 to 1 on both axes; our axes do the mapping.
		grid := graph.NewBrailleGrid(w, h, 0, 1, 0, 1)
		var last *image.Point
		for _, p := range fewer(k.Points, 2*w) { // no more than dots side by side
			if p.N == 0 {
				last = nil // a gap
				continue
			}
			at := gridPoint(grid, xs, y, p.X, p.Mean)
			from := at
			if last != nil {
				from = *last
			}
			line(grid, from, at)
			if k.Band && p.N > 1 {
				line(grid, gridPoint(grid, xs, y, p.X, p.Min), gridPoint(grid, xs, y, p.X, p.Max))
			}
			last = &at
		}
		for row, rs := range grid.BraillePatterns() {
			for col, r := range rs {
				if r != empty && r != 0 && row < h && col < w && (k.Every < 2 || col%k.Every == 0) {
					runes[row][col], inks[row][col] = r, k.Ink
				}
			}
		}
	}
	return runes, inks
}

// gridPoint is the dot of a value, moved to the edge if it lies outside.
func gridPoint(g *graph.BrailleGrid, xs [2]float64, y axis, px, py float64) image.Point {
	fx := .5
	if xs[1] > xs[0] {
		fx = axis{low: xs[0], high: xs[1]}.at(px)
	}
	fy := y.at(py)
	return g.GridPoint(canvas.Float64Point{X: min(1, max(0, fx)), Y: min(1, max(0, fy))})
}

func line(g *graph.BrailleGrid, a, b image.Point) {
	for _, p := range graph.GetLinePoints(a, b) {
		g.Set(p)
	}
}

// xAxis is the axis with labels set into it.
func xAxis(xs [2]float64, gutter, w int) string {
	row := []rune(strings.Repeat("─", w))
	end := 0 // labels may start here
	put := func(at int, s string) {
		if at >= end && at+len(s) <= w {
			copy(row[at:], []rune(s))
			end = at + len(s) + 1
		}
	}
	lastLabel := " " + Label(xs[1])
	put(0, Label(xs[0])+" ")
	if xs[1] > xs[0] {
		stop := w - len(lastLabel)
		for _, v := range (axis{low: xs[0], high: xs[1]}).ticks(max(1, w/16)) {
			s := " " + Label(v) + " "
			at := int((v-xs[0])/(xs[1]-xs[0])*float64(w-1)) - len(s)/2
			if at+len(s) < stop {
				put(at, s)
			}
		}
		put(stop, lastLabel)
	}
	if gutter == 0 {
		return string(row)
	}
	return strings.Repeat(" ", gutter-1) + "└" + string(row)
}
