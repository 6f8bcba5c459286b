package tui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// configTab is the run's configuration, three values of which change while it trains: typed, reviewed, then applied between two steps.
type configTab struct {
	at       int // of the values that change
	input    *edit
	wanted   [editable]*float64 // not applied yet
	problem  string
	settings []Setting
	read     bool
	from     int // the first of the settings in view
	more     int // settings below
}

// The values that change.
const (
	editLR = iota
	editEMA
	editPreview
	editable
)

var editNames = [editable]string{"learning rate", "EMA decay", "previews"}

var editAbout = [editable]string{
	"before warm-up and schedule; a number such as 5e-4", "of the average that samples are made with; 0 to 1", "time between two: 90s, 5m, or 0 for none",
}

// configMsg brings the configuration.
type configMsg struct {
	settings []Setting
	err      error
}

func (c *configTab) typing() bool { return c.input != nil }

func (c *configTab) open(t *training) tea.Cmd {
	if c.read || t.desk.Config == nil {
		return nil
	}
	c.read = true
	return func() tea.Msg {
		s, err := t.desk.Config("")
		return configMsg{s, err}
	}
}

// now are the values in force.
func (c *configTab) now(t *training) [editable]float64 {
	return [editable]float64{float64(t.start.LR), float64(t.start.EMADecay), float64(t.start.PreviewS)}
}

// say writes a value.
func say(i int, v float64) string {
	switch {
	case i != editPreview:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case v == 0:
		return "none"
	case v < 0 || v > 1e9 || math.IsNaN(v):
		return "?"
	}
	return "every " + time.Duration(v*float64(time.Second)).String()
}

// parse reads a value.
func parseEdit(i int, s string) (float64, error) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseFloat(s, 64)
	if i == editPreview && err != nil {
		d, durErr := time.ParseDuration(s)
		v, err = d.Seconds(), durErr
	}
	most := [editable]float64{10, 1, 1e9}[i]
	switch {
	case err != nil || math.IsNaN(v):
		return 0, fmt.Errorf("%q is not %s", clean(s), map[bool]string{true: "a time such as 90s or 5m", false: "a number"}[i == editPreview])
	case v < 0 || v > most:
		return 0, fmt.Errorf("%s: want 0 to %g", clean(s), most)
	}
	return v, nil
}

// edit is what has been typed and not applied.
func (c *configTab) edit() run.Edit {
	return run.Edit{LR: c.wanted[editLR], EMADecay: c.wanted[editEMA], PreviewSeconds: c.wanted[editPreview]}
}

func (c *configTab) update(t *training, msg tea.Msg) tea.Cmd {
	if m, ok := msg.(configMsg); ok {
		if c.settings = m.settings; m.err != nil {
			c.problem = clean(m.err.Error())
		}
		return nil
	}
	if c.input == nil {
		return nil
	}
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch k.String() {
		case "esc":
			c.input, c.problem = nil, ""
			return nil
		case "enter":
			v, err := parseEdit(c.at, string(c.input.runes))
			if err != nil {
				c.problem = err.Error()
				return nil
			}
			c.input, c.problem, c.wanted[c.at] = nil, "", &v
			if v == c.now(t)[c.at] {
				c.wanted[c.at] = nil
			}
			return nil
		}
	}
	c.input.update(msg)
	return nil
}

func (c *configTab) table(t *training) []binding {
	none := func() tea.Cmd { return nil }
	if c.input != nil { // keys are text
		return []binding{
			{keys: []string{"enter"}, name: "review", help: "look at the change before it is applied", do: none},
			{keys: []string{"esc"}, name: "cancel", help: "leave the value as it is", do: none},
		}
	}
	keys := []binding{
		{keys: []string{"up", "k", "down", "j"}, label: "↑ ↓", help: "another value", with: func(key string) tea.Cmd {
			by := 1
			if key == "up" || key == "k" {
				by = -1
			}
			c.at = move(c.at, by, editable)
			return nil
		}},
	}
	keys = append(keys, binding{keys: []string{"pgup", "pgdown"}, label: "pgup pgdn", help: "the configuration back, on", with: func(key string) tea.Cmd {
		if key == "pgup" {
			c.from = max(0, c.from-5)
		} else {
			c.from += min(5, c.more)
		}
		return nil
	}})
	if !t.commands() {
		return keys
	}
	keys = append(keys, binding{keys: []string{"e", "enter"}, name: "edit", help: "change the value", do: func() tea.Cmd { c.begin(t); return nil }})
	if e := c.edit(); !e.Empty() {
		keys = append(keys,
			binding{keys: []string{"a"}, name: "apply", help: "apply the changes between two steps", do: func() tea.Cmd {
				c.wanted = [editable]*float64{}
				return t.send(run.Change(e))
			}},
			binding{keys: []string{"esc"}, name: "discard", help: "forget the changes", do: func() tea.Cmd { c.wanted = [editable]*float64{}; return nil }})
	}
	return keys
}

