package picture

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/png"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/ansi/kitty"
)

// unpack undoes kitty's transmission: the keys of its first sequence, and the picture.
func unpack(t *testing.T, e Encoded) (keys string, m image.Image) {
	t.Helper()
	data := ""
	for i, p := range e.Parts {
		body, ok := strings.CutPrefix(string(p.Data), "\x1b_G")
		head, payload, ok2 := strings.Cut(strings.TrimSuffix(body, "\x1b\\"), ";")
		if !ok || !ok2 || len(payload) > chunk {
			t.Fatalf("part %d is %.40q...", i, p.Data)
		}
		if more := strings.Contains(head, "m=1"); more != (i+1 < len(e.Parts)) {
			t.Fatalf("part %d of %d has %s", i, len(e.Parts), head)
		}
		if i == 0 {
			keys = head
		}
		data += payload
	}
	file, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = png.Decode(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	return keys, m
}

// The file that kitty gets is the picture, pixel by pixel, and its placeholders name every cell of it.
func TestKitty(t *testing.T) {
	src := gradient(80, 64)
	e, err := EncodeWithin(Sheet{Image: src}, Kitty, Options{Cols: 10, Rows: 4, CellW: 8, CellH: 16}, 161, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys, m := unpack(t, e)
	for _, k := range []string{"a=T", "U=1", "i=161", "c=10", "r=4", "q=2", "f=100"} {
		if !slices.Contains(strings.Split(keys, ","), k) {
			t.Errorf("no %s in %s", k, keys)
		}
	}
	for y := range 64 {
		for x := range 80 {
			if got, want := color.RGBAModel.Convert(m.At(x, y)), src.At(x, y); got != want {
				t.Fatalf("pixel %d,%d is %v, want %v", x, y, got, want)
			}
		}
	}
	if len(e.Lines) != 4 {
		t.Fatalf("%d lines", len(e.Lines))
	}
	for y, l := range e.Lines {
		if !strings.HasPrefix(l, "\x1b[38;5;161m") || ansi.StringWidth(l) != 10 {
			t.Errorf("line %d: %q, %d wide", y, l, ansi.StringWidth(l))
		}
		runes := []rune(ansi.Strip(l))
		for x := range 10 {
			if c := runes[3*x : 3*x+3]; !slices.Equal(c, []rune{kitty.Placeholder, kitty.Diacritic(y), kitty.Diacritic(x)}) {
				t.Errorf("cell %d,%d is %q", x, y, c)
			}
		}
	}
	through, err := EncodeWithin(Sheet{Image: src}, Kitty, Options{Cols: 10, Rows: 4, Passthrough: true}, 161, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range through.Parts {
		body, ok := strings.CutPrefix(string(p.Data), "\x1bPtmux;\x1b\x1b_G")
		if !ok || !strings.HasSuffix(body, "\x1b\x1b\\\x1b\\") {
			t.Fatalf("%.40q does not pass through tmux", p.Data)
		}
	}
}

// A slow line gets fewer pixels and colours for the same cells.
func TestKittyQuality(t *testing.T) {
	full, _ := EncodeWithin(Sheet{Image: gradient(80, 64)}, Kitty, Options{Cols: 10, Rows: 4}, 161, 0, 0)
	small, err := EncodeWithin(Sheet{Image: gradient(80, 64)}, Kitty, Options{Cols: 10, Rows: 4}, 162, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if small.Cols != full.Cols || small.Rows != full.Rows || small.Size > 1000 {
		t.Errorf("%dx%d cells of %dx%d, %d bytes", small.Cols, small.Rows, full.Cols, full.Rows, small.Size)
	}
	if _, m := unpack(t, small); m.Bounds().Dx() >= 80 {
		t.Errorf("still %v pixels", m.Bounds())
	}
}

// iTerm2's files together are the picture, each so many rows of cells.
func TestITerm(t *testing.T) {
	src := gradient(80, 112)
	e, err := Encode(src, ITerm, Options{Cols: 10, Rows: 7, CellW: 8, CellH: 16})
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^\x1b\]1337;File=inline=1;size=(\d+);width=10;height=(\d);preserveAspectRatio=0;doNotMoveCursor=1:(.*)\a$`)
	rows := 0
	for _, p := range e.Parts {
		f := form.FindSubmatch(p.Data)
		if f == nil {
			t.Fatalf("%.100q", p.Data)
		}
		file, err := base64.StdEncoding.DecodeString(string(f[3]))
		if err != nil || strconv.Itoa(len(file)) != string(f[1]) {
			t.Fatalf("%d bytes, says %s (%v)", len(file), f[1], err)
		}
		m, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(string(f[2]))
		if p.Row != rows || m.Bounds() != image.Rect(0, 0, 80, 16*n) {
			t.Fatalf("row %d, want %d; %v for %d rows", p.Row, rows, m.Bounds(), n)
		}
		for y := range 16 * n {
			for x := range 80 {
				if got, want := color.RGBAModel.Convert(m.At(x, y)), src.At(x, 16*rows+y); got != want {
					t.Fatalf("pixel %d,%d is %v, want %v", x, 16*rows+y, got, want)
				}
			}
		}
		rows += n
	}
	if rows != e.Rows || rows != 7 {
		t.Errorf("%d rows of %d", rows, e.Rows)
	}
}

// Two pictures of kitty's are sent one after the other, never mixed, and one that is given up is ended.
func TestKittyOneAtATime(t *testing.T) {
	var out sink
	s := NewScreen(&out)
	s.Pace(NewLink(true, 0), nil)
	load := func(slot, id, parts int) Placement {
		e := Encoded{Mode: Kitty, Cols: 2, Rows: 2, ID: uint64(id), Image: id}
		for i := range parts {
			e.Parts = append(e.Parts, Part{Data: []byte("\x1b_G" + strconv.Itoa(id) + "." + strconv.Itoa(i) + ";" + strings.Repeat("A", 3000) + "\x1b\\")})
		}
		return Placement{Slot: slot, Picture: e}
	}
	a, b, c := load(0, 161, 6), load(1, 163, 4), load(0, 162, 2)
	s.Show([]Placement{a, b})
	var order []string
	step := func() {
		write(t, s, "x")
		for _, m := range regexp.MustCompile(`\x1b_G([0-9.]+|q=2,m=0);`).FindAllStringSubmatch(out.take(), -1) {
			order = append(order, m[1])
		}
	}
	answer := func() {
		for range 20 { // more than there are
			s.mu.Lock()
			s.link.acknowledge(s.link.last)
			s.mu.Unlock()
		}
	}
	step()
	s.Show([]Placement{c, b}) // a newer picture in the first's place
	for range 10 {
		answer()
		step()
	}
	got := strings.Join(order, " ")
	first := strings.Index(got, "q=2,m=0")
	want := "q=2,m=0 162.0 162.1 163.0 163.1 163.2 163.3"
	if first < 0 || got[first:] != want || !strings.HasPrefix(got, "161.0") {
		t.Errorf("sent %s, want some of 161 and then %s", got, want)
	}
	if !s.Loaded(0, c.Picture) || !s.Loaded(1, b.Picture) || s.Loaded(0, a.Picture) {
		t.Error("what is loaded is not known")
	}
	s.Close()
	if end := out.take(); strings.Count(end, "a=d,d=I") != 3 {
		t.Errorf("the end is %q: pictures stay in the terminal", end)
	}
}

func TestTmuxPasses(t *testing.T) {
	for answer, want := range map[string]bool{
		"on xterm-kitty kitty(0.35.2)\n": true, "1 xterm-kitty ": true, "all xterm-ghostty ghostty 1.0": true, "on xterm-256color kitty(0.35)": true,
		"off xterm-kitty kitty(0.35.2)": false, "0 xterm-kitty": false, "on xterm-256color XTerm(379)": false, "": false, "on": false,
	} {
		if TmuxPasses(answer) != want {
			t.Errorf("%q: want %v", answer, want)
		}
	}
}
