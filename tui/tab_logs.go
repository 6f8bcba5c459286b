package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// logsTab is the whole log, or what of it a person looks for.
type logsTab struct {
	filter  edit
	writing bool
	level   int // of levels
	scroll  int
	page    int
}

// levels are what the log can be narrowed to.
var levels = []string{"everything", "warnings and errors", "errors"}

func (l *logsTab) typing() bool           { return l.writing }
func (l *logsTab) open(*training) tea.Cmd { return nil }

func (l *logsTab) update(_ *training, msg tea.Msg) tea.Cmd {
	if !l.writing {
		return nil
	}
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch k.String() {
		case "enter":
			l.writing = false
			return nil
		case "esc":
			l.writing, l.filter = false, edit{}
			return nil
		}
	}
	l.filter.update(msg)
	l.scroll = 0
	return nil
}

func (l *logsTab) table(*training) []binding {
	none := func() tea.Cmd { return nil }
	if l.writing { // keys are text
		return []binding{
			{keys: []string{"enter"}, name: "keep", help: "keep the filter", do: none},
			{keys: []string{"esc"}, name: "clear", help: "show everything again", do: none},
		}
	}
	return []binding{
		{keys: []string{"/"}, name: "filter", help: "only lines with some words", do: func() tea.Cmd { l.writing = true; return nil }},
		{keys: []string{"esc"}, help: "no filter", do: func() tea.Cmd { l.filter, l.level = edit{}, 0; return nil }},
		{keys: []string{"w"}, name: "level", help: strings.Join(levels, ", "), do: func() tea.Cmd { l.level = (l.level + 1) % len(levels); return nil }},
		{keys: []string{"up", "k", "down", "j"}, label: "↑ ↓", help: "a line back, on", with: func(key string) tea.Cmd { l.back(key == "up" || key == "k", 1); return nil }},
		{keys: []string{"pgup", "pgdown"}, label: "pgup pgdn", help: "a page back, on", with: func(key string) tea.Cmd { l.back(key == "pgup", max(1, l.page-1)); return nil }},
	}
}

func (l *logsTab) back(back bool, n int) {
	if !back {
		n = -n
	}
	l.scroll = max(0, l.scroll+n)
}

// lines are those that pass the filter.
func (l *logsTab) lines(t *training) []logLine {
	words := strings.Fields(strings.ToLower(string(l.filter.runes)))
	var out []logLine
	for _, line := range t.log {
		ok := l.level == 0 || line.level == "error" || l.level == 1 && line.level == "warn"
		text := strings.ToLower(line.level + " " + line.text)
		for _, w := range words {
			ok = ok && strings.Contains(text, w)
		}
		if ok {
			out = append(out, line)
		}
	}
	return out
}

func (l *logsTab) draw(t *training, s surface, w, h int) block {
	lines := l.lines(t)
	note := fmt.Sprintf("%s, %s of %s lines", levels[l.level], count(int64(len(lines))), count(int64(len(t.log))))
	bar := 0
	if (l.writing || len(l.filter.runes) > 0) && h >= 5 {
		bar = 1
	}
	l.page = max(1, h-2-bar)
	l.scroll = min(l.scroll, max(0, len(lines)-l.page))
	if l.scroll > 0 {
		note += fmt.Sprintf(", %d further ↓", l.scroll)
	}
	return panel(s.th, "log", s.th.dim.Paint(note), w, h, func(w, h int) block {
		var rows []string // one line may take several
		if bar > 0 {
			text := clean(string(l.filter.runes))
			if l.writing {
				text = l.filter.draw(s.th, w-10)
			}
			rows = append(rows, " "+bold(s.th.accent).Paint("filter ")+text)
		}
		if len(lines) == 0 {
			return stack(text(w, len(rows), rows...), hint(s.th, "no line", w, h-len(rows)))
		}
		var tail []string
		tail, l.page = wrappedRows(s.th, lines, w, h-len(rows), l.scroll)
		return text(w, h, append(rows, tail...)...)
	})
}

// wrappedRows are the last n rows of a log without its last skip lines, where long lines go on in the next row, and how many lines that is.
func wrappedRows(th theme, log []logLine, w, n, skip int) (rows []string, lines int) {
	const indent = "           " // what is before a line's text
	for i := len(log) - skip - 1; i >= 0 && len(rows) < n; i-- {
		line := log[i]
		head := line
		head.text = ""
		parts := strings.Split(ansi.Wrap(line.text, max(8, w-width(logRows(th, []logLine{head}, 1, 0)[0])), ""), "\n")
		line.text = parts[0]
		part := logRows(th, []logLine{line}, 1, 0)
		for _, p := range parts[1:] {
			part = append(part, indent+p)
		}
		rows, lines = append(part, rows...), lines+1
	}
	return rows[max(0, len(rows)-n):], max(1, lines)
}
