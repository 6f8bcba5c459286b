package tui

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// An emulator is as much of a terminal as the program uses: cells of text, over which sixel pictures lie. Writing a cell removes the
// picture there, and scrolling moves pictures with the text, as xterm does.
type emulator struct {
	w, h, cellW, cellH int
	cells              [][]cell
	x, y               int
	saved              [2]int
	top, bottom        int  // scrolling margins, bottom not included
	wrap               bool // the next rune goes to the next line
	alt                bool
	pictures           int // sixel sequences drawn
	queries            int // requests for the device attributes
	last               rune
	lastX, lastY       int
	rest               string // an unfinished sequence
	unknown            []string
	ink                int            // of the 256 colours, -1 is the default
	images             map[int]string // kitty's virtual placements: "cols x rows"
	half               string         // keys of a picture of kitty's that is half sent
	reply              func(string)   // takes answers; nil: the terminal is deaf
}

type cell struct {
	r     rune
	pic   string // the sequence whose pixels are here
	marks string // combining runes
	ink   int
}

func newEmulator(w, h, cellW, cellH int) *emulator {
	e := &emulator{cellW: cellW, cellH: cellH, ink: -1, images: map[int]string{}}
	e.resize(w, h)
	return e
}

// resize clears, which is the worst a terminal may do.
func (e *emulator) resize(w, h int) {
	e.w, e.h, e.top, e.bottom = w, h, 0, h
	e.cells = make([][]cell, h)
	for y := range e.cells {
		e.cells[y] = e.blank()
	}
	e.x, e.y = min(e.x, w-1), min(e.y, h-1)
}

func (e *emulator) blank() []cell {
	row := make([]cell, e.w)
	for i := range row {
		row[i] = cell{r: ' '}
	}
	return row
}

