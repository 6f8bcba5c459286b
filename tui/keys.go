package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// A binding is one line of a key table. The tables are the only place that knows keys: dispatch, footer and help read them.
type binding struct {
	keys []string // as bubbletea names them; the first is the one shown
	name string   // for the footer, a word or two; "" leaves it out there
	help string   // for the help
	do   func() tea.Cmd

	label string                   // for the help, where keys belong together: "1-7"
	with  func(key string) tea.Cmd // instead of do, where they differ in what they do
}

// run does what a key is for.
func (b binding) run(key string) tea.Cmd {
	if b.with != nil {
		return b.with(key)
	}
	return b.do()
}

// find is the binding of a key.
func find(table []binding, key string) (binding, bool) {
	for _, b := range table {
		for _, k := range b.keys {
			if k == key {
				return b, true
			}
		}
	}
	return binding{}, false
}

// keyName is a key as it is written on screen.
func keyName(k string) string {
	switch k {
	case "left":
		return "←"
	case "right":
		return "→"
	case "up":
		return "↑"
	case "down":
		return "↓"
	case " ":
		return "space"
	}
	return k
}

// footerKey is the key as the footer shows it.
func footerKey(b binding) string {
	if b.label != "" {
		return b.label
	}
	return keyName(b.keys[0])
}

// footer is the line of keys at the bottom. What does not fit is left out from the end, except for help and quit, which come last.
func footer(th theme, table []binding, w int) string {
	var parts []string
	for _, b := range footed(table, w) {
		parts = append(parts, bold(th.accent).Paint(footerKey(b))+" "+th.dim.Paint(b.name))
	}
	return pad(" "+strings.Join(parts, footerGap), w)
}

const footerGap = "   "

// footed are the keys that the footer has room for.
func footed(table []binding, w int) []binding {
	var list []binding
	total := 2
	size := func(b binding) int { return width(footerKey(b)+" "+b.name) + len(footerGap) }
	for _, b := range table {
		if b.name != "" {
			list = append(list, b)
			total += size(b)
		}
	}
	for len(list) > 2 && total-len(footerGap) > w {
		at := len(list) - 3
		total -= size(list[at])
		list = append(list[:at], list[at+1:]...)
	}
	return list
}

// footerAt is the key of the footer at a column.
func footerAt(table []binding, w, x int) (binding, bool) {
	from := 1
	for _, b := range footed(table, w) {
		to := from + width(footerKey(b)+" "+b.name)
		if x >= from && x < to {
			return b, true
		}
		from = to + len(footerGap)
	}
	return binding{}, false
}

// helpBlock lists the key table in a box in the middle, in two columns where one is too long.
func helpBlock(th theme, table []binding, notes []string, w, h int) block {
	return tableBlock(th, "keys", table, notes, w, h)
}

// tableBlock is helpBlock with a title.
func tableBlock(th theme, title string, table []binding, notes []string, w, h int) block {
	keyW, helpW := 0, 0
	for _, b := range table {
		keyW, helpW = max(keyW, width(keyList(b))), max(helpW, width(b.help))
	}
	row := func(b binding) string { return " " + bold(th.accent).Paint(pad(keyList(b), keyW)) + "  " + b.help }
	var lines []string
	cell := keyW + helpW + 4
	if n := len(table); n+len(notes)+3 > h && 2*cell+2 <= w {
		half := (n + 1) / 2
		for i := range half {
			line := pad(row(table[i]), cell)
			if half+i < n {
				line += row(table[half+i])
			}
			lines = append(lines, line)
		}
	} else {
		for _, b := range table {
			lines = append(lines, row(b))
		}
	}
	if len(notes) > 0 {
		lines = append(lines, "")
	}
	for _, n := range notes {
		lines = append(lines, " "+th.dim.Paint(n))
	}
	boxW := 0
	for _, l := range lines {
		boxW = max(boxW, width(l))
	}
	box := frame(th, th.accent, title, "", min(w, boxW+4), min(h, len(lines)+2), func(w, h int) block { return text(w, h, lines...) })
	return centre(box, w, h)
}

func keyList(b binding) string {
	if b.label != "" {
		return b.label
	}
	names := make([]string, len(b.keys))
	for i, k := range b.keys {
		names[i] = keyName(k)
	}
	return strings.Join(names, " ")
}

// badge is a word that stands out, with colour or without.
func badge(i chart.Ink, word string) string { return bold(i).Paint(word) }
