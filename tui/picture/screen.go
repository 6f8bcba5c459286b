package picture

import (
	"bytes"
	"image"
	"io"
	"strconv"
	"sync"
	"time"
)

// Slots is how many pictures a screen can hold at once. Slot k is marked in the text by the rune Placeholder+k: a private-use rune,
// one cell wide, so borders and joins around it stay right.
const (
	Slots       = 16
	Placeholder = '\uE0F0'
)

// settle is how long Screen waits for the program's next write before it writes a picture by itself.
const settle = 50 * time.Millisecond

// A Placement is an encoded picture and the cell of its top left corner, from 0.
type Placement struct {
	Slot    int
	X, Y    int
	Picture Encoded
}

func (p Placement) rect() image.Rectangle {
	return image.Rect(p.X, p.Y, p.X+p.Picture.Cols, p.Y+p.Picture.Rows)
}

// A Screen is the output of a program that redraws by cells. In every write it turns runs of placeholders into "erase n, go right n",
// so that the terminal never shows the rune, and adds the pictures that changed, or whose cells were written, to the same write: text
// and picture arrive together. Where the program's own redraw writes spaces over the placeholders, the picture is erased by them.
type Screen struct {
	out io.Writer

	writing sync.Mutex // one write at a time
	mu      sync.Mutex // the rest; never held while writing, so that Show does not wait for a slow terminal
	cols    int
	rows    int
	want    [Slots]*Placement
	slots   [Slots]slot
	margins bool // scrolling margins are set
	waiting bool // a write by ourselves is due
	closed  bool
}

// A slot is what the terminal shows of a placement.
type slot struct {
	valid  bool // at rect is the picture id
	dirty  bool // cells of it were written since
	id     uint64
	rect   image.Rectangle
	pixels image.Point
}

// NewScreen makes a screen that writes to out.
func NewScreen(out io.Writer) *Screen { return &Screen{out: out} }

// terminalFile is what programs ask of an output to take it for a terminal.
type terminalFile interface {
	io.ReadWriteCloser
	Fd() uintptr
}

// Output is the writer to give to the program. It is a terminal if the screen's own output is one.
func (s *Screen) Output() io.Writer {
	f, ok := s.out.(terminalFile)
	if !ok {
		return s
	}
	return tty{f, s}
}

// tty is a terminal whose writes go through a screen.
type tty struct {
	terminalFile
	screen *Screen
}

func (t tty) Write(p []byte) (int, error) { return t.screen.Write(p) }

// Resize tells the size of the terminal in cells. A placement outside of it is not drawn.
func (s *Screen) Resize(cols, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cols, s.rows = cols, rows
}

// Show says what pictures belong to the text that the program hands to its renderer next. A slot not named is empty.
func (s *Screen) Show(list []Placement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = [Slots]*Placement{}
	for _, p := range list {
		if p.Slot >= 0 && p.Slot < Slots && p.Picture.Mode == Sixel && len(p.Picture.Sixel) > 0 {
			s.want[p.Slot] = &p
		}
	}
	if !s.waiting && !s.closed && s.anyDue(alone) {
		s.waiting = true
		time.AfterFunc(settle, s.flush)
	}
}

// Close ends writes by the screen itself. The program's own writes still pass.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.want = [Slots]*Placement{}
}

// Write passes one frame of the program on.
func (s *Screen) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	b := s.translate(make([]byte, 0, len(p)+64), p)
	b = s.addPictures(b, withFrame)
	s.mu.Unlock()
	if _, err := s.out.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes pictures that no frame took along, because only they changed.
func (s *Screen) flush() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	s.waiting = false
	var b []byte
	if !s.closed {
		b = s.addPictures(nil, alone)
	}
	s.mu.Unlock()
	if len(b) > 0 {
		// An error shows up in the program's own next write.
		_, _ = s.out.Write(b)
	}
}

// An occasion is when a picture may be drawn: with a frame, which may be older than what Show said last, or alone, some time after it.
type occasion bool

const (
	withFrame occasion = true
	alone     occasion = false
)

// due says whether slot k has to be drawn. With a frame, a picture at a new place waits for its placeholders: until they come the
// cells still belong to the text before.
func (s *Screen) due(k int, when occasion) bool {
	want, have := s.want[k], s.slots[k]
	if want == nil {
		return false
	}
	r := want.rect()
	if s.cols > 0 && (r.Max.X > s.cols || r.Max.Y > s.rows) {
		return false
	}
	if have.dirty {
		return true
	}
	if when == withFrame && (!have.valid || !r.In(have.rect)) {
		return false
	}
	return !have.valid || have.id != want.Picture.ID || have.rect != r
}

func (s *Screen) anyDue(when occasion) bool {
	for k := range s.want {
		if s.due(k, when) {
			return true
		}
	}
	return false
}

// endSync closes a synchronized update; pictures belong before it.
var endSync = []byte("\x1b[?2026l")

// addPictures appends what is due to a frame.
func (s *Screen) addPictures(b []byte, when occasion) []byte {
	var tail []byte
	for k := range s.want {
		if s.want[k] == nil && when == withFrame {
			s.slots[k] = slot{} // the program's text erases it
		}
		if !s.due(k, when) {
			continue
		}
		if tail == nil && bytes.HasSuffix(b, endSync) {
			b, tail = b[:len(b)-len(endSync)], endSync
		}
		b = s.draw(b, k)
	}
	return append(b, tail...)
}

// draw appends the picture of slot k, with the cursor and the pen saved around it.
func (s *Screen) draw(b []byte, k int) []byte {
	want, have := s.want[k], &s.slots[k]
	r := want.rect()
	size := want.Picture.Pixels
	b = append(b, "\x1b7\x1b[m"...)
	if !have.valid || have.rect != r || have.pixels != size {
		for y := r.Min.Y; y < r.Max.Y; y++ { // the new picture may leave pixels of the old one
			b = moveTo(b, r.Min.X, y)
			b = csi(b, r.Dx(), 'X')
		}
	}
	b = moveTo(b, r.Min.X, r.Min.Y)
	b = append(b, want.Picture.Sixel...)
	b = append(b, "\x1b8"...)
	*have = slot{valid: true, id: want.Picture.ID, rect: r, pixels: size}
	return b
}

func moveTo(b []byte, x, y int) []byte {
	b = append(b, "\x1b["...)
	b = strconv.AppendInt(b, int64(y+1), 10)
	b = append(b, ';')
	b = strconv.AppendInt(b, int64(x+1), 10)
	return append(b, 'H')
}

func csi(b []byte, n int, final byte) []byte {
	b = append(b, "\x1b["...)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, final)
}
