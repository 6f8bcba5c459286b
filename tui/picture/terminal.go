package picture

import (
	"slices"
	"strconv"
	"strings"
)

// Query asks the terminal for the pixels of its window (14t) and of a cell (16t), for its colour registers, and last for its primary
// attributes, which every terminal answers: when they are here, the other answers are, or will never be.
const Query = "\x1b[14t\x1b[16t\x1b[?1;1;0S\x1b[c"

// The size of a cell in pixels where nothing is known.
const (
	defaultCellW = 8
	defaultCellH = 16
)

// Terminal is what is known about a terminal. The zero value knows nothing, and answers only add to it.
type Terminal struct {
	Answered  bool // the primary attributes are here
	Sixel     bool
	Registers int // colour registers; 0 is unknown
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

// Modes are the ways this terminal can show pictures, the best first; the last is None. Inside a multiplexer there is no sixel:
// passed through, it is drawn at the wrong place.
func (t *Terminal) Modes(c Colours, multiplexer bool) []Mode {
	var out []Mode
	if t.Sixel && !multiplexer {
		out = append(out, Sixel)
	}
	if c >= TrueColour {
		out = append(out, HalfBlocks)
	}
	if c >= Colours256 {
		out = append(out, Blocks256)
	}
	return append(out, ASCII, None)
}

// Multiplexer says whether the environment is that of tmux or screen.
func Multiplexer(getenv func(string) string) bool {
	term := getenv("TERM")
	return getenv("TMUX") != "" || getenv("STY") != "" || strings.HasPrefix(term, "tmux") || strings.HasPrefix(term, "screen")
}
