package tui

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// The short way to a width leads where the long one does.
func TestWidth(t *testing.T) {
	parts := []string{"", "a", "Z ~", "\x1b[m", "\x1b[1;38;2;1;2;3m", "\x1b[38:5:7m", "\x1b[", "\x1b", "\x1b[2J", "\x1b]0;t\x07", "日", "é", "e\u0301", "👩‍👩‍👧", "\ufe0f", "\u20e3", "\u200d", "\x7f", "\t", "\xff", "\xe2\x94", "ß", "🇩🇪"}
	for r := rune(0); r < 0x20000; r++ {
		if oneCell(r) {
			parts = append(parts, string(r))
		}
	}
	for _, p := range parts {
		if got, want := width(p), ansi.StringWidth(p); got != want {
			t.Errorf("%q: %d, want %d", p, got, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var b strings.Builder
		for range random.IntN(8) {
			p := parts[random.IntN(len(parts))]
			if random.IntN(2) == 0 {
				p = parts[random.IntN(23)]
			}
			b.WriteString(p)
		}
		if got, want := width(b.String()), ansi.StringWidth(b.String()); got != want {
			t.Fatalf("%q: %d, want %d", b.String(), got, want)
		}
	}
}
