// Package pyjson reads what Python's json module writes, which is JSON but for
// NaN, Infinity and -Infinity.
package pyjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// Quote puts those three words into quotes where they stand for numbers, so that
// encoding/json accepts the rest. What is JSON already comes back as it is.
func Quote(b []byte) []byte {
	var out []byte
	inString := false
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case inString && c == '\\' && i+1 < len(b):
			out = append(out, c, b[i+1])
			i += 2
			continue
		case c == '"':
			inString = !inString
		case !inString:
			if word := nonFinite(b[i:]); word != "" {
				out = append(append(append(out, '"'), word...), '"')
				i += len(word)
				continue
			}
		}
		out = append(out, c)
		i++
	}
	return out
}

func nonFinite(b []byte) string {
	for _, word := range []string{"-Infinity", "Infinity", "NaN"} {
		if bytes.HasPrefix(b, []byte(word)) {
			return word
		}
	}
	return ""
}

// A Float is a number of a file that went through Quote.
type Float float64

// UnmarshalJSON takes a number or one of the three words in quotes.
func (f *Float) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"-Infinity"`:
		*f = Float(math.Inf(-1))
	case `"Infinity"`:
		*f = Float(math.Inf(1))
	case `"NaN"`:
		*f = Float(math.NaN())
	default:
		if err := json.Unmarshal(b, (*float64)(f)); err != nil {
			return fmt.Errorf("%.40s is not a number", b)
		}
	}
	return nil
}
