package tui

import (
	"fmt"
	"image"
	"image/draw"
	"math"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/ddpm/lab/experiment"
	"github.com/ddpm-tui/ddpm-tui/tui/chart"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

func (m *labScreen) draw(s surface) block {
	if m.e == nil {
		return m.drawList(s)
	}
	th := s.th
	word, ink := m.state(th)
	parts := []string{badge(ink, word)}
	if m.show.total > 0 && !m.show.over {
		parts = append(parts, fmt.Sprintf("%s %d/%d", m.show.phase, m.show.done, m.show.total))
	} else if !m.show.over {
		parts = append(parts, m.show.phase+" "+span(s.now.Sub(m.began).Seconds()))
	}
	if set := m.settings(); set != "" {
		parts = append(parts, set)
	}
	if m.show.back > 0 {
		parts = append(parts, fmt.Sprintf("%d back", m.show.back))
	}
	lines := []string{headerLine(th, "lab "+m.e.Name, parts, s.g.mode.String(), s.w), " " + chart.Progress(m.fraction(), s.w-2, th.accent, th.border)}
	if s.w < 40 || s.h < 12 {
		return text(s.w, s.h, append(lines[:1], figureLines(th, m.show.figures, s.w, 0)...)...)
	}
	if m.err != nil {
		lines = append(lines, wrap(" "+bold(th.bad).Paint("error ")+clean(m.err.Error()), s.w, 3)...)
	} else {
		for _, l := range m.e.Explain {
			lines = append(lines, wrap(" "+l, s.w, 2)...)
		}
		if s.h < 20 {
			lines = lines[:min(len(lines), 4)]
		}
	}
	head := text(s.w, len(lines), lines...)
	return stack(head, m.body(s, s.w, s.h-len(lines)))
}

// wrap breaks a line at blanks, into most lines at most.
func wrap(line string, w, most int) []string {
	var out []string
	for len(out) < most-1 && width(line) > w {
		cut := strings.LastIndex(line[:min(len(line), w)], " ")
		if cut <= 1 {
			break
		}
		out, line = append(out, line[:cut]), " "+line[cut+1:]
	}
	return append(out, line)
}

func (m *labScreen) state(th theme) (string, chart.Ink) {
	switch {
	case m.err != nil:
		return "FAILED", th.bad
	case m.show.over:
		return "DONE", th.good
	case m.paused:
		return "PAUSED", th.warn
	}
	return "RUNNING", th.accent
}

func (m *labScreen) fraction() float64 {
	switch {
	case m.show.over:
		return 1
	case m.show.total <= 0:
		return 0
	}
	return float64(m.show.done) / float64(m.show.total)
}

// body is pictures, figures and a chart: beside each other where there is room, and of pictures as many as fit.
func (m *labScreen) body(s surface, w, h int) block {
	pictures, figures := m.show.seen()
	m.hang(s.g, pictures)
	hasChart := len(m.show.charts) > 0
	if len(pictures) == 0 {
		if !hasChart {
			return m.figurePanel(s, figures, w, h)
		}
		if w >= 110 {
			left := w * 11 / 20
			return beside(m.chartPanel(s, left, h), m.figurePanel(s, figures, w-left, h))
		}
		figH := min(len(figures)+2, h/2)
		return stack(m.chartPanel(s, w, h-figH), m.figurePanel(s, figures, w, figH))
	}
	if w >= 110 && h >= 20 {
		rightW := max(50, w*2/5)
		figH := min(2*len(figures)+2, h-2)
		if hasChart {
			figH = max(min(len(figures)+2, h/2), min(figH, h-12))
		} else {
			figH = h
		}
		right := m.figurePanel(s, figures, rightW, figH)
		if figH < h {
			right = stack(right, m.chartPanel(s, rightW, h-figH))
		}
		return beside(m.picturePanels(s, pictures, w-rightW, h), right)
	}
	figH := min(max(3, len(figures)+2), h/2)
	topH := h - figH
	if !hasChart || w < 60 {
		return stack(m.picturePanels(s, pictures, w, topH), m.figurePanel(s, figures, w, figH))
	}
	return stack(beside(m.picturePanels(s, pictures, w/2, topH), m.chartPanel(s, w-w/2, topH)), m.figurePanel(s, figures, w, figH))
}

func labPicture(i int) string { return fmt.Sprintf("lab%d", i) }

// hang gives the pictures to the gallery, the chosen one first.
func (m *labScreen) hang(g *gallery, pictures []experiment.Picture) {
	if !m.show.fresh {
		return
	}
	m.show.fresh = false
	for i := range pictures {
		p := pictures[(i+m.show.picture)%len(pictures)]
		g.set(labPicture(i), folded(p), m.show.over)
	}
}

// folded is a picture as a sheet. The gallery keeps a row of tiles a row, and leaves out what does not fit; the lab would rather see all
// of them, in several rows.
func folded(p experiment.Picture) picture.Sheet {
	if p.Rows > 1 || p.Cols < 2 {
		return picture.Sheet{Image: p.Image, Rows: p.Rows, Cols: p.Cols}
	}
	cols := int(math.Ceil(math.Sqrt(float64(p.Cols))))
	rows := (p.Cols + cols - 1) / cols
	b := p.Image.Bounds()
	w, h := b.Dx()/p.Cols, b.Dy()
	m := image.NewRGBA(image.Rect(0, 0, cols*w, rows*h))
	for i := range p.Cols {
		at := image.Pt(i%cols*w, i/cols*h)
		draw.Draw(m, image.Rectangle{at, at.Add(image.Pt(w, h))}, p.Image, b.Min.Add(image.Pt(i*w, 0)), draw.Src)
	}
	return picture.Sheet{Image: m, Rows: rows, Cols: cols}
}

// picturePanels are as many pictures as there is room for, under each other or side by side.
func (m *labScreen) picturePanels(s surface, pictures []experiment.Picture, w, h int) block {
	n := len(pictures)
	one := func(i, w, h int) block {
		p := pictures[(i+m.show.picture)%n]
		return panel(s.th, clean(p.Caption), "", w, h, func(w, h int) block { return s.g.draw(s.th, labPicture(i), w, h, "") })
	}
	const least = 8 // lines a picture
	if k := min(n, h/least); k > 1 {
		var rows []block
		for i := range k {
			rows = append(rows, one(i, w, (i+1)*h/k-i*h/k))
		}
		return stack(rows...)
	}
	return one(0, w, h)
}

func (m *labScreen) figurePanel(s surface, figures []experiment.Figure, w, h int) block {
	return panel(s.th, "figures", "", w, h, func(w, h int) block {
		if len(figures) == 0 {
			return hint(s.th, "nothing is measured yet", w, h)
		}
		return text(w, h, figureLines(s.th, figures, w, h)...)
	})
}

// figureLines are the figures in h lines: names, values and notes. A note that does not fit beside its value goes under it while there is
// room.
func figureLines(th theme, figures []experiment.Figure, w, h int) []string {
	nameW := 0
	for _, f := range figures {
		nameW = max(nameW, width(f.Name))
	}
	nameW = min(nameW, w*2/5)
	spare := h - len(figures)
	var lines []string
	for _, f := range figures {
		line, note := th.dim.Paint(pad(f.Name, nameW))+" "+f.Value, ""
		if f.Note != "" {
			note = "  " + th.dim.Paint(f.Note)
		}
		if width(line+note) > w && spare > 0 {
			spare--
			lines = append(lines, line, strings.Repeat(" ", min(nameW, max(0, w-width(note))))+note[1:])
			continue
		}
		lines = append(lines, line+note)
	}
	return lines
}

// chartPanel draws the chosen chart: its curves with a legend over them.
func (m *labScreen) chartPanel(s surface, w, h int) block {
	c := m.show.charts[min(m.show.chart, len(m.show.charts)-1)]
	note := c.X
	if c.LogX {
		note = "log10 " + c.X
	}
	return panel(s.th, clean(c.Name), note, w, h, func(w, h int) block {
		inks := []chart.Ink{s.th.accent, s.th.warn, s.th.good, s.th.bad, s.th.raw, s.th.dim}
		lines := chart.Lines{Log: c.LogY, Axis: s.th.dim}
		var legend []string
		for i, l := range c.Lines {
			k := chart.Curve{Ink: inks[i%len(inks)]}
			for j, x := range l.X {
				if c.LogX {
					x = math.Log10(x)
				}
				if c.LogY && l.Y[j] <= 0 {
					continue
				}
				k.Points = append(k.Points, chart.Point{X: x, Mean: l.Y[j], Min: l.Y[j], Max: l.Y[j], N: 1})
			}
			lines.Curves = append(lines.Curves, k)
			legend = append(legend, bold(k.Ink).Paint("━ ")+l.Name)
		}
		if len(legend) < 2 || h < 6 {
			return text(w, h, lines.Draw(w, h)...)
		}
		return text(w, h, append([]string{strings.Join(legend, "  ")}, lines.Draw(w, h-1)...)...)
	})
}

// drawList is the list of experiments.
func (m *labScreen) drawList(s surface) block {
	th := s.th
	head := text(s.w, 1, headerLine(th, "lab", []string{"the road to diffusion"}, "", s.w))
	return stack(head, panel(th, "experiments", "", s.w, max(0, s.h-1), func(w, h int) block {
		var lines []string
		for i, e := range experiment.All() {
			line := fmt.Sprintf(" %d  %-10s %s", i+1, e.Name, e.Short)
			if i == m.at {
				line = th.chosen.Paint(pad(line, w))
			}
			lines = append(lines, line)
		}
		lines = append(lines, "")
		for _, l := range experiment.All()[m.at].Explain {
			lines = append(lines, wrap(" "+l, w, 2)...)
		}
		return text(w, h, lines...)
	}))
}
