// Package plot draws line charts as pictures, for documents: axes with ticks, curves with error bars, a legend.
package plot

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"strconv"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// A Line is one curve; SE, if not nil, are half the lengths of its error bars.
type Line struct {
	Name     string
	X, Y, SE []float64
}

// A Chart is curves over common axes. Points that a logarithmic axis has no place for are left out.
type Chart struct {
	Title, X, Y string
	LogX, LogY  bool
	Lines       []Line
}

// The hues of Okabe and Ito, which people with any kind of colour vision can tell apart.
var hues = []color.RGBA{{0, 114, 178, 255}, {230, 159, 0, 255}, {0, 158, 115, 255}, {213, 94, 0, 255}, {204, 121, 167, 255}, {86, 180, 233, 255}, {0, 0, 0, 255}}

const (
	left, right, top, bottom = 64, 16, 32, 44
	least                    = 200 // pixels a side
)

// A scale maps numbers to 0..1.
type scale struct {
	low, high float64
	log       bool
}

func (s scale) at(v float64) float64 {
	if s.log {
		return (math.Log(v) - math.Log(s.low)) / (math.Log(s.high) - math.Log(s.low))
	}
	return (v - s.low) / (s.high - s.low)
}

func (s scale) ok(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (!s.log || v > 0)
}

// fit is the scale that holds all values, with a little room where it is linear.
func fit(log bool, values ...float64) scale {
	s := scale{math.Inf(1), math.Inf(-1), log}
	for _, v := range values {
		if s.ok(v) {
			s.low, s.high = min(s.low, v), max(s.high, v)
		}
	}
	switch {
	case s.low > s.high:
		s.low, s.high = 1, 2
	case s.low == s.high && log:
		s.low, s.high = s.low/2, s.high*2
	case s.low == s.high:
		s.low, s.high = s.low-1, s.high+1
	case !log:
		room := (s.high - s.low) / 20
		s.low, s.high = s.low-room, s.high+room
	}
	return s
}

// ticks are round numbers on the scale, about five; on a long logarithmic one powers of ten.
func (s scale) ticks() []float64 {
	var out []float64
	if s.log && s.high/s.low > 30 {
		every := max(1, int(math.Ceil(math.Log10(s.high/s.low)/6)))
		for e := int(math.Floor(math.Log10(s.low))); e <= int(math.Ceil(math.Log10(s.high))); e += every {
			out = append(out, math.Pow(10, float64(e)))
		}
	} else {
		step := math.Pow(10, math.Floor(math.Log10((s.high-s.low)/4)))
		for _, f := range []float64{1, 2, 5, 10} {
			if (s.high-s.low)/(step*f) <= 6 {
				step *= f
				break
			}
		}
		for v := math.Ceil(s.low/step) * step; v <= s.high; v += step {
			out = append(out, v)
		}
	}
	kept := out[:0]
	for _, v := range out {
		if p := s.at(v); s.ok(v) && p >= -1e-9 && p <= 1+1e-9 {
			kept = append(kept, v)
		}
	}
	return kept
}

func label(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// Draw draws the chart in w x h pixels, 200 at least.
func (c Chart) Draw(w, h int) *image.RGBA {
	w, h = max(w, least), max(h, least)
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Bounds(), image.White, image.Point{}, draw.Src)
	p := &pen{m: m}
	var xs, ys []float64
	for _, l := range c.Lines {
		for i := range l.X {
			xs, ys = append(xs, l.X[i]), append(ys, l.Y[i])
			if l.SE != nil {
				ys = append(ys, l.Y[i]-l.SE[i], l.Y[i]+l.SE[i])
			}
		}
	}
	x, y := fit(c.LogX, xs...), fit(c.LogY, ys...)
	px := func(v float64) float64 { return left + x.at(v)*float64(w-left-right) }
	py := func(v float64) float64 { return float64(h-bottom) - y.at(v)*float64(h-top-bottom) }
	grey, ink := color.RGBA{225, 228, 231, 255}, color.RGBA{60, 66, 73, 255}
	for _, v := range x.ticks() {
		p.line(px(v), top, px(v), float64(h-bottom), 1, grey)
		p.text(label(v), int(px(v)), h-bottom+16, 0.5, ink)
	}
	for _, v := range y.ticks() {
		p.line(left, py(v), float64(w-right), py(v), 1, grey)
		p.text(label(v), left-6, int(py(v))+4, 1, ink)
	}
	p.line(left, float64(h-bottom), float64(w-right), float64(h-bottom), 1, ink)
	p.line(left, top, left, float64(h-bottom), 1, ink)
	p.text(c.Title, w-right, 18, 1, ink)
	p.text(c.X, (left+w-right)/2, h-8, 0.5, ink)
	p.text(c.Y, 6, 18, 0, ink)
	for k, l := range c.Lines {
		hue := hues[k%len(hues)]
		from := -1
		for i := range l.X {
			if !x.ok(l.X[i]) || !y.ok(l.Y[i]) {
				from = -1
				continue
			}
			if from >= 0 {
				p.line(px(l.X[from]), py(l.Y[from]), px(l.X[i]), py(l.Y[i]), 2, hue)
			}
			if l.SE != nil && y.ok(l.Y[i]-l.SE[i]) {
				p.line(px(l.X[i]), py(l.Y[i]-l.SE[i]), px(l.X[i]), py(l.Y[i]+l.SE[i]), 1, hue)
				p.line(px(l.X[i])-3, py(l.Y[i]), px(l.X[i])+3, py(l.Y[i]), 5, hue)
			}
			from = i
		}
		if len(c.Lines) > 1 {
			at := top + 10 + 16*k
			p.line(float64(w-right-24), float64(at-4), float64(w-right-6), float64(at-4), 3, hue)
			p.text(l.Name, w-right-30, at, 1, ink)
		}
	}
	return m
}

type pen struct{ m *image.RGBA }

// line is a straight stroke of a width.
func (p *pen) line(x0, y0, x1, y1, width float64, c color.Color) {
	length := math.Hypot(x1-x0, y1-y0)
	if length == 0 {
		return
	}
	dx, dy := (y1-y0)/length*width/2, (x0-x1)/length*width/2
	r := vector.NewRasterizer(p.m.Rect.Dx(), p.m.Rect.Dy())
	r.MoveTo(float32(x0+dx), float32(y0+dy))
	r.LineTo(float32(x1+dx), float32(y1+dy))
	r.LineTo(float32(x1-dx), float32(y1-dy))
	r.LineTo(float32(x0-dx), float32(y0-dy))
	r.ClosePath()
	r.Draw(p.m, p.m.Bounds(), image.NewUniform(c), image.Point{})
}

// text writes s with its baseline at y; anchor 0 begins at x, 0.5 is in the middle there, 1 ends there.
func (p *pen) text(s string, x, y int, anchor float64, c color.Color) {
	d := font.Drawer{Dst: p.m, Src: image.NewUniform(c), Face: basicfont.Face7x13}
	d.Dot = fixed.P(x-int(anchor*float64(d.MeasureString(s).Ceil())), y)
	d.DrawString(s)
}
