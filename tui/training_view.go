package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// Sizes at which the layout of the training tab changes.
const (
	smallW, smallH   = 60, 15  // below: one line a metric
	mediumW, mediumH = 100, 32 // from here: the strip of x_t and the metrics in lines of their own
	wideW, wideH     = 160, 46 // from here: more charts
)

// draw draws the screen without its footer.
func (t *training) draw(s surface) block {
	t.hang(s.g)
	if t.asking {
		return t.question(s)
	}
	if t.small = s.w < smallW || s.h+1 < smallH; t.small {
		return t.drawSmall(s)
	}
	head := text(s.w, 2, t.header(s), t.tabLine(s))
	w, h := s.w, s.h-2
	return stack(head, t.places[t.tab].draw(t, s, w, h))
}

// stateInk is the colour of a state; its word says the same.
func (t *training) stateInk(th theme) chart.Ink {
	switch t.stateWord() {
	case "RUNNING", "DONE":
		return th.good
	case "FAILED", "ENDED":
		return th.bad
	case "PAUSED", "STOPPING", "STOPPED", "SAVING":
		return th.warn
	}
	return th.accent
}

func (t *training) stateWord() string {
	switch {
	case t.closed && t.end == nil:
		return "ENDED"
	case t.stopping && !t.closed:
		return "STOPPING"
	case t.state == "":
		return "STARTING"
	case t.state == "checkpointing":
		return "SAVING"
	}
	return strings.ToUpper(t.state)
}

// header is the first line: what runs, how it is, how far, how long.
func (t *training) header(s surface) string {
	th := s.th
	name := t.start.Name
	if name == "" {
		name = t.title
	}
	parts := []string{badge(t.stateInk(th), t.stateWord())}
	if t.start.Steps > 0 {
		parts = append(parts, "step "+bold("").Paint(brief(t.step))+th.dim.Paint("/"+brief(t.start.Steps)))
		if s.w >= 72 { // else the bar has to say it
			parts = append(parts, fmt.Sprintf("%.1f%%", 100*t.fraction()))
		}
	}
	if left := t.left(); left != "" {
		parts = append(parts, left)
	} else if t.steps == 0 && !t.closed {
		parts = append(parts, t.waiting(s))
	}
	return headerLine(th, name, parts, s.g.mode.String(), s.w)
}

// headerLine is the first line of every screen: the program, the name, what is said of it, and how pictures are shown.
func headerLine(th theme, name string, parts []string, mode string, w int) string {
	right := th.dim.Paint(mode) + " "
	for len(parts) > 2 && width(strings.Join(parts, "   "))+24 > w {
		parts = parts[:len(parts)-1]
	}
	fixed := width(strings.Join(parts, "   ")) + 12 + width(right) + 5
	left := " " + th.dim.Paint("ddpm-tui") + "  "
	if name != "" {
		left += bold("").Paint(clip(name, max(8, w-fixed))) + "   "
	}
	left += strings.Join(parts, "   ")
	if width(left)+width(right)+1 > w {
		return pad(left, w)
	}
	return pad(left, w-width(right)) + right
}

// spinner turns while there is nothing else to show.
var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// waiting says that something happens before the first step.
func (t *training) waiting(s surface) string {
	d := s.now.Sub(t.opened)
	if d < 0 {
		d = 0
	}
	turn := spinner[int(d.Milliseconds()/125)%len(spinner)]
	return s.th.accent.Paint(string(turn)) + " " + span(d.Seconds())
}

// tabLine is the second line: the tabs, and a bar for how far the run is.
func (t *training) tabLine(s surface) string {
	var parts []string
	for i := range tabNames {
		if i == t.tab {
			parts = append(parts, bold(s.th.accent).Paint("["+tabLabel(i)+"]"))
		} else {
			parts = append(parts, s.th.dim.Paint(" "+tabLabel(i)+" "))
		}
	}
	left := " " + strings.Join(parts, "") + " "
	if t.crowded = width(left)+6 > s.w; t.crowded { // the one in view must be seen
		left = " " + parts[t.tab] + " "
	}
	return pad(left+chart.Progress(t.fraction(), s.w-width(left)-1, s.th.accent, s.th.border), s.w)
}

func tabLabel(i int) string { return fmt.Sprintf("%d %s", i+1, tabNames[i]) }

// click implements clickable: the line of tabs, and what the tab in view makes of it.
func (t *training) click(x, y int) tea.Cmd {
	if t.asking || t.small {
		return nil
	}
	if y == 1 && !t.crowded {
		from := 1
		for i := range tabNames {
			to := from + 2 + len(tabLabel(i))
			if x >= from && x < to {
				return t.show(i)
			}
			from = to
		}
	}
	if in, ok := t.places[t.tab].(interface {
		click(t *training, y int) tea.Cmd
	}); ok {
		return in.click(t, y-2)
	}
	return nil
}

