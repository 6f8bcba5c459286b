package picture

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// translate appends a frame to dst with its placeholders replaced, and notes what the frame does to the pictures on the screen: a
// placeholder written means that its cells were text before, or were erased, and moved rows take pieces of pictures with them.
func (s *Screen) translate(dst, p []byte) []byte {
	for len(p) > 0 {
		i := 0
		for i < len(p) && p[i] != 0x1b && !placeholder(p[i:]) {
			i++
		}
		s.cursor.print(p[:i], s.cols, s.rows, s.margins)
		if i == len(p) {
			return append(dst, p...)
		}
		dst, p = append(dst, p[:i]...), p[i:]
		if p[0] == 0x1b {
			n := escape(p)
			s.note(p[:n])
			dst, p = append(dst, p[:n]...), p[n:]
			continue
		}
		r, count, n := run(p)
		sl := &s.slots[int(r-first)/Generations]
		sl.generation, sl.dirty = int(r-first)%Generations, true
		s.cursor.col += count
		dst = csi(dst, count, 'X')
		dst = csi(dst, count, 'C')
		p = p[n:]
	}
	return dst
}

// placeholder says whether p starts with one.
func placeholder(p []byte) bool {
	if len(p) < 3 || p[0] != 0xee {
		return false
	}
	r, _ := utf8.DecodeRune(p)
	return IsPlaceholder(r)
}

// run reads equal placeholders, with repeats (CSI n b) after them: the rune, the number of cells, and the bytes read.
func run(p []byte) (r rune, cells, n int) {
	r, size := utf8.DecodeRune(p)
	for n < len(p) {
		if placeholder(p[n:]) {
			if next, _ := utf8.DecodeRune(p[n:]); next != r {
				break
			}
			cells++
			n += size
			continue
		}
		e := escape(p[n:])
		final, params := control(p[n : n+e])
		if final != 'b' {
			break
		}
		cells += params[0]
		n += e
	}
	return r, cells, n
}

// escape is the length of the escape sequence at the start of p, 0 if there is none, and all of p if it does not end.
func escape(p []byte) int {
	if len(p) == 0 || p[0] != 0x1b {
		return 0
	}
	if len(p) == 1 {
		return 1
	}
	switch p[1] {
	case '[':
		for i := 2; i < len(p); i++ {
			if p[i] >= 0x40 && p[i] <= 0x7e {
				return i + 1
			}
		}
		return len(p)
	case ']', 'P', '_', '^', 'X': // strings, to ST or BEL
		for i := 2; i < len(p); i++ {
			if p[i] == 0x07 {
				return i + 1
			}
			if p[i] == 0x1b && i+1 < len(p) && p[i+1] == '\\' {
				return i + 2
			}
		}
		return len(p)
	}
	return 2
}

// control reads CSI n ; m final without a private marker. Parameters left out are 1 and the largest number; final is 0 for anything
// else.
func control(seq []byte) (final byte, params [2]int) {
	params = [2]int{1, math.MaxInt32}
	if len(seq) < 3 || seq[1] != '[' {
		return 0, params
	}
	body := seq[2 : len(seq)-1]
	for i, f := range bytes.SplitN(body, []byte{';'}, 3) {
		if len(f) == 0 || i > 1 {
			continue
		}
		n := 0
		for _, c := range f {
			if c < '0' || c > '9' || n > 1<<16 {
				return 0, params
			}
			n = 10*n + int(c-'0')
		}
		params[i] = n
	}
	return seq[len(seq)-1], params
}

// note marks the pictures that a control sequence moves. Rows move inside of scrolling margins (r), or, without margins, anywhere
// (scroll) or from the cursor's on (insert and delete lines); characters move along the cursor's row (insert and delete characters).
func (s *Screen) note(seq []byte) {
	final, params := control(seq)
	row := s.cursor.row
	s.cursor.move(seq, final, params, s.rows, s.margins)
	top, bottom := max(0, row), math.MaxInt32 // of an unknown row: any
	switch final {
	case 'r':
		top, bottom = params[0]-1, params[1]
		if top <= 0 && (s.rows == 0 || bottom >= s.rows) {
			s.margins = false
			return // the whole screen: the end of a scroll
		}
		s.margins = true
	case 'S', 'T', 'L', 'M':
		if s.margins {
			return // noted with the margins
		}
		if final == 'S' || final == 'T' {
			top = 0
		}
	case '@', 'P':
		if row >= 0 {
			bottom = row + 1
		}
	default:
		return
	}
	for k := range s.slots {
		if sl := &s.slots[k]; sl.rect.Min.Y < bottom && sl.rect.Max.Y > top {
			sl.dirty = true
		}
	}
}
