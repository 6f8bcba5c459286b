package picture

import (
	"bytes"
	"image"
	"io"
	"strconv"
	"sync"
	"time"
)

// A screen holds up to Slots pictures at once. A program marks the cells of a picture in its text by a placeholder: private-use runes,
// one cell wide, so that borders and joins around them stay right. Each slot has several, the generations. A picture that appears,
// or moves, takes the next generation: then the program's redraw cannot take its cells for ones that are on the terminal already,
// and writes them, which is how the screen learns that text and place belong together.
const (
	Slots       = 8
	Generations = 8
	first       = '\uE0F0'
)

// Placeholder is the rune of a slot in a generation.
func Placeholder(slot, generation int) rune {
	return rune(first + slot*Generations + generation%Generations)
}

// IsPlaceholder says whether r is kept for pictures.
func IsPlaceholder(r rune) bool { return r >= first && r < first+Slots*Generations }

// settle is how long Screen waits for the program's next write before it writes a picture by itself.
const settle = 50 * time.Millisecond

// A Placement is an encoded picture and the cell of its top left corner, from 0.
type Placement struct {
	Slot, Generation int
	X, Y             int
	Picture          Encoded
}

// Rect is the cells of the picture.
func (p Placement) Rect() image.Rectangle {
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

// A slot is what the terminal has of a picture.
type slot struct {
	generation int  // of the placeholders written last; -1 is none
	dirty      bool // they were written, or moved, after the picture
	id         uint64
	rect       image.Rectangle // of the picture drawn last
	pixels     image.Point
}

// NewScreen makes a screen that writes to out.
func NewScreen(out io.Writer) *Screen {
	s := &Screen{out: out}
	for k := range s.slots {
		s.slots[k].generation = -1
	}
	return s
}

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
	if !s.waiting && !s.closed && s.anyDue() {
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
	b = s.addPictures(b)
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
		b = s.addPictures(nil)
	}
	s.mu.Unlock()
	if len(b) > 0 {
		// An error shows up in the program's own next write.
		_, _ = s.out.Write(b)
	}
}

// due says whether slot k has to be drawn: its placeholders are on the terminal, and the picture is not.
func (s *Screen) due(k int) bool {
	want, have := s.want[k], s.slots[k]
	if want == nil || have.generation != want.Generation%Generations {
		return false
	}
	if r := want.Rect(); s.cols > 0 && (r.Max.X > s.cols || r.Max.Y > s.rows) {
		return false
	}
	return have.dirty || have.id != want.Picture.ID
}

func (s *Screen) anyDue() bool {
	for k := range s.want {
		if s.due(k) {
			return true
		}
	}
	return false
}

// endSync closes a synchronized update; pictures belong before it.
var endSync = []byte("\x1b[?2026l")

// addPictures appends what is due to a frame.
func (s *Screen) addPictures(b []byte) []byte {
	var tail []byte
	for k := range s.want {
		if !s.due(k) {
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
	r := want.Rect()
	b = append(b, "\x1b7\x1b[m"...)
	if have.rect != r || have.pixels != want.Picture.Pixels {
		for y := r.Min.Y; y < r.Max.Y; y++ { // the new picture may leave pixels of the old one
			b = moveTo(b, r.Min.X, y)
			b = csi(b, r.Dx(), 'X')
		}
	}
	b = moveTo(b, r.Min.X, r.Min.Y)
	b = append(b, want.Picture.Sixel...)
	b = append(b, "\x1b8"...)
	have.dirty, have.id, have.rect, have.pixels = false, want.Picture.ID, r, want.Picture.Pixels
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
