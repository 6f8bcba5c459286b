//go:build unix

package tui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi/kitty"
)

const kittyAnswers = "\x1b[6;16;8t\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.35.2)\x1b\\\x1b[?62;c"

// shown is kitty's pictures on the emulator's cells: the number of each, and whether each is whole, in its place and in the terminal.
func (e *emulator) shown() (ids map[int]bool, fault string) {
	ids = map[int]bool{}
	for y, row := range e.cells {
		for x, c := range row {
			if c.r != kitty.Placeholder {
				continue
			}
			ids[c.ink] = true
			size, ok := e.images[c.ink]
			if !ok {
				return ids, fmt.Sprintf("the cell %d,%d shows picture %d, which the terminal does not have", x, y, c.ink)
			}
			cols, rows := 0, 0
			fmt.Sscanf(size, "%dx%d", &cols, &rows)
			m := []rune(c.marks)
			if len(m) != 2 {
				return ids, fmt.Sprintf("the cell %d,%d has the marks %q", x, y, c.marks)
			}
			// Its neighbours to the left and above are the cells of the picture to the left and above.
			if m[1] != kitty.Diacritic(0) && (x == 0 || row[x-1].marks != string(m[0])+string(before(m[1]))) {
				return ids, fmt.Sprintf("the cell %d,%d is not where it belongs", x, y)
			}
			if m[0] != kitty.Diacritic(0) && (y == 0 || e.cells[y-1][x].marks != string(before(m[0]))+string(m[1])) {
				return ids, fmt.Sprintf("the cell %d,%d is not where it belongs", x, y)
			}
			last := m[0] == kitty.Diacritic(rows-1) && m[1] == kitty.Diacritic(cols-1)
			if last {
				ids[-c.ink] = true // seen to its end
			}
		}
	}
	for id := range ids {
		if id > 0 && !ids[-id] {
			return ids, fmt.Sprintf("picture %d is cut off", id)
		}
	}
	return ids, ""
}

// before is the mark before a mark.
func before(m rune) rune {
	for i := 1; i < 297; i++ {
		if kitty.Diacritic(i) == m {
			return kitty.Diacritic(i - 1)
		}
	}
	return 0
}

// In a terminal that says that it is kitty, pictures are text with kitty's placeholders: none is shown before the terminal has it, newer
// ones take the place of older ones, help hides them, and nothing is left in the terminal at the end.
func TestKittyInATerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, 120, 40)
	src := newSource()
	done := make(chan error, 1)
	go func() { done <- RunTraining(t.Context(), src, r.options()) }()
	r.until("query", func(e *emulator) bool { return e.queries > 0 })
	for _, e := range history(20) {
		src.events <- e
	}
	for _, f := range frames() {
		src.frames <- f
	}
	fmt.Fprint(r.master, kittyAnswers)
	whole := func(n int) func(e *emulator) bool {
		return func(e *emulator) bool {
			ids, fault := e.shown()
			return fault == "" && len(ids) == 2*n
		}
	}
	r.until("two pictures", whole(2))
	r.mu.Lock()
	first, _ := r.e.shown()
	r.mu.Unlock()
	src.frames <- Frame{Name: Samples, Step: 400, Image: tiles(3, 3), Rows: 3, Cols: 3}
	r.until("a newer picture", func(e *emulator) bool {
		ids, fault := e.shown()
		newer := false
		for id := range ids {
			newer = newer || !first[id]
		}
		return fault == "" && len(ids) == 4 && newer
	})
	fmt.Fprint(r.master, "?")
	r.until("help without pictures", func(e *emulator) bool { return strings.Contains(e.text(), "ctrl+c leaves") && whole(0)(e) })
	fmt.Fprint(r.master, "?2")
	r.until("the pictures' own tab", func(e *emulator) bool { return strings.Contains(e.text(), "[2 Samples]") && whole(2)(e) })
	close(src.events)
	r.until("the end", r.has("ENDED"))
	fmt.Fprint(r.master, "q")
	<-done
	r.until("nothing left", func(e *emulator) bool { return !e.alt && len(e.images) == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.e.unknown) > 0 {
		t.Errorf("the terminal did not understand %q", r.e.unknown)
	}
}

// In a terminal that says that it is iTerm2, and has no sixel, pictures are its files.
func TestITermInATerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, 120, 40)
	src := newSource()
	done := make(chan error, 1)
	go func() { done <- RunTraining(t.Context(), src, r.options()) }()
	r.until("query", func(e *emulator) bool { return e.queries > 0 })
	src.frames <- frames()[0]
	fmt.Fprint(r.master, "\x1b[6;16;8t\x1bP>|iTerm2 3.5.0\x1b\\\x1b[?62;c")
	r.until("a picture of files", func(e *emulator) bool {
		files := map[string]bool{}
		for _, row := range e.cells {
			for _, c := range row {
				if c.pic != "" {
					files[c.pic[:12]] = true
				}
			}
		}
		return len(files) == 1 && files["\x1b]1337;File="] && strings.Contains(e.text(), "##########")
	})
	fmt.Fprint(r.master, "?")
	r.until("help without pictures", func(e *emulator) bool {
		return strings.Contains(e.text(), "ctrl+c leaves") && !strings.Contains(e.text(), "#")
	})
	close(src.events)
	fmt.Fprint(r.master, "?")
	r.until("the end", r.has("ENDED"))
	fmt.Fprint(r.master, "q")
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.e.unknown) > 0 {
		t.Errorf("the terminal did not understand %q", r.e.unknown)
	}
}
