package tui

import (
	"context"
	"fmt"
	"image"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// DataInfo is what a look at a set of images found.
type DataInfo struct {
	Path       string
	Count      int
	Side       int         // pixels a side after resizing; 0 if they stay as they are
	Sizes      []SizeCount // as they are in the files, the most frequent first
	Mean       image.Image // the mean picture
	Sheet      image.Image // a contact sheet
	Rows, Cols int         // of its tiles
	Skipped    []Skipped
	Notes      []string // more lines: format, channels, bytes
}

// SizeCount is how many images have a size.
type SizeCount struct{ W, H, N int }

// Skipped is a file that is not used, and why.
type Skipped struct{ Name, Reason string }

// RunData shows what is in a set of images.
func RunData(ctx context.Context, info DataInfo, opt Options) error {
	return show(ctx, newData(info), opt)
}

const (
	pictureSheet = "sheet"
	pictureMean  = "mean"
)

// data is the data screen.
type data struct {
	info   DataInfo
	scroll int
	hung   bool
}

func newData(info DataInfo) *data { return &data{info: info} }

func (d *data) init() tea.Cmd          { return nil }
func (d *data) update(tea.Msg) tea.Cmd { return nil }
func (d *data) typing() bool           { return false }
func (d *data) notice() string         { return "" }
func (d *data) leave(bool) tea.Cmd     { return quit }

func (d *data) table() []binding {
	back := func(n int) func() tea.Cmd {
		return func() tea.Cmd {
			d.scroll = max(0, min(len(d.info.Skipped)-1, d.scroll+n))
			return nil
		}
	}
	return []binding{
		{keys: []string{"up", "k"}, help: "scroll the skipped files back", do: back(-1)},
		{keys: []string{"down", "j"}, help: "scroll the skipped files on", do: back(1)},
		{keys: []string{"pgup"}, help: "ten lines back", do: back(-10)},
		{keys: []string{"pgdown", "space"}, help: "ten lines on", do: back(10)},
		{keys: []string{"q", "esc", "enter"}, name: "quit", help: "leave", do: func() tea.Cmd { return quit }},
	}
}

func (d *data) draw(s surface) block {
	if !d.hung {
		d.hung = true
		if d.info.Sheet != nil {
			s.g.set(pictureSheet, picture.Sheet{Image: d.info.Sheet, Rows: d.info.Rows, Cols: d.info.Cols}, true)
		}
		if d.info.Mean != nil {
			s.g.set(pictureMean, picture.Sheet{Image: d.info.Mean}, true)
		}
	}
	facts := d.facts(s.th)
	if s.w < 50 || s.h < 12 {
		return text(s.w, s.h, append(facts, d.skipped(s.th, s.h)...)...)
	}
	what := []string{count(int64(d.info.Count)) + " images"}
	if n := len(d.info.Skipped); n > 0 {
		what = append(what, s.th.warn.Paint(count(int64(n))+" skipped"))
	}
	head := text(s.w, 1, headerLine(s.th, clean(d.info.Path), what, s.g.mode.String(), s.w))
	h := s.h - 1
	leftW := max(32, s.w/3)
	factH := min(len(facts)+2, h/2)
	skipH := 0
	if len(d.info.Skipped) > 0 {
		skipH = max(4, min(len(d.info.Skipped)+2, h-factH-8, h/2))
	}
	left := stack(
		panel(s.th, "images", "", leftW, factH, func(w, h int) block { return text(w, h, facts...) }),
		panel(s.th, "mean", "", leftW, h-factH-skipH, func(w, h int) block { return s.g.draw(s.th, pictureMean, w, h, "no mean picture") }),
		d.skippedPanel(s, leftW, skipH),
	)
	right := panel(s.th, "some of them", "", s.w-leftW, h, func(w, h int) block {
		return s.g.draw(s.th, pictureSheet, w, h, "no images")
	})
	return stack(head, beside(left, right))
}

func (d *data) facts(th theme) []string {
	line := func(name, value string) string { return " " + th.dim.Paint(pad(name, 9)) + value }
	lines := []string{line("count", count(int64(d.info.Count)))}
	if d.info.Side > 0 {
		lines = append(lines, line("used at", fmt.Sprintf("%dx%d", d.info.Side, d.info.Side)))
	}
	for i, z := range d.info.Sizes {
		name := ""
		if i == 0 {
			name = "in files"
		}
		if i == 4 && len(d.info.Sizes) > 5 {
			lines = append(lines, line("", fmt.Sprintf("and %d other sizes", len(d.info.Sizes)-i)))
			break
		}
		lines = append(lines, line(name, fmt.Sprintf("%dx%d  %s", z.W, z.H, count(int64(z.N)))))
	}
	for _, n := range d.info.Notes {
		lines = append(lines, line("", clean(n)))
	}
	return lines
}

func (d *data) skippedPanel(s surface, w, h int) block {
	return panel(s.th, "skipped", s.th.dim.Paint(count(int64(len(d.info.Skipped)))), w, h, func(w, h int) block {
		return text(w, h, d.skipped(s.th, h)...)
	})
}

// skipped is n lines of the list.
func (d *data) skipped(th theme, n int) []string {
	var lines []string
	from := min(d.scroll, max(0, len(d.info.Skipped)-n))
	for _, f := range d.info.Skipped[from:min(len(d.info.Skipped), from+max(0, n))] {
		lines = append(lines, " "+clean(f.Name)+"  "+th.warn.Paint(clean(f.Reason)))
	}
	return lines
}