// text is the screen without pictures; cells under one are '#'.
func (e *emulator) text() string {
	var b strings.Builder
	for _, row := range e.cells {
		for _, c := range row {
			if c.pic != "" {
				b.WriteRune('#')
			} else {
				b.WriteRune(c.r)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (e *emulator) write(p string) {
	p = e.rest + p
	e.rest = ""
	for len(p) > 0 {
		if p[0] == 0x1b {
			n := sequence(p)
			if n == 0 {
				e.rest = p
				return
			}
			e.escape(p[:n])
			p = p[n:]
			continue
		}
		if !utf8.FullRuneInString(p) {
			e.rest = p
			return
		}
		r, n := utf8.DecodeRuneInString(p)
		p = p[n:]
		e.rune(r)
	}
}

// sequence is the length of the escape sequence at the start of p, 0 if it is not whole.
func sequence(p string) int {
	if len(p) < 2 {
		return 0
	}
	switch p[1] {
	case '[':
		for i := 2; i < len(p); i++ {
			if p[i] >= 0x40 && p[i] <= 0x7e {
				return i + 1
			}
		}
		return 0
	case ']', 'P', '_', '^':
		st, bel := strings.Index(p, "\x1b\\"), strings.IndexByte(p, 7)
		if bel >= 0 && p[1] == ']' && (st < 0 || bel < st) {
			return bel + 1
		}
		return max(0, st+2) * min(1, st+1)
	}
	return 2
}

func (e *emulator) rune(r rune) {
	switch r {
	case '\r':
		e.x, e.wrap = 0, false
	case '\n':
		e.wrap = false
		if e.y == e.bottom-1 {
			e.scroll(e.top, e.bottom, 1)
		} else if e.y < e.h-1 {
			e.y++
		}
	case '\b':
		e.x, e.wrap = max(0, e.x-1), false
	case '\t':
		e.x = min(e.w-1, e.x/8*8+8)
	default:
		if r < ' ' {
			return
		}
		if unicode.Is(unicode.Mn, r) {
			if e.lastX >= 0 {
				e.cells[e.lastY][e.lastX].marks += string(r)
			}
			return
		}
		if e.wrap {
			e.rune('\r')
			e.rune('\n')
		}
		e.cells[e.y][e.x] = cell{r: r, ink: e.ink}
		e.last, e.lastX, e.lastY = r, e.x, e.y
		if e.x == e.w-1 {
			e.wrap = true
		} else {
			e.x++
		}
	}
}

// scroll moves the rows from..to up by n, down if n is negative.
func (e *emulator) scroll(from, to, n int) {
	rows := make([][]cell, 0, to-from)
	for y := from; y < to; y++ {
		if y+n >= from && y+n < to {
			rows = append(rows, e.cells[y+n])
		} else {
			rows = append(rows, e.blank())
		}
	}
	copy(e.cells[from:to], rows)
}

func (e *emulator) escape(seq string) {
	switch {
	case seq == "\x1b7":
		e.saved = [2]int{e.x, e.y}
	case seq == "\x1b8":
		e.x, e.y, e.wrap = e.saved[0], e.saved[1], false
	case seq == "\x1bM":
		if e.y == e.top {
			e.scroll(e.top, e.bottom, -1)
		} else {
			e.y = max(0, e.y-1)
		}
	case strings.HasPrefix(seq, "\x1b_G"):
		e.kitty(seq[3 : len(seq)-2])
	case strings.HasPrefix(seq, "\x1bP"):
		e.sixel(seq)
	case strings.HasPrefix(seq, "\x1b]1337;File="):
		e.file(seq)
	case strings.HasPrefix(seq, "\x1b["):
		e.control(seq[2:len(seq)-1], seq[len(seq)-1])
	}
}

// sixel draws by the raster attributes.
func (e *emulator) sixel(seq string) {
	var pan, pad, w, h int
	_, after, _ := strings.Cut(seq, "\"")
	if n, _ := fmt.Sscanf(after, "%d;%d;%d;%d", &pan, &pad, &w, &h); n != 4 {
		e.unknown = append(e.unknown, "sixel without raster attributes")
		return
	}
	h = (h + 5) / 6 * 6
	e.paint(seq, (w+e.cellW-1)/e.cellW, (h+e.cellH-1)/e.cellH)
}

// file draws one of iTerm2's files by the cells it says it covers.
func (e *emulator) file(seq string) {
	head, _, _ := strings.Cut(seq, ":")
	size := map[string]int{}
	for kv := range strings.SplitSeq(head, ";") {
		k, v, _ := strings.Cut(kv, "=")
		size[k], _ = strconv.Atoi(v)
	}
	e.paint(seq, size["width"], size["height"])
}

// paint covers cells with a picture.
func (e *emulator) paint(seq string, w, h int) {
	e.pictures++
	for y := range h {
		for x := range w {
			if e.y+y >= e.h || e.x+x >= e.w {
				e.unknown = append(e.unknown, "a picture over the edge")
				return
			}
			e.cells[e.y+y][e.x+x].pic = seq
		}
	}
}

// kitty takes kitty's graphics: what is transmitted in whole becomes a virtual placement.
func (e *emulator) kitty(body string) {
	head, _, _ := strings.Cut(body, ";")
	keys := map[string]string{}
	for kv := range strings.SplitSeq(head, ",") {
		k, v, _ := strings.Cut(kv, "=")
		keys[k] = v
	}
	id, _ := strconv.Atoi(keys["i"])
	switch keys["a"] {
	case "q":
		return
	case "d":
		delete(e.images, id)
		return
	case "T":
		if e.half != "" {
			e.unknown = append(e.unknown, "a picture inside of another: "+head)
		}
		delete(e.images, id)
		e.half = fmt.Sprintf("%d %sx%s", id, keys["c"], keys["r"])
	default:
		if e.half == "" {
			e.unknown = append(e.unknown, "the rest of no picture: "+head)
		}
	}
	if keys["m"] == "0" && e.half != "" {
		size := ""
		fmt.Sscan(e.half, &id, &size)
		e.images[id], e.half = size, ""
		e.pictures++
	}
}

func (e *emulator) control(params string, final byte) {
	if strings.HasPrefix(params, "?") || strings.HasPrefix(params, ">") || strings.HasPrefix(params, "=") || strings.HasPrefix(params, "<") || strings.ContainsAny(params, "$ ") {
		if params == "?1049" {
			e.alt = final == 'h'
		}
		return
	}
	var nums []int
	for f := range strings.SplitSeq(params, ";") {
		n, _ := strconv.Atoi(f)
		nums = append(nums, n)
	}
	n := max(1, nums[0])
	row := e.cells[e.y]
	clear := func(from, to int) {
		for x := max(0, from); x < min(e.w, to); x++ {
			row[x] = cell{r: ' '}
		}
	}
	if final != 'm' {
		e.wrap = false
	}
	switch final {
	case 'm':
		for i, n := range nums {
			switch {
			case n == 0 || n == 39:
				e.ink = -1
			case n == 38 && i+2 < len(nums) && nums[i+1] == 5:
				e.ink = nums[i+2]
			}
			if n == 38 || n == 48 {
				break
			}
		}
	case 't':
	case 'c':
		e.queries++
	case 'n':
		if params == "5" && e.reply != nil {
			e.reply(picture.Acknowledged)
		}
	case 'H':
		e.y, e.x = min(e.h, n)-1, 0
		if len(nums) > 1 {
			e.x = min(e.w, max(1, nums[1])) - 1
		}
	case 'A':
		e.y = max(0, e.y-n)
	case 'B':
		e.y = min(e.h-1, e.y+n)
	case 'C':
		e.x = min(e.w-1, e.x+n)
	case 'D':
		e.x = max(0, e.x-n)
	case 'G', '`':
		e.x = min(e.w, n) - 1
	case 'd':
		e.y = min(e.h, n) - 1
	case 'I':
		e.x = min(e.w-1, (e.x/8+n)*8)
	case 'Z':
		e.x = max(0, ((e.x+7)/8-n)*8)
	case 'X':
		clear(e.x, e.x+n)
	case 'K':
		switch nums[0] {
		case 0:
			clear(e.x, e.w)
		case 1:
			clear(0, e.x+1)
		default:
			clear(0, e.w)
		}
	case 'J':
		from := 0
		if nums[0] == 0 {
			clear(e.x, e.w)
			from = e.y + 1
		}
		for y := from; y < e.h; y++ {
			e.cells[y] = e.blank()
		}
	case 'b':
		for range n {
			e.rune(e.last)
		}
	case '@':
		for x := e.w - 1; x >= e.x+n; x-- {
			row[x] = row[x-n]
		}
		clear(e.x, e.x+n)
	case 'P':
		for x := e.x; x+n < e.w; x++ {
			row[x] = row[x+n]
		}
		clear(e.w-n, e.w)
	case 'L':
		e.scroll(e.y, e.bottom, -n)
	case 'M':
		e.scroll(e.y, e.bottom, n)
	case 'S':
		e.scroll(e.top, e.bottom, n)
	case 'T':
		e.scroll(e.top, e.bottom, -n)
	case 'r':
		e.top, e.bottom = n-1, e.h
		if len(nums) > 1 && nums[1] > 0 {
			e.bottom = min(e.h, nums[1])
		}
		e.x, e.y = 0, 0
	case 'u', 'l', 'h', 'q', 's':
	default:
		e.unknown = append(e.unknown, params+string(final))
	}
}
