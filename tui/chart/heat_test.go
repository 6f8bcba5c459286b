package chart

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Time goes to the right, values go down, the largest is the last shade, and what is not known is blank.
func TestHeat(t *testing.T) {
	nan := math.NaN()
	lines := Heat([][]float64{{1, 10}, {nan, 100}}, 4, 2, nil)
	if lines[0][:2] != lines[0][:1]+lines[0][:1] || lines[0][2:] != "  " || lines[1][2:] != "@@" || lines[0][0] != '.' || lines[1][0] == '.' || lines[1][0] == '@' {
		t.Errorf("%q", lines)
	}
	inks := []Ink{"\x1b[38;5;1m", "\x1b[38;5;2m"}
	coloured := Heat([][]float64{{1, 10}}, 1, 1, inks)
	if len(coloured) != 1 || !strings.Contains(coloured[0], "\x1b[38;5;1m\x1b[48;5;2m▀") {
		t.Errorf("%q", coloured)
	}
	for _, c := range []struct{ w, h int }{{0, 3}, {3, 0}, {-1, -1}, {1, 1}, {300, 100}, {2, 50}} {
		for _, columns := range [][][]float64{nil, {{}}, {{nan}}, {{1, 2, 3}, {4}}, {{math.Inf(1), -1}, {0, 5}}, make([][]float64, 700)} {
			for _, i := range [][]Ink{nil, inks} {
				lines := Heat(columns, c.w, c.h, i)
				if len(lines) != max(0, c.h) {
					t.Fatalf("%d lines", len(lines))
				}
				for _, l := range lines {
					if n := utf8.RuneCountInString(ansi.Strip(l)); n != max(0, c.w) {
						t.Fatalf("%d cells of %d: %q", n, c.w, l)
					}
				}
			}
		}
	}
}
