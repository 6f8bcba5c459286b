package tui

import (
	"strings"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A block is a rectangle of text: h lines of exactly w cells, and the pictures inside it. Screens are blocks put together.
type block struct {
	w, h  int
	lines []string
	pics  []picture.Placement // relative to the block
}

// text makes a block of the lines, cut and filled to the size.
func text(w, h int, lines ...string) block {
	w, h = max(0, w), max(0, h)
	b := block{w: w, h: h, lines: make([]string, h)}
	for i := range b.lines {
		s := ""
		if i < len(lines) {
			s = lines[i]
		}
		b.lines[i] = pad(s, w)
	}
	return b
}

// moved adds a distance to the pictures.
func (b block) moved(x, y int) []picture.Placement {
	out := make([]picture.Placement, 0, len(b.pics))
	for _, p := range b.pics {
		p.X, p.Y = p.X+x, p.Y+y
		out = append(out, p)
	}
	return out
}

// stack puts blocks under each other. They must be equally wide.
func stack(blocks ...block) block {
	var out block
	for _, b := range blocks {
		out.w = max(out.w, b.w)
		out.pics = append(out.pics, b.moved(0, out.h)...)
		out.lines = append(out.lines, b.lines...)
		out.h += b.h
	}
	return out
}

// beside puts blocks next to each other. They must be equally high.
func beside(blocks ...block) block {
	var out block
	for _, b := range blocks {
		out.h = max(out.h, b.h)
	}
	rows := make([]strings.Builder, out.h)
	for _, b := range blocks {
		out.pics = append(out.pics, b.moved(out.w, 0)...)
		for i, l := range b.lines {
			rows[i].WriteString(l)
		}
		out.w += b.w
	}
	out.lines = make([]string, out.h)
	for i := range rows {
		out.lines[i] = rows[i].String()
	}
	return out
}

// centre puts b into the middle of a larger block.
func centre(b block, w, h int) block {
	if b.w > w || b.h > h {
		return text(w, h)
	}
	x, y := (w-b.w)/2, (h-b.h)/2
	out := text(w, h)
	for i, l := range b.lines {
		out.lines[y+i] = strings.Repeat(" ", x) + l + strings.Repeat(" ", w-x-b.w)
	}
	out.pics = b.moved(x, y)
	return out
}

// hint is a few words in the middle of an empty box.
func hint(th theme, words string, w, h int) block {
	words = clip(words, w)
	return centre(text(width(words), min(h, 1), th.dim.Paint(words)), w, h)
}

// panel draws a border with a title on the left and a note on the right around what draw makes of the inside.
func panel(th theme, title, note string, w, h int, draw func(w, h int) block) block {
	return frame(th, th.border, title, note, w, h, draw)
}

func frame(th theme, line chart.Ink, title, note string, w, h int, draw func(w, h int) block) block {
	if w < 4 || h < 3 {
		return text(w, h)
	}
	in := draw(w-2, h-2)
	room := w - 4
	if room < 3 {
		title = ""
	}
	if title != "" {
		title = " " + clip(th.title.Paint(title), room-2) + " "
	}
	if note != "" {
		note = " " + note + " "
		if width(title)+width(note)+1 > room {
			note = ""
		}
	}
	rest := max(0, w-4-width(title)-width(note))
	out := block{w: w, h: h, lines: make([]string, 0, h), pics: in.moved(1, 1)}
	out.lines = append(out.lines, line.Paint("╭─")+title+line.Paint(strings.Repeat("─", rest))+note+line.Paint("─╮"))
	side := line.Paint("│")
	for _, l := range in.lines {
		out.lines = append(out.lines, side+l+side)
	}
	out.lines = append(out.lines, line.Paint("╰"+strings.Repeat("─", w-2)+"╯"))
	return out
}
