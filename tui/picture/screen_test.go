package picture

import (
	"bytes"
	"fmt"
	"image"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink collects writes.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// take is what was written since the last call.
func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.b.String()
	s.b.Reset()
	return out
}

func fake(slot, x, y, cols, rows int, body string) Placement {
	id := uint64(1)
	for _, c := range body {
		id = id*31 + uint64(c)
	}
	return Placement{Slot: slot, X: x, Y: y, Picture: Encoded{
		Mode: Sixel, Cols: cols, Rows: rows, Parts: []Part{{Data: []byte("\x1bPq" + body + "\x1b\\")}}, Pixels: image.Pt(cols*8, rows*16), ID: id,
	}}
}

func holders(slot, n int) string { return strings.Repeat(string(Placeholder(slot, 0)), n) }

func write(t *testing.T, s *Screen, frame string) {
	t.Helper()
	n, err := s.Write([]byte(frame))
	if n != len(frame) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(frame), err)
	}
}

func TestPlaceholders(t *testing.T) {
	var out sink
	s := NewScreen(&out)
	for frame, want := range map[string]string{
		"a" + holders(0, 3) + "b":                        "a\x1b[3X\x1b[3Cb",
		holders(2, 1) + "\x1b[7b|":                       "\x1b[8X\x1b[8C|",
		holders(0, 2) + holders(1, 3):                    "\x1b[2X\x1b[2C\x1b[3X\x1b[3C",
		string(Placeholder(1, 7)) + holders(2, 1):        "\x1b[1X\x1b[1C\x1b[1X\x1b[1C",
		"\x1b[31mé" + holders(7, 1) + "\x1b]0;t\ue0f0\a": "\x1b[31mé\x1b[1X\x1b[1C\x1b]0;t\ue0f0\a",
		"plain ───":                                      "plain ───",
		"x\x1b[4by":                                      "x\x1b[4by",
	} {
		write(t, s, frame)
		if got := out.take(); got != want {
			t.Errorf("%q became %q, want %q", frame, got, want)
		}
	}
}

func TestPictureComesWithItsText(t *testing.T) {
	var out sink
	s := NewScreen(&out)
	s.Resize(80, 24)
	one := fake(0, 4, 2, 3, 2, "one")
	s.Show([]Placement{one})
	write(t, s, "older text") // no placeholders yet: the cells belong to other text
	if got := out.take(); strings.Contains(got, "one") {
		t.Fatalf("drawn before its placeholders: %q", got)
	}
	write(t, s, "\x1b[3;5H"+holders(0, 3)+"\x1b[4;5H"+holders(0, 3)+"\x1b[?2026l")
	got := out.take()
	want := "\x1b7\x1b[m\x1b[3;5H\x1b[3X\x1b[4;5H\x1b[3X\x1b[3;5H\x1bPqone\x1b\\\x1b8\x1b[?2026l"
	if !strings.HasSuffix(got, want) {
		t.Fatalf("%q does not end in %q", got, want)
	}

	// The same picture is never sent again, with a frame or without.
	s.Show([]Placement{one})
	write(t, s, "more text")
	time.Sleep(2 * settle)
	if got := out.take(); got != "more text" {
		t.Fatalf("sent again: %q", got)
	}

	// Text over it and back: its cells were written, so it is drawn again.
	write(t, s, "\x1b[3;5H"+holders(0, 1))
	if got := out.take(); strings.Count(got, "one") != 1 {
		t.Fatalf("not repaired: %q", got)
	}

	// A new picture at the same place goes with the next frame, or alone if there is none.
	s.Show([]Placement{fake(0, 4, 2, 3, 2, "two")})
	write(t, s, "text")
	if got := out.take(); !strings.Contains(got, "two") || strings.Contains(got, "X") {
		t.Fatalf("new picture: %q", got)
	}
	s.Show([]Placement{fake(0, 4, 2, 3, 2, "three")})
	time.Sleep(3 * settle)
	if got := out.take(); strings.Count(got, "three") != 1 {
		t.Fatalf("no frame came, and no picture: %q", got)
	}

	// Hidden: nothing is drawn any more, whatever is written there.
	s.Show(nil)
	write(t, s, "\x1b[3;5H   \x1b[4;5H   ")
	time.Sleep(2 * settle)
	if got := out.take(); got != "\x1b[3;5H   \x1b[4;5H   " {
		t.Fatalf("after hiding: %q", got)
	}
}

// A picture that comes back, or moves, waits for placeholders of its new generation, whatever is written meanwhile.
func TestGenerations(t *testing.T) {
	var out sink
	s := NewScreen(&out)
	s.Resize(80, 24)
	s.Show([]Placement{fake(0, 4, 2, 4, 2, "one")})
	write(t, s, holders(0, 4))
	moved := fake(0, 5, 2, 2, 2, "two")
	moved.Generation = 1
	s.Show([]Placement{moved})
	write(t, s, holders(0, 4)) // an older frame
	time.Sleep(2 * settle)
	if got := out.take(); strings.Contains(got, "two") {
		t.Errorf("drawn over text that is not its own: %q", got)
	}
	write(t, s, string(Placeholder(0, 1)))
	if got := out.take(); !strings.Contains(got, "\x1b[3;6H\x1b[2X") || !strings.Contains(got, "two") {
		t.Errorf("%q", got)
	}
}

