package tui

import (
	"fmt"
	"image/color"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A gallery holds a screen's pictures by name. Drawing one into a box says what is wanted; encoding happens in commands, one at a time
// a picture, and always from the newest image, so that a slow terminal or a fast source costs frames and never time.
//
// A newer image waits until the terminal has the one before it, and the line has room for it: then it is the newest there is.
type gallery struct {
	out    *picture.Screen // what the line can take
	pace   time.Duration   // between two images of a picture at least
	mode   picture.Mode
	cellW  int
	cellH  int
	colors int
	tmux   bool // kitty's pictures pass through it
	art    map[string]*artwork
	waits  time.Time     // the moment it waits for, if there is one
	calm   time.Duration // how long a picture stays before it is made better; 0 is the usual

	changed int // how often loaded has changed what is to be drawn
}

type artwork struct {
	slot    int
	sheet   picture.Sheet
	still   bool
	seq     int
	wanted  bool // drawn in the last frame
	want    recipe
	made    recipe
	have    picture.Encoded
	next    *picture.Encoded // kitty's: shown when the terminal has it
	busy    bool
	begun   time.Time // the encoding of the last image
	quality int       // that the line has room for once a pace
	shown   int       // of have
	better  int       // how often have was made better, or tried to be
	turn    int       // of kitty's two numbers for the picture
}

// A picture that stays has more time than one of many: where the line made it smaller or took colours from it, it is made again with the
// bytes of the time since, each time after twice as long. A new one does not wait for the rest of such a picture.
const (
	usualCalm  = 2 * time.Second
	mostBetter = 3
)

// firstImage is the first of the numbers of our pictures in kitty: two for each slot, one that is shown and one that is loaded.
const firstImage = 161

// A recipe is all that an encoded picture depends on, but what the line can take.
type recipe struct {
	seq  int
	mode picture.Mode
	opt  picture.Options
}

// encodedMsg brings a picture back from its command.
type encodedMsg struct {
	name   string
	from   recipe
	pic    picture.Encoded
	better bool // of a picture that is there
}

// lineMsg says that the line can take more, or a picture is loaded.
type lineMsg struct{}

// paceMsg says that a picture has waited long enough.
type paceMsg struct{}

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
		Cols: w, Rows: h, CellW: g.cellW, CellH: g.cellH, Colors: g.colors, Still: a.still, Background: th.back, Light: !th.dark, Passthrough: g.tmux,
	}}
	e := a.have
	if e.Mode != g.mode || e.Cols == 0 || e.Cols > w || e.Rows > h {
		return text(w, h)
	}
	if !e.Mode.Drawn() {
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

// placements are the pictures of a frame whose cells are text: those that the text shows, and those of kitty's that are to be loaded.
func (g *gallery) placements() []picture.Placement {
	var list []picture.Placement
	for _, a := range g.art {
		switch {
		case !a.wanted:
		case a.next != nil:
			list = append(list, picture.Placement{Slot: a.slot, Picture: *a.next})
		case a.have.Mode == g.mode && len(a.have.Parts) == 0:
			list = append(list, picture.Placement{Slot: a.slot, Picture: a.have})
		}
	}
	return list
}

// loaded shows the pictures of kitty's that the terminal has.
func (g *gallery) loaded() {
	for _, a := range g.art {
		if a.next != nil && g.out.Loaded(a.slot, *a.next) {
			a.have, a.next = *a.next, nil
			g.changed++
		}
	}
}

// work is the encoding that the last frame asks for.
func (g *gallery) work() tea.Cmd {
	wanted := 0
	for _, a := range g.art {
		if a.wanted {
			wanted++
		}
	}
	var cmds []tea.Cmd
	soonest := time.Duration(0)
	for name, a := range g.art {
		if !a.wanted || a.busy || a.next != nil {
			continue
		}
		wait := time.Duration(-1)
		better := a.want == a.made
		if !better {
			wait = g.wait(a)
		} else if a.shown > 0 && a.better < mostBetter {
			wait = g.waitBetter(a)
		}
		switch {
		case wait == 0:
			cmds = append(cmds, g.encode(name, a, wanted, better))
		case wait > 0 && (soonest == 0 || wait < soonest):
			soonest = wait
		}
	}
	if at := time.Now().Add(soonest); soonest > 0 && (g.waits.IsZero() || at.Before(g.waits)) {
		g.waits = at
		cmds = append(cmds, tea.Tick(soonest, func(time.Time) tea.Msg { return paceMsg{} }))
	}
	return tea.Batch(cmds...)
}

// wait is how long a picture has to wait; negative is until lineMsg. One that is to be elsewhere, or of another size, does not: the one
// before it does not do.
func (g *gallery) wait(a *artwork) time.Duration {
	before := a.made
	if before.seq = a.want.seq; before != a.want {
		return 0
	}
	if wait := g.pace - time.Since(a.begun); wait > 0 {
		return wait
	}
	if a.better > 0 {
		return 0
	}
	return g.out.Wait()
}

// calmFor is how long a picture stays before it is made better.
func (g *gallery) calmFor(a *artwork) time.Duration {
	calm := g.calm
	if calm == 0 {
		calm = usualCalm
	}
	return calm << a.better
}

// waitBetter is how long a picture that is there has to wait before it is made better; negative is until something happens.
func (g *gallery) waitBetter(a *artwork) time.Duration {
	if wait := g.calmFor(a) - time.Since(a.begun); wait > 0 {
		return wait
	}
	return g.out.Wait()
}

// encode is the command that makes a picture, one of so many on the screen.
func (g *gallery) encode(name string, a *artwork, of int, better bool) tea.Cmd {
	had := g.calmFor(a)
	a.busy, a.begun = true, time.Now()
	a.turn ^= 1
	from, id := max(0, a.quality-1), firstImage+2*a.slot+a.turn
	if a.made.mode != a.want.mode {
		from = 0
	}
	interval := max(g.pace, time.Second/4)
	if better {
		from, interval = 0, max(interval, had)
		a.better++
	} else {
		a.better = 0
	}
	bytes := g.out.Allowance(interval) / of
	r, sheet := a.want, a.sheet
	return func() tea.Msg {
		pic, err := picture.EncodeWithin(sheet, r.mode, r.opt, id, from, bytes)
		if err != nil { // nothing that would be better the next time
			pic = picture.Encoded{Mode: r.mode}
		}
		return encodedMsg{name, r, pic, better}
	}
}

// encoded takes a picture that is done.
func (g *gallery) encoded(m encodedMsg) {
	a := g.art[m.name]
	if a == nil {
		return
	}
	a.busy = false
	if m.better && (m.from != a.made || m.pic.Quality >= a.shown) {
		return // it would be no better
	}
	a.made, a.shown = m.from, m.pic.Quality
	if !m.better {
		a.quality = m.pic.Quality
	}
	if m.pic.Mode == picture.Kitty && m.pic.Cols > 0 {
		a.next = &m.pic
		return
	}
	a.have, a.next = m.pic, nil
}

// statLines are the numbers that stand for pictures.
func statLines(th theme, s picture.Sheet, w, h int) []string {
	cell := min(25, w)
	stats := s.Stats()
	cols := max(1, w/max(1, cell))
	if len(stats) < h {
		cols = 1
	}
	rows := max(1, min(h-1, (len(stats)+cols-1)/cols))
	head := th.dim.Paint(pad("    mean  dev  min  max", cell))
	lines := []string{strings.Repeat(head, max(1, min(cols, (len(stats)+rows-1)/rows)))}
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
	if more := len(stats) - rows*cols; more > 0 && rows > 1 { // it takes the place of a row
		lines[rows] = th.dim.Paint(fmt.Sprintf("and %d more", more+cols))
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
