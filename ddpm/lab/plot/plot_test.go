package plot

import (
	"image/color"
	"math"
	"testing"
)

// A rising line goes from the lower left to the upper right, in the first hue.
func TestDraw(t *testing.T) {
	c := Chart{Title: "title", X: "x", Y: "y", Lines: []Line{{Name: "a", X: []float64{0, 1}, Y: []float64{0, 1}}}}
	m := c.Draw(300, 200)
	find := func(x0, x1, y0, y1 int) bool {
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				if m.RGBAAt(x, y) == (color.RGBA{0, 114, 178, 255}) {
					return true
				}
			}
		}
		return false
	}
	if !find(60, 120, 120, 160) || !find(230, 290, 30, 80) || find(60, 120, 30, 80) {
		t.Error("the line is not where it should be")
	}
}

// Nothing that can be in a chart breaks it.
func TestDrawOddities(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []Chart{
		{}, {LogX: true, LogY: true}, {Lines: []Line{{}}},
		{LogX: true, LogY: true, Lines: []Line{{X: []float64{0, 1, 10}, Y: []float64{-1, 0, 5}, SE: []float64{1, 9, 9}}}},
		{Lines: []Line{{X: []float64{1, 2, 3}, Y: []float64{nan, inf, 3}}, {X: []float64{5}, Y: []float64{5}}}},
		{LogY: true, Lines: []Line{{X: []float64{1, 2}, Y: []float64{1e-12, 1e12}}}},
	} {
		if m := c.Draw(10, 10); m.Rect.Dx() != least || m.Rect.Dy() != least {
			t.Errorf("%v", m.Rect)
		}
	}
}
