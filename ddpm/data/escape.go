package data

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Escape makes a file name safe to print. Letters of every script stay as they are; control characters (a terminal
// would obey them), invisible and direction-changing ones, and bytes that are not UTF-8 become \n, \x1b, \u202e and
// the like.
func Escape(name string) string {
	if printable(name) {
		return name
	}
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, name[0])
		case strconv.IsPrint(r):
			b.WriteString(name[:n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		name = name[n:]
	}
	return b.String()
}

func printable(s string) bool {
	for i, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n <= 1 {
				return false
			}
		}
	}
	return true
}