// drawCompact is for 80x24: the loss and the numbers beside the samples, below them the loss by timestep and the end of the log.
func (t *training) drawCompact(s surface, w, h int) block {
	logH, stripH := 4, 3
	if h < 16 {
		stripH = 0
	}
	if h < 14 {
		logH = 3
	}
	if t.closed {
		logH = min(len(t.next)+5, h-stripH-5) // all of how it ended
	}
	topH := h - logH - stripH
	picW := 0
	if w >= 72 && topH >= 9 {
		picW = min(w*2/5, s.cols(topH-2)+2)
	}
	nowH := min(5, max(0, topH-4))
	if nowH < 3 {
		nowH = 0
	}
	top := stack(t.lossPanel(s, w-picW, topH-nowH), t.nowPanel(s, w-picW, nowH))
	if picW > 0 {
		top = beside(top, t.samplesPanel(s, picW, topH))
	}
	return stack(top, t.bucketPanel(s, w, stripH), t.logPanel(s, w, logH))
}

// drawMedium is for 120x40: the loss beside the samples, the strip of x_t, the loss by timestep, the numbers beside the log.
func (t *training) drawMedium(s surface, w, h int) block {
	bucketH, nowH := 5, 7
	stripH := s.stripRows(w-2, 5) + 2
	if h > 42 {
		bucketH, nowH, stripH = 6, 11, s.stripRows(w-2, 7)+2
	}
	topH := h - stripH - bucketH - nowH
	picW := min(w*9/20, s.cols(topH-2)+2)
	nowW := max(42, w*9/20)
	return stack(
		beside(t.lossPanel(s, w-picW, topH), t.samplesPanel(s, picW, topH)),
		t.stripPanel(s, w, stripH),
		beside(t.bucketPanel(s, w-w/2, bucketH), t.heatPanel(s, w/2, bucketH)),
		beside(t.nowPanel(s, nowW, nowH), t.logPanel(s, w-nowW, nowH)),
	)
}

// drawWide is for 200x60: charts on the left, the samples as large as they get on the right, the strip of x_t over the whole width.
func (t *training) drawWide(s surface, w, h int) block {
	bottomH := max(10, h/6)
	stripH := s.stripRows(w-2, max(6, h/7)) + 2
	topH := h - bottomH - stripH
	picW := min(w*11/25, s.cols(topH-2)+2)
	leftW := w - picW
	sparkH, bucketH := 7, 9
	third := leftW / 3
	left := stack(
		t.lossPanel(s, leftW, topH-sparkH-bucketH),
		beside(
			t.curvePanel(s, "gradient norm, clipped "+percent(t.clipShare()), &t.grad, leftW-2*third, sparkH),
			t.curvePanel(s, "images/s", &t.speed, third, sparkH),
			t.curvePanel(s, "learning rate", &t.rate, third, sparkH),
		),
		beside(t.bucketPanel(s, leftW-leftW/2, bucketH), t.heatPanel(s, leftW/2, bucketH)),
	)
	nowW := max(46, w/3)
	return stack(
		beside(left, t.samplesPanel(s, picW, topH)),
		t.stripPanel(s, w, stripH),
		beside(t.nowPanel(s, nowW, bottomH), t.logPanel(s, w-nowW, bottomH)),
	)
}

// drawPictures is the samples tab while there is no history at hand: the samples as large as they get, and the strip below.
func (t *training) drawPictures(s surface, w, h int) block {
	stripH := min(s.stripRows(w-2, max(2, h/4))+2, h/3)
	if stripH < 4 {
		stripH = 0
	}
	return stack(t.samplesPanel(s, w, h-stripH), t.stripPanel(s, w, stripH))
}

// cols is how many columns a square picture of so many rows takes.
func (s surface) cols(rows int) int {
	cw, ch := max(1, s.g.cellW), max(1, s.g.cellH)
	return (rows*ch + cw - 1) / cw
}

// stripRows is the height of a strip of ten square tiles in w columns, at most most.
func (s surface) stripRows(w, most int) int {
	cw, ch := max(1, s.g.cellW), max(1, s.g.cellH)
	return max(2, min(most, w*cw/10/ch))
}

// drawSmall is one line a metric, the most important first.
func (t *training) drawSmall(s surface) block {
	th := s.th
	lines := []string{badge(t.stateInk(th), t.stateWord())}
	if t.start.Steps > 0 {
		lines[0] += fmt.Sprintf(" %s/%s %.0f%%", brief(t.step), brief(t.start.Steps), 100*t.fraction())
	} else if !t.closed {
		lines[0] += " " + t.waiting(s)
	}
	if left := t.left(); left != "" {
		lines = append(lines, left)
	}
	for _, m := range append(t.metrics(), t.facts()...) {
		lines = append(lines, th.dim.Paint(pad(m.name, 9))+m.value)
	}
	room := s.h - len(lines)
	if room > 0 && len(t.log) > 0 {
		lines = append(lines, t.logTail(th, s.w, min(room, len(t.log)), 0)...)
	}
	return text(s.w, s.h, lines...)
}
