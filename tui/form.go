package tui

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"
)

// A form asks for a new run: the preset and the data.
type form struct {
	presets []string
	chosen  int
	input   edit
	field   int // 0 preset, 1 data

	looks   bool    // enter looks at the data first
	looked  request // what was looked at, or is
	busy    bool
	cancel  func()
	sofar   *reading
	found   *data // what was found
	problem string
}

// A request is what a look depends on.
type request struct{ preset, data string }

// A reading is how far a look is, from its goroutine.
type reading struct{ done, total, skipped atomic.Int64 }

// lookMsg brings what a look found.
type lookMsg struct {
	of   request
	info DataInfo
	err  error
}

func (f *form) request() request { return request{f.preset(), f.data()} }

// ready says that the data was looked at, and can be used.
func (f *form) ready() bool { return !f.looks || f.found != nil && f.looked == f.request() }

// look looks at the data.
func (f *form) look(desk Desk) tea.Cmd {
	if f.cancel != nil {
		f.cancel()
	}
	of := f.request()
	ctx, cancel := context.WithCancel(context.Background())
	progress := &reading{}
	f.looked, f.busy, f.cancel, f.sofar, f.found, f.problem = of, true, cancel, progress, nil, ""
	return tea.Batch(tick(time.Second/8), func() tea.Msg {
		info, err := desk.Look(ctx, of.preset, of.data, func(done, total, skipped int) {
			progress.done.Store(int64(done))
			progress.total.Store(int64(total))
			progress.skipped.Store(int64(skipped))
		})
		return lookMsg{of, info, err}
	})
}

// take takes what a look found, unless another has begun since.
func (f *form) take(m lookMsg) {
	if m.of != f.looked || !f.busy {
		return
	}
	f.busy = false
	if m.err != nil {
		f.problem = clean(m.err.Error())
		return
	}
	f.found = newData(m.info)
}

// leave ends a look that goes on.
func (f *form) leave() {
	if f.cancel != nil {
		f.cancel()
	}
}

// What became of a form.
type formResult int

const (
	formOpen formResult = iota
	formBack
	formDone
	formLook // at the data
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
	name, help := "start", "start the run"
	if !f.ready() {
		name, help = "look", "look at the data"
	}
	return []binding{
		{keys: []string{"enter"}, name: name, help: help, do: none},
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
			switch {
			case f.ready():
				return formDone
			case f.busy && f.looked == f.request(): // it is on its way
				return formOpen
			}
			return formLook
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
	switch {
	case f.busy:
		lines = append(lines, "", "  "+th.accent.Paint("looking at the data")+"  "+f.sofar.words())
	case f.problem != "":
		lines = append(lines, "", "  "+bold(th.bad).Paint("error ")+f.problem)
	case f.ready() && f.found != nil:
		lines = append(lines, "", "  "+bold(th.good).Paint("enter starts the run")+th.dim.Paint(" on what is below"))
	case f.looks:
		lines = append(lines, "", th.dim.Paint("  enter looks at the data first"))
	}
	const formH = 9
	if f.found == nil || f.looked != f.request() || s.h < formH+6 {
		return panel(th, "new run", "", s.w, s.h, func(w, h int) block { return text(w, h, lines...) })
	}
	top := panel(th, "new run", "", s.w, formH, func(w, h int) block { return text(w, h, lines...) })
	below := s
	below.h -= formH
	return stack(top, f.found.draw(below))
}

// words says how far a look is.
func (r *reading) words() string {
	done, total, skipped := r.done.Load(), r.total.Load(), r.skipped.Load()
	if total == 0 {
		return ""
	}
	words := count(done) + " of " + count(total)
	if skipped > 0 {
		words += ", " + count(skipped) + " skipped"
	}
	return words
}
