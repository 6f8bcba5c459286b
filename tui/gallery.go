package tui

import (
	"fmt"
	"image/color"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A gallery holds a screen's pictures by name. Drawing one into a box says what is wanted; encoding happens in commands, one at a time
// a picture, and always from the newest image, so that a slow terminal or a fast source costs frames and never time.
type gallery struct {
	mode   picture.Mode
	cellW  int
	cellH  int
	colors int
	art    map[string]*artwork
}

type artwork struct {
	slot   int
	sheet  picture.Sheet
	still  bool
	seq    int
	wanted bool // drawn in the last frame
	want   recipe
	made   recipe
	have   picture.Encoded
	busy   bool
}

// A recipe is all that an encoded picture depends on.
type recipe struct {
	seq  int
	mode picture.Mode
	opt  picture.Options
}

// encodedMsg brings a picture back from its command.
type encodedMsg struct {
	name string
	from recipe
	pic  picture.Encoded
}

// set hangs a picture. A still one gets a palette of its own.
func (g *gallery) set(name string, s picture.Sheet, still bool) {
	if g.art == nil {
		g.art = map[string]*artwork{}
	}
	a := g.art[name]
	if a == nil {
		a = &artwork{slot: len(g.art)}
		g.art[name] = a
	}
	a.sheet, a.still = s, still
	a.seq++
}

// has says whether there is a picture of this name.
func (g *gallery) has(name string) bool { return g.art[name] != nil }

// draw is the picture in the middle of a box. Without one it is the words of missing.
func (g *gallery) draw(th theme, name string, w, h int, missing string) block {
	a := g.art[name]
	if a == nil {
		return hint(th, missing, w, h)
	}
	if g.mode == picture.None {
		return text(w, h, statLines(th, a.sheet, w, h)...)
	}
	a.wanted = true
	a.want = recipe{seq: a.seq, mode: g.mode, opt: picture.Options{
		Cols: w, Rows: h, CellW: g.cellW, CellH: g.cellH, Colors: g.colors, Still: a.still, Background: th.back, Light: !th.dark,
	}}
	e := a.have
	if e.Mode != g.mode || e.Cols == 0 || e.Cols > w || e.Rows > h {
		return text(w, h)
	}
	if e.Mode != picture.Sixel {
		return centre(text(e.Cols, e.Rows, e.Lines...), w, h)
	}
	lines := make([]string, e.Rows)
	for i := range lines {
		lines[i] = strings.Repeat(string(picture.Placeholder(a.slot, 0)), e.Cols)
	}
	b := block{w: e.Cols, h: e.Rows, lines: lines}
	b.pics = []picture.Placement{{Slot: a.slot, Picture: e}}
	return centre(b, w, h)
}

// begin starts a frame.
func (g *gallery) begin() {
	for _, a := range g.art {
		a.wanted = false
	}
}

// work is the encoding that the last frame asks for.
func (g *gallery) work() tea.Cmd {
	var cmds []tea.Cmd
	for name, a := range g.art {
		if !a.wanted || a.busy || a.want == a.made {
			continue
		}
		a.busy = true
		r, sheet := a.want, a.sheet
		cmds = append(cmds, func() tea.Msg {
			pic, err := picture.EncodeSheet(sheet, r.mode, r.opt)
			if err != nil { // nothing that would be better the next time
				pic = picture.Encoded{Mode: r.mode}
			}
			return encodedMsg{name, r, pic}
		})
	}
	return tea.Batch(cmds...)
}

// encoded takes a picture that is done.
func (g *gallery) encoded(m encodedMsg) {
	if a := g.art[m.name]; a != nil {
		a.busy = false
		a.made, a.have = m.from, m.pic
	}
}

// statLines are the numbers that stand for pictures.
func statLines(th theme, s picture.Sheet, w, h int) []string {
	cell := min(25, w)
	stats := s.Stats()
	cols := max(1, w/max(1, cell))
	if len(stats) < h {
		cols = 1
	}
	head := th.dim.Paint(pad("    mean  dev  min  max", cell))
	lines := []string{strings.Repeat(head, min(cols, max(1, len(stats))))}
	rows := max(1, min(h-1, (len(stats)+cols-1)/cols))
	for r := range rows {
		var b strings.Builder
		for c := range cols {
			if i := c*rows + r; i < len(stats) {
				v := stats[i]
				b.WriteString(pad(fmt.Sprintf("%3d %.2f %.2f %.2f %.2f", i+1, v.Mean, v.Deviation, v.Min, v.Max), cell))
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}

// rgb makes a colour comparable.
func rgb(c color.Color) color.Color {
	if c == nil {
		return nil
	}
	r, g, b, _ := c.RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}
}
