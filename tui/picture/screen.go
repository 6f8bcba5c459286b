package picture

import (
	"bytes"
	"image"
	"io"
	"slices"
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

// A Placement is an encoded picture and the cell of its top left corner, from 0. A picture of kitty's has no place: its text says where
// it is, once it is loaded.
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
//
// Where the line is slow a picture goes out in parts, each of which the terminal acknowledges, with the program's text between them.
type Screen struct {
	out io.Writer

	writing sync.Mutex // one write at a time
	mu      sync.Mutex // the rest; never held while writing, so that Show does not wait for a slow terminal
	cols    int
	rows    int
	want    [Slots]*Placement
	slots   [Slots]slot
	margins bool // scrolling margins are set
	cursor  cursor
	waiting bool // a write by ourselves is due
	closed  bool
	link    *Link     // nil: nothing is asked and nothing held back
	notify  func()    // something a program waits for has happened
	text    time.Time // since when a new picture that is text is on its way; zero: there is none
	since   int       // bytes written since the last probe
	loading int       // the slot whose picture of kitty's is half sent, -1 is none: nothing of another may come between
	kitty   map[int]bool
	tmux    bool // kitty's sequences have to pass through it
}

// A slot is what the terminal has of a picture.
type slot struct {
	generation int  // of the placeholders written last; -1 is none
	dirty      bool // they were written, or moved, after the picture
	id         uint64
	parts      int             // of the picture, that were drawn
	rect       image.Rectangle // of the picture drawn last
	pixels     image.Point
}

// NewScreen makes a screen that writes to out.
func NewScreen(out io.Writer) *Screen {
	s := &Screen{out: out, loading: -1, kitty: map[int]bool{}, cursor: nowhere}
	for k := range s.slots {
		s.slots[k].generation = -1
	}
	return s
}

// Pace makes the screen ask for acknowledgements, which the program hands to Acknowledge, and keep to what the link can take. notify
// is called, from any goroutine, when Loaded or Wait may have changed.
func (s *Screen) Pace(l *Link, notify func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link, s.notify = l, notify
}

// Passthrough says that kitty's sequences have to pass through tmux.
func (s *Screen) Passthrough(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tmux = on
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
	s.cols, s.rows, s.cursor = cols, rows, nowhere
}

// Show says what pictures belong to the text that the program hands to its renderer next, and which of kitty's are to be loaded for a
// text to come. A slot not named is empty.
func (s *Screen) Show(list []Placement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = [Slots]*Placement{}
	for _, p := range list {
		if p.Slot < 0 || p.Slot >= Slots || p.Picture.Cols == 0 {
			continue
		}
		if len(p.Picture.Parts) > 0 {
			s.want[p.Slot] = &p
		} else if sl := &s.slots[p.Slot]; sl.id != p.Picture.ID { // the program writes it
			sl.id, s.text = p.Picture.ID, time.Now()
		}
	}
	if s.anyDue() {
		s.later(settle)
	}
}

// later writes by ourselves after a while.
func (s *Screen) later(d time.Duration) {
	if !s.waiting && !s.closed {
		s.waiting = true
		time.AfterFunc(d, s.flush)
	}
}

// Loaded reports whether a picture is on the terminal, whole.
func (s *Screen) Loaded(slot int, e Encoded) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.slots[slot]
	return have.id == e.ID && have.parts == len(e.Parts)
}

// Wait says how long a new picture has to wait: for the end of the one before it and its acknowledgement (negative: notify tells), or
// for the budget.
func (s *Screen) Wait() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return 0
	}
	now := time.Now()
	if s.anyDue() || now.Sub(s.text) < time.Second || !s.link.quiet(now) {
		return -1
	}
	return max(0, s.link.free.Sub(now))
}

// Allowance is how many bytes pictures that come once an interval may have; 0 is no limit.
func (s *Screen) Allowance(interval time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return 0
	}
	return s.link.allowance(interval)
}

// Acknowledge takes the terminal's answer to a probe.
func (s *Screen) Acknowledge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil || !s.link.acknowledge(time.Now()) {
		return
	}
	if s.anyDue() {
		go s.flush()
	} else if s.link.quiet(time.Now()) {
		s.tell()
	}
}

func (s *Screen) tell() {
	if s.notify != nil && !s.closed {
		go s.notify() // a program may be busy writing
	}
}

// Close ends writes by the screen itself, and removes pictures that the terminal keeps. The program's own writes still pass.
func (s *Screen) Close() {
	s.mu.Lock()
	s.closed = true
	s.want = [Slots]*Placement{}
	var b []byte
	for id := range s.kitty {
		b = append(b, kittyForget(id, s.tmux)...)
	}
	clear(s.kitty)
	s.mu.Unlock()
	if len(b) > 0 {
		s.writing.Lock()
		defer s.writing.Unlock()
		_, _ = s.out.Write(b) // the end is the end
	}
}

// Busy says whether something is being written at this moment.
func (s *Screen) Busy() bool {
	if !s.writing.TryLock() {
		return true
	}
	s.writing.Unlock()
	return false
}

