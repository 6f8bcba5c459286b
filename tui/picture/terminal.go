package picture

import (
	"slices"
	"strconv"
	"strings"
)

// Query asks the terminal for the pixels of its window (14t) and of a cell (16t), for its colour registers, for kitty's graphics (by a
// picture of one pixel that is not kept), for its name and version, and last for its primary attributes, which every terminal answers:
// when they are here, the other answers are, or will never be.
const Query = "\x1b[14t\x1b[16t\x1b[?1;1;0S" + askKitty + "\x1b[>0q\x1b[c"

// PlainQuery is for terminals that print what they do not know, such as Linux's console.
const PlainQuery = "\x1b[c"

// askKitty is the question for kitty's graphics.
const askKitty = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"

// The size of a cell in pixels where nothing is known.
const (
	defaultCellW = 8
	defaultCellH = 16
)

// Terminal is what is known about a terminal. The zero value knows nothing, and answers only add to it.
type Terminal struct {
	Answered  bool // the primary attributes are here
	Sixel     bool
	Registers int    // colour registers; 0 is unknown
	Graphics  bool   // it answers to kitty's graphics
	Version   string // its name and version, in its own words
	cell      [3]size
	cols      int
	rows      int
}

type size struct{ w, h int }

// Sources of the cell's size, the most trusted first.
const (
	fromKernel = iota // the size of the window in the kernel, which SSH forwards
	fromCell          // CSI 16 t
	fromWindow        // CSI 14 t divided by the number of cells
)

// trusted says whether a cell of w by h pixels can be true.
func trusted(w, h int) bool { return w >= 4 && h >= 6 && w <= 128 && h <= 256 && h <= 5*w && w <= 2*h }

// Attributes takes the primary device attributes (CSI ? ... c): attribute 4 is sixel.
func (t *Terminal) Attributes(attrs []int) {
	t.Answered = true
	if len(attrs) > 1 { // the first names the kind of terminal
		t.Sixel = slices.Contains(attrs[1:], 4)
	}
}

// Placeholders says whether the terminal shows pictures at Unicode placeholders. Others that know kitty's graphics (WezTerm, Konsole)
// do not, and have sixel.
func (t *Terminal) Placeholders() bool {
	v := strings.ToLower(t.Version)
	return t.Graphics && (strings.HasPrefix(v, "kitty") || strings.HasPrefix(v, "ghostty"))
}

// Files says whether the terminal shows the files of iTerm2's protocol.
func (t *Terminal) Files() bool {
	v := strings.ToLower(t.Version)
	return strings.HasPrefix(v, "iterm2") || strings.HasPrefix(v, "wezterm")
}

// CellSize takes the answer to CSI 16 t.
func (t *Terminal) CellSize(w, h int) { t.cell[fromCell] = size{w, h} }

// WindowPixels takes the answer to CSI 14 t.
func (t *Terminal) WindowPixels(w, h int) { t.cell[fromWindow] = t.perCell(w, h) }

// Resize takes the size in cells, and the pixels of the window as the kernel knows them (0 where it does not).
func (t *Terminal) Resize(cols, rows, pixelsW, pixelsH int) {
	t.cols, t.rows = cols, rows
	t.cell[fromWindow] = size{} // it was measured at another size
	t.cell[fromKernel] = t.perCell(pixelsW, pixelsH)
}

func (t *Terminal) perCell(w, h int) size {
	if t.cols <= 0 || t.rows <= 0 {
		return size{}
	}
	return size{w / t.cols, h / t.rows}
}

// Cell is the size of a cell in pixels by the best source that makes sense.
func (t *Terminal) Cell() (w, h int) {
	for _, c := range t.cell {
		if trusted(c.w, c.h) {
			return c.w, c.h
		}
	}
	return defaultCellW, defaultCellH
}

// Reply takes a whole control sequence from the terminal, and says whether it was an answer to Query.
func (t *Terminal) Reply(seq string) bool {
	body, ok := strings.CutPrefix(seq, "\x1b[")
	if !ok || len(body) < 2 {
		return false
	}
	final := body[len(body)-1]
	body, private := strings.CutPrefix(body[:len(body)-1], "?")
	nums := numbers(body)
	if nums == nil {
		return false
	}
	switch {
	case final == 'c' && private:
		t.Attributes(nums)
	case final == 't' && !private && len(nums) == 3 && nums[0] == 6:
		t.CellSize(nums[2], nums[1])
	case final == 't' && !private && len(nums) == 3 && nums[0] == 4:
		t.WindowPixels(nums[2], nums[1])
	case final == 'S' && private && len(nums) >= 3 && nums[0] == 1 && nums[1] == 0:
		t.Registers = min(nums[2], 1<<16)
	default:
		return false
	}
	return true
}

// numbers reads parameters between semicolons; nil if one is no small number.
func numbers(s string) []int {
	var out []int
	for f := range strings.SplitSeq(s, ";") {
		n, err := strconv.ParseUint(f, 10, 24)
		if err != nil {
			return nil
		}
		out = append(out, int(n))
	}
	return out
}

// Colours is what the text of a terminal can show, as the environment has it.
type Colours int

// The kinds of Colours.
const (
	NoColours Colours = iota
	Colours16
	Colours256
	TrueColour
)

// A Multiplexer is a program between us and the terminal.
type Multiplexer int

// The kinds of Multiplexer.
const (
	Direct      Multiplexer = iota // there is none
	Multiplexed                    // passed through, sixel is drawn at the wrong place, so there is none
	PassesKitty                    // tmux that lets sequences through to a terminal with Unicode placeholders
)

// Modes are the ways this terminal can show pictures, the best first; the last is None.
func (t *Terminal) Modes(c Colours, m Multiplexer) []Mode {
	var out []Mode
	if c >= Colours256 && (m == PassesKitty || m == Direct && t.Placeholders()) {
		out = append(out, Kitty)
	}
	if m == Direct && t.Sixel {
		out = append(out, Sixel)
	}
	if m == Direct && t.Files() {
		out = append(out, ITerm)
	}
	if c >= TrueColour {
		out = append(out, HalfBlocks)
	}
	if c >= Colours256 {
		out = append(out, Blocks256)
	}
	return append(out, ASCII, None)
}

// InMultiplexer says whether the environment is that of tmux or screen.
func InMultiplexer(getenv func(string) string) Multiplexer {
	term := getenv("TERM")
	if getenv("TMUX") != "" || getenv("STY") != "" || strings.HasPrefix(term, "tmux") || strings.HasPrefix(term, "screen") {
		return Multiplexed
	}
	return Direct
}

// TmuxFormat is what to ask tmux for (display-message -p) about the terminal it is in, for TmuxPasses.
const TmuxFormat = "#{allow-passthrough} #{client_termname} #{client_termtype}"

// TmuxPasses reads tmux's answer to TmuxFormat: whether pictures of kitty's get through. It takes passthrough that is allowed, and a
// terminal outside that shows pictures at Unicode placeholders.
func TmuxPasses(answer string) bool {
	f := strings.Fields(strings.ToLower(answer))
	return len(f) >= 2 && (f[0] == "on" || f[0] == "all" || f[0] == "1" || f[0] == "2") &&
		slices.ContainsFunc(f[1:], func(s string) bool { return strings.Contains(s, "kitty") || strings.Contains(s, "ghostty") })
}