// begin opens the line to type a value in.
func (c *configTab) begin(t *training) {
	v := c.now(t)[c.at]
	if w := c.wanted[c.at]; w != nil {
		v = *w
	}
	c.input = &edit{}
	c.input.insert(strconv.FormatFloat(v, 'g', -1, 64))
	if c.at == editPreview {
		c.input.insert("s")
	}
}

func (c *configTab) draw(t *training, s surface, w, h int) block {
	th := s.th
	editH := min(h, 7+min(6, len(t.edits)))
	top := panel(th, "changes while it trains", th.dim.Paint("applied between two steps, logged, and kept by a resume"), w, editH, func(w, h int) block {
		if t.start.Name == "" {
			return hint(th, "not yet known", w, h)
		}
		var lines []string
		now := c.now(t)
		for i, name := range editNames {
			mark, label := "  ", th.dim.Paint(pad(name, 15))
			if i == c.at {
				mark, label = bold(th.accent).Paint("> "), bold(th.accent).Paint(pad(name, 15))
			}
			value := say(i, now[i])
			switch {
			case i == c.at && c.input != nil:
				value = c.input.draw(th, max(8, w-20))
			case c.wanted[i] != nil:
				value += bold(th.warn).Paint(" → "+say(i, *c.wanted[i])) + th.dim.Paint("  not applied yet")
			case w > 80:
				value = pad(value, 14) + th.dim.Paint(editAbout[i])
			}
			lines = append(lines, mark+label+value)
		}
		if c.problem != "" {
			lines = append(lines, " "+bold(th.bad).Paint("error ")+c.problem)
		} else if e := c.edit(); !e.Empty() && c.input == nil {
			what, how := " "+bold(th.warn).Paint("review ")+e.String()+", from the next step on", "a applies, esc discards"
			if width(what)+width(how)+2 <= w {
				lines = append(lines, what+": "+how)
			} else {
				lines = append(lines, what+":", "        "+how)
			}
		}
		lines = append(lines, "")
		for i := max(0, len(t.edits)-max(0, h-len(lines))); i < len(t.edits); i++ {
			e := t.edits[i]
			lines = append(lines, th.dim.Paint(fmt.Sprintf("  step %-9s ", count(e.Step)))+e.Edit.String())
		}
		return text(w, h, lines...)
	})
	rest := panel(th, "configuration", th.dim.Paint("config.json, as it was at the start"), w, h-editH, func(w, h int) block {
		if len(c.settings) == 0 {
			return hint(th, "not at hand", w, h)
		}
		c.from = min(c.from, max(0, len(c.settings)-1))
		rows, shown := settingRows(th, c.settings[c.from:], w, h)
		if c.from+shown < len(c.settings) && h > 1 {
			rows, shown = settingRows(th, c.settings[c.from:], w, h-1)
			rows = append(rows, th.dim.Paint(fmt.Sprintf(" %d more, pgdn", len(c.settings)-c.from-shown)))
		}
		c.more = len(c.settings) - c.from - shown
		return text(w, h, rows...)
	})
	return stack(top, rest)
}

// settingRows are the lines of a configuration, in as many columns as there is room for, and how many values they show.
func settingRows(th theme, list []Setting, w, h int) (rows []string, shown int) {
	const cell = 44
	cols := max(1, min(w/cell, (len(list)+max(1, h)-1)/max(1, h)))
	each := w / cols
	for r := range h {
		line := ""
		for k := range cols {
			if i := k*h + r; i < len(list) {
				line += pad(" "+th.dim.Paint(pad(clean(list[i].Name), 26))+clean(list[i].Value), each)
			}
		}
		rows = append(rows, line)
	}
	return rows, min(len(list), cols*h)
}
