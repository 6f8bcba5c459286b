// Package chart draws numbers in cells: a line chart, sparklines, bars. Every function returns exactly the lines and the width it was
// asked for, at any size, whatever the numbers are.
package chart

import (
	"math"
	"strings"
)

// An Ink is an SGR sequence that starts a colour; the empty Ink leaves text as it is.
type Ink string

const reset = "\x1b[m"

// Paint colours s.
func (i Ink) Paint(s string) string {
	if i == "" || s == "" {
		return s
	}
	return string(i) + s + reset
}

// A brush writes glyphs with colours, and changes colour only where it has to.
type brush struct {
	b    strings.Builder
	ink  Ink
	fill bool // the ink fills blanks
}

func (b *brush) put(ink Ink, glyph rune) {
	if glyph == ' ' { // blanks have no colour
		ink = b.ink
		if b.fill {
			ink = ""
		}
	}
	if ink != b.ink {
		if b.ink != "" {
			b.b.WriteString(reset)
		}
		b.b.WriteString(string(ink))
		b.ink, b.fill = ink, false
	}
	b.b.WriteRune(glyph)
}

// solid fills a cell by its background, in the ink's foreground colour: the full block of many fonts leaves gaps between cells.
func (b *brush) solid(ink Ink) {
	fill := Ink(strings.Replace(string(ink), "\x1b[38;", "\x1b[48;", 1))
	if fill == ink { // no colour to turn into a background
		fill += "\x1b[7m"
	}
	b.put(fill, '\u00a0')
	b.fill = true
}

func (b *brush) text(ink Ink, s string) {
	for _, r := range s {
		b.put(ink, r)
	}
}

// line ends the line and returns it.
func (b *brush) line() string {
	if b.ink != "" {
		b.b.WriteString(reset)
	}
	s := b.b.String()
	b.b.Reset()
	b.ink, b.fill = "", false
	return s
}

func blank(w, h int) []string {
	lines := make([]string, max(0, h))
	for i := range lines {
		lines[i] = strings.Repeat(" ", max(0, w))
	}
	return lines
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// span is the range of the finite numbers.
func span(values []float64) (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if finite(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	return low, high, low <= high
}
