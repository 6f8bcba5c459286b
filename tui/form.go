package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// A form asks for a new run: the preset and the data.
type form struct {
	presets []string
	chosen  int
	input   edit
	field   int // 0 preset, 1 data
}

// What became of a form.
type formResult int

const (
	formOpen formResult = iota
	formBack
	formDone
)

func newForm(presets []string) *form {
	f := &form{presets: presets}
	for i, p := range presets {
		if p == "avatars32" { // the default on a CPU
			f.chosen = i
		}
	}
	return f
}

func (f *form) preset() string {
	if len(f.presets) == 0 {
		return ""
	}
	return f.presets[f.chosen]
}

func (f *form) data() string { return strings.TrimSpace(string(f.input.runes)) }

// table is for the footer and the help; the form reads its keys itself, because most are text.
func (f *form) table() []binding {
	none := func() tea.Cmd { return nil }
	return []binding{
		{keys: []string{"enter"}, name: "start", help: "start the run", do: none},
		{keys: []string{"tab"}, name: "next field", help: "next field", do: none},
		{keys: []string{"left"}, name: "", help: "another preset", do: none},
		{keys: []string{"esc"}, name: "back", help: "back to the runs", do: none},
	}
}

func (f *form) update(msg tea.Msg) formResult {
	key, ok := msg.(tea.KeyPressMsg)
	if ok {
		switch key.String() {
		case "enter":
			return formDone
		case "esc":
			return formBack
		case "tab", "shift+tab", "up", "down":
			f.field = 1 - f.field
			return formOpen
		}
		if f.field == 0 {
			n := max(1, len(f.presets))
			switch key.String() {
			case "left", "h":
				f.chosen = (f.chosen + n - 1) % n
			case "right", "l", "space":
				f.chosen = (f.chosen + 1) % n
			}
			return formOpen
		}
	}
	f.input.update(msg)
	return formOpen
}

func (f *form) draw(s surface) block {
	th := s.th
	label := func(field int, name string) string {
		if field == f.field {
			return bold(th.accent).Paint(pad("> "+name, 10))
		}
		return th.dim.Paint(pad("  "+name, 10))
	}
	var names []string
	for i, p := range f.presets {
		if i == f.chosen {
			names = append(names, th.chosen.Paint(" "+clean(p)+" "))
		} else {
			names = append(names, " "+clean(p)+" ")
		}
	}
	data := clean(string(f.input.runes))
	if f.field == 1 {
		data = f.input.draw(th, s.w-14)
	}
	lines := []string{
		"",
		label(0, "preset") + strings.Join(names, " "),
		"",
		label(1, "data") + data,
		th.dim.Paint("          a folder, zip, tar, CIFAR-10 or MNIST files; empty: the avatars in the program"),
	}
	if s.h < 8 || s.w < 24 {
		return text(s.w, s.h, lines[1], lines[3])
	}
	return panel(th, "new run", "", s.w, s.h, func(w, h int) block { return text(w, h, lines...) })
}
