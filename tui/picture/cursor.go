package picture

import (
	"bytes"
	"unicode/utf8"
)

// A cursor is what is known of where the terminal's is, from what the program writes: enough to say in which row it inserts or deletes,
// so that pictures elsewhere are not drawn again. Whatever is not certain makes the row unknown.
type cursor struct {
	row int // -1 is unknown
	col int // at least the column, so that a line that could have wrapped is seen
}

var nowhere = cursor{row: -1}

// print takes text, without escapes and placeholders.
func (c *cursor) print(text []byte, cols, rows int, margins bool) {
	for len(text) > 0 && c.row >= 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r == '\r':
			c.col = 0
		case r == '\n':
			if c.row++; margins || c.row >= rows { // it may have scrolled
				*c = nowhere
			}
		case r == '\b':
		case r < ' ':
			*c = nowhere
		case c.col >= cols:
			*c = nowhere // it may have wrapped
		case r < 0x1100:
			c.col++
		default:
			c.col += 2 // at most
		}
	}
}

// move takes a control sequence; final is 0 for one that is no plain CSI.
func (c *cursor) move(seq []byte, final byte, params [2]int, rows int, margins bool) {
	n := params[0]
	switch final {
	case 'H', 'f':
		c.row, c.col = max(1, n)-1, 0
		if params[1] < 1<<16 {
			c.col = max(1, params[1]) - 1
		}
	case 'd':
		c.row = max(1, n) - 1
	case 'r':
		c.row, c.col = 0, 0
	case 'A', 'B', 'E', 'F':
		if margins || c.row < 0 {
			*c = nowhere
			return
		}
		if n = max(1, n); final == 'A' || final == 'F' {
			n = -n
		}
		c.row = max(0, min(rows-1, c.row+n))
		if final == 'E' || final == 'F' {
			c.col = 0
		}
	case 'G', '`':
		c.col = max(1, n) - 1
	case 'C':
		c.col += max(1, n)
	case 'b':
		c.col += 2 * max(1, n)
	case 'I': // to a tab stop
		c.col += 8 * max(1, n)
	case 'D', 'Z', 'X', 'K', 'J', 'm', '@', 'P', 'S', 'T', 'n', 'c':
	case 'L', 'M':
		c.col = 0
	default:
		switch {
		case bytes.HasPrefix(seq, []byte("\x1b]")), bytes.HasPrefix(seq, []byte("\x1bP")), bytes.HasPrefix(seq, []byte("\x1b_")): // strings
		case bytes.HasPrefix(seq, []byte("\x1b[?25")), bytes.HasPrefix(seq, []byte("\x1b[?2026")), bytes.HasPrefix(seq, []byte("\x1b[?2004")): // the cursor's look, frames, pasting
		case len(seq) > 2 && seq[1] == '[' && seq[len(seq)-1] == 'm': // a pen of several parameters
		default:
			*c = nowhere
		}
	}
	if c.row >= rows {
		*c = nowhere
	}
}
