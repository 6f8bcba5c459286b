package tui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// clean makes text from outside (a file's name, a run's name, a log line) safe to draw: no escapes, no line breaks, no direction
// marks, none of the private-use runes that stand for pictures; and no longer than a screen can use.
func clean(s string) string {
	const longest = 1000
	var b strings.Builder
	marks, n := 0, 0
	for _, r := range s {
		if n++; n > longest {
			b.WriteRune('…')
			break
		}
		switch {
		case r == '\t':
			r = ' '
		case !unicode.IsPrint(r):
			r = '�'
		}
		// A few combining marks make a letter, many make a tower.
		if unicode.IsMark(r) {
			if marks++; marks > 3 {
				continue
			}
		} else {
			marks = 0
		}
		b.WriteRune(r)
	}
	return b.String()
}

// width is the number of cells of s. Most of what is drawn needs no look at clusters of runes.
func width(s string) int {
	n := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= ' ' && c < 0x7f:
			n++
			i++
		case c == 0x1b && i+1 < len(s) && s[i+1] == '[': // a pen
			i += 2
			for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == ';' || s[i] == ':') {
				i++
			}
			if i == len(s) || s[i] != 'm' {
				return ansi.StringWidth(s)
			}
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if !oneCell(r) {
				return ansi.StringWidth(s)
			}
			n++
			i += size
		}
	}
	return n
}

// oneCell says that r is one cell wide, and by itself: lines, blocks, dots, pictures, and what else the screens are drawn with.
func oneCell(r rune) bool {
	return r >= 0x2500 && r <= 0x259f || r >= 0x2800 && r <= 0x28ff || picture.IsPlaceholder(r) || r >= 0x2190 && r <= 0x2193 || r == '…' || r == '·'
}

// clip cuts s to w cells.
func clip(s string, w int) string {
	if w <= 0 {
		return ""
	}
	return ansi.Truncate(s, w, "…")
}

// pad cuts or fills s to exactly w cells.
func pad(s string, w int) string {
	n := width(s)
	if n > w {
		s = clip(s, w)
		n = width(s)
	}
	return s + strings.Repeat(" ", max(0, w-n))
}

// number writes a metric: four significant digits, no noise.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return "inf"
	case a != 0 && (a < 1e-3 || a >= 1e6):
		s := strconv.FormatFloat(v, 'e', 2, 64)
		return strings.NewReplacer("e-0", "e-", "e+0", "e").Replace(s)
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

// count writes a whole number with marks between the thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		return "-" + s
	}
	return s
}

// brief writes a whole number in at most five cells: 48.2k.
func brief(n int64) string {
	v := float64(n)
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if math.Abs(v) >= u.size {
			if u.name == "k" {
				u.size = 1e3
			}
			return strings.TrimSuffix(strconv.FormatFloat(v/u.size, 'f', 1, 64), ".0") + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// bytes writes a size.
func bytes(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" || v >= 100 {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

// span writes a length of time in its two largest units; "?" where it is not known.
func span(seconds float64) string {
	if math.IsNaN(seconds) || math.IsInf(seconds, 0) || seconds < 0 || seconds > 1e10 {
		return "?"
	}
	s := int64(seconds + .5)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
}

// ago writes how long ago t was.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := now.Sub(t)
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {5 * time.Second, "s"}} {
		if d >= u.size {
			if u.name == "s" {
				u.size = time.Second
			}
			return fmt.Sprintf("%d%s ago", d/u.size, u.name)
		}
	}
	return "now"
}