// Write passes one frame of the program on.
func (s *Screen) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	var b []byte
	text := !s.text.IsZero() && s.link != nil
	if text {
		b = s.probe(make([]byte, 0, len(p)+64))
	}
	b = s.translate(slices.Grow(b, len(p)+64), p)
	s.since += len(p)
	if text {
		s.text = time.Time{}
		s.link.spend(time.Now(), len(p))
		b = s.probe(b)
	}
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

// probe appends a question to a frame.
func (s *Screen) probe(b []byte) []byte {
	if s.link == nil {
		return b
	}
	s.link.sent(time.Now(), s.since)
	s.since = 0
	return append(b, Probe...)
}

// due says whether slot k has to be drawn: its placeholders are on the terminal, and the picture, or some of it, is not. A picture of
// kitty's needs no placeholders.
func (s *Screen) due(k int) bool {
	want, have := s.want[k], s.slots[k]
	if want == nil {
		return false
	}
	unfinished := have.id != want.Picture.ID || have.parts < len(want.Picture.Parts)
	if want.Picture.Mode == Kitty {
		return unfinished
	}
	if have.generation != want.Generation%Generations {
		return false
	}
	if r := want.Rect(); s.cols > 0 && (r.Max.X > s.cols || r.Max.Y > s.rows) {
		return false
	}
	return have.dirty || unfinished
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

// addPictures appends what is due to a frame, as far as the line has room for it.
func (s *Screen) addPictures(b []byte) []byte {
	room, asked := 1<<30, false
	if s.link != nil {
		now := time.Now()
		if room = s.link.room(now); room <= 0 && s.anyDue() {
			s.later(s.link.patience() + settle) // in case no answer comes
		}
	}
	var tail []byte
	for _, k := range s.order() {
		if room <= 0 || !s.due(k) {
			continue
		}
		if !asked {
			if bytes.HasSuffix(b, endSync) {
				b, tail = b[:len(b)-len(endSync)], endSync
			}
			b, asked = s.probe(b), true
		}
		if s.want[k].Picture.Mode == Kitty {
			b, room = s.load(b, k, room)
		} else {
			b, room = s.draw(b, k, room)
		}
	}
	if asked && s.link != nil {
		if s.since > 0 {
			b = s.probe(b)
		}
		if s.anyDue() {
			s.later(s.link.patience() + settle)
		}
	}
	return append(b, tail...)
}

// order is the slots as they are to be drawn: what kitty has half of comes first, and then no other of its pictures.
func (s *Screen) order() []int {
	list := make([]int, 0, Slots)
	if s.loading >= 0 && s.want[s.loading] != nil && s.want[s.loading].Picture.Mode == Kitty {
		list = append(list, s.loading)
	}
	for k := range s.want {
		if len(list) == 0 || k != list[0] {
			list = append(list, k)
		}
	}
	return list
}

// draw appends the picture of slot k, or its next parts, with the cursor and the pen saved around it.
func (s *Screen) draw(b []byte, k, room int) ([]byte, int) {
	want, have := s.want[k], &s.slots[k]
	r := want.Rect()
	b = append(b, "\x1b7\x1b[m"...)
	if have.dirty || have.id != want.Picture.ID {
		have.parts = 0
	}
	if have.rect != r || have.pixels != want.Picture.Pixels {
		for y := r.Min.Y; y < r.Max.Y; y++ { // the new picture may leave pixels of the old one
			b = moveTo(b, r.Min.X, y)
			b = csi(b, r.Dx(), 'X')
		}
		have.parts = 0
	}
	have.dirty, have.id, have.rect, have.pixels = false, want.Picture.ID, r, want.Picture.Pixels
	for room > 0 && have.parts < len(want.Picture.Parts) {
		p := want.Picture.Parts[have.parts]
		b = moveTo(b, r.Min.X, r.Min.Y+p.Row)
		b, room = s.part(b, p, room)
		have.parts++
	}
	return append(b, "\x1b8"...), room
}

// load appends the next parts of a picture of kitty's.
func (s *Screen) load(b []byte, k, room int) ([]byte, int) {
	want, have := s.want[k], &s.slots[k]
	again := have.id != want.Picture.ID
	if s.loading >= 0 && (s.loading != k || again) {
		// The rest of what is half sent will not come: an empty last part ends it.
		b = append(b, through("\x1b_Gq=2,m=0;\x1b\\", s.tmux)...)
		s.slots[s.loading].id, s.loading = 0, -1
	}
	if again {
		have.id, have.parts = want.Picture.ID, 0
		s.kitty[want.Picture.Image] = true
	}
	for room > 0 && have.parts < len(want.Picture.Parts) {
		b, room = s.part(b, want.Picture.Parts[have.parts], room)
		have.parts++
	}
	s.loading = k
	if have.parts == len(want.Picture.Parts) {
		s.loading = -1
		s.tell()
	}
	return b, room
}

// part appends one part of a picture, and a probe now and then.
func (s *Screen) part(b []byte, p Part, room int) ([]byte, int) {
	b = append(b, p.Data...)
	if s.link == nil {
		return b, room
	}
	s.since += len(p.Data)
	s.link.spend(time.Now(), len(p.Data))
	if s.since >= s.link.spacing() {
		b = s.probe(b)
	}
	return b, room - len(p.Data)
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