func TestScrollRedrawsWhatMoved(t *testing.T) {
	for _, c := range []struct {
		frame string
		want  []string
	}{
		{"\x1b[1;6r\x1b[2S\x1b[1;24r", []string{"top"}},
		{"\x1b[20;23r\x1b[T\x1b[1;24r", []string{"low"}},
		{"\x1b[10;12r\x1b[S\x1b[1;24r", nil},
		{"\x1b[3L", []string{"top", "low"}},
		{"\x1b[2@", []string{"top", "low"}},
		{"\x1b[?25l\x1b[2K\x1b[5C", nil},
	} {
		var out sink
		s := NewScreen(&out)
		s.Resize(80, 24)
		s.Show([]Placement{fake(0, 0, 2, 3, 4, "top"), fake(1, 0, 18, 3, 4, "low")})
		write(t, s, holders(0, 3)+holders(1, 3))
		out.take()
		write(t, s, c.frame)
		got := out.take()
		for _, body := range []string{"top", "low"} {
			want := false
			for _, w := range c.want {
				want = want || w == body
			}
			if strings.Contains(got, body) != want {
				t.Errorf("%q: %s drawn is %v", c.frame, body, !want)
			}
		}
	}
}

func TestOutsideOfTheScreen(t *testing.T) {
	var out sink
	s := NewScreen(&out)
	s.Resize(10, 4)
	s.Show([]Placement{fake(0, 8, 1, 3, 2, "wide"), fake(1, 0, 3, 3, 2, "tall"), fake(99, 0, 0, 1, 1, "slot")})
	write(t, s, holders(0, 3)+holders(1, 3))
	if got := out.take(); strings.Contains(got, "Pq") {
		t.Errorf("%q", got)
	}
}

// Writes, new pictures and the timer run at once.
func TestScreenRaces(t *testing.T) {
	var out sink
	s := NewScreen(&out)
	s.Resize(80, 24)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				s.Show([]Placement{fake(i, 0, i, 3, 1, fmt.Sprint(j))})
				s.Write([]byte(holders(i, 3)))
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	s.Close()
	time.Sleep(2 * settle)
	out.take()
	time.Sleep(2 * settle)
	if got := out.take(); got != "" {
		t.Errorf("written after the end: %q", got)
	}
}

func FuzzTranslate(f *testing.F) {
	for _, s := range []string{"a\ue0f0\ue0f0\x1b[3b", "\x1b[", "\x1b]", "\x1b[1;r", "\x1b[99999999999b", "\xee\x83", "\xee\x83\xff", "\x1bP\ue0f1\x1b\\"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		s := NewScreen(&sink{})
		got := s.translate(nil, p)
		if bytes.IndexByte(p, 0x1b) < 0 && !bytes.Contains(p, []byte{0xee}) && !bytes.Equal(got, p) {
			t.Errorf("%q became %q", p, got)
		}
	})
}

// Characters that are inserted or deleted move the pictures in their row and no others; where the row is not certain, all.
func TestInsertedCharacters(t *testing.T) {
	for frame, want := range map[string]bool{
		"\x1b[2;5Hab\x1b[3P":                      false, // the row above
		"\x1b[6;1H\x1b[@":                         false, // the row below
		"\x1b[3;5H\x1b[P":                         true,
		"\x1b[5;1Hx\x1b[2P":                       true,
		"\x1b[2;1H\x1b[38;5;245mab\r\n\x1b[P":     true,  // one further
		"\x1b[1;1Hab\r\n\x1b[P":                   false, // row 2
		"\x1b[8d\x1b[3A\x1b[P":                    true,
		"\x1b[8d\x1b[2A\x1b[P":                    false,
		"\x1b[2;79Habcd\x1b[P":                    true, // it has wrapped, or not
		"\x1b[2;1H\x1bM\x1b[P":                    true, // not known here
		"\x1b[24;1H\n\x1b[P":                      true, // it has scrolled
		"\x1b[7;1H\x1b[2L":                        false,
		"\x1b[2;1H\x1b[L":                         true,
		"\x1b[?2026h\x1b[2;1Hab\x1b[P\x1b[?2026l": false,
	} {
		var out sink
		s := NewScreen(&out)
		s.Resize(80, 24)
		s.Show([]Placement{fake(0, 4, 2, 3, 3, "one")}) // in rows 3 to 5
		for y := range 3 {
			write(t, s, fmt.Sprintf("\x1b[%d;5H", 3+y)+holders(0, 3))
		}
		if !strings.Contains(out.take(), "one") {
			t.Fatal("no picture")
		}
		write(t, s, frame)
		if got := strings.Contains(out.take(), "one"); got != want {
			t.Errorf("%q: drawn again %v, want %v", frame, got, want)
		}
	}
}
