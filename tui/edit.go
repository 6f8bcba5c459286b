package tui

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// longestEdit is how many runes a line can hold.
const longestEdit = 4096

// An edit is one line of text being typed.
type edit struct {
	runes []rune
	at    int // the cursor stands before this rune
}

func (e *edit) update(msg tea.Msg) {
	switch msg := msg.(type) {
	case tea.PasteMsg:
		e.insert(msg.Content)
	case tea.KeyPressMsg:
		e.key(msg)
	}
}

func (e *edit) key(k tea.KeyPressMsg) {
	switch k.String() {
	case "left", "ctrl+b":
		e.at = max(0, e.at-1)
	case "right", "ctrl+f":
		e.at = min(len(e.runes), e.at+1)
	case "home", "ctrl+a":
		e.at = 0
	case "end", "ctrl+e":
		e.at = len(e.runes)
	case "backspace", "ctrl+h":
		e.cut(e.at-1, e.at)
	case "delete", "ctrl+d":
		e.cut(e.at, e.at+1)
	case "ctrl+u":
		e.cut(0, e.at)
	case "ctrl+k":
		e.cut(e.at, len(e.runes))
	case "ctrl+w", "alt+backspace":
		from := e.at
		for from > 0 && e.runes[from-1] == ' ' {
			from--
		}
		for from > 0 && e.runes[from-1] != ' ' && (from == e.at || e.runes[from-1] != '/') {
			from--
		}
		e.cut(from, e.at)
	default:
		e.insert(k.Text)
	}
}

func (e *edit) insert(s string) {
	for _, r := range s {
		if r < ' ' || r == utf8.RuneError || len(e.runes) >= longestEdit {
			continue
		}
		e.runes = append(e.runes, 0)
		copy(e.runes[e.at+1:], e.runes[e.at:])
		e.runes[e.at] = r
		e.at++
	}
}

// cut removes the runes from..to.
func (e *edit) cut(from, to int) {
	if from < 0 || to > len(e.runes) || from >= to {
		return
	}
	e.runes = append(e.runes[:from], e.runes[to:]...)
	e.at = from
}

// draw is the text in w cells, with a block for the cursor. What does not fit is cut at the front.
func (e *edit) draw(th theme, w int) string {
	under, rest := " ", ""
	if e.at < len(e.runes) {
		under, rest = string(e.runes[e.at]), string(e.runes[e.at+1:])
	}
	before := clean(string(e.runes[:e.at]))
	for width(before) > max(1, w-2) {
		_, n := utf8.DecodeRuneInString(before)
		before = before[n:]
	}
	return before + th.chosen.Paint(clean(under)) + clean(rest)
}
