package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// runsTab is the run among others: their losses in one chart, and in what their configurations differ.
type runsTab struct {
	list    []RunInfo
	at      int
	shown   map[string]bool // by folder
	other   []Setting       // the configuration of the chosen run
	mine    []Setting
	of      string // whose other is
	problem string
	lines   list // that are on the screen
}

// runsMsg brings the runs.
type runsMsg struct{ list []RunInfo }

// diffMsg brings two configurations.
type diffMsg struct {
	of          string
	mine, other []Setting
	err         error
}

func (r *runsTab) typing() bool { return false }

func (r *runsTab) open(t *training) tea.Cmd {
	if t.desk.Runs == nil {
		return nil
	}
	return func() tea.Msg { return runsMsg{t.desk.Runs()} }
}

func (r *runsTab) update(t *training, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case runsMsg:
		r.list = msg.list
		if r.shown == nil {
			r.shown = map[string]bool{}
			for _, i := range r.list[:min(3, len(r.list))] {
				r.shown[i.Dir] = true
			}
		}
		r.at = move(r.at, 0, len(r.list))
		return r.compare(t)
	case diffMsg:
		r.of, r.mine, r.other, r.problem = msg.of, msg.mine, msg.other, ""
		if msg.err != nil {
			r.problem = clean(msg.err.Error())
		}
	}
	return nil
}

// compare reads the configuration of the chosen run.
func (r *runsTab) compare(t *training) tea.Cmd {
	if len(r.list) == 0 || t.desk.Config == nil || r.list[r.at].Dir == r.of {
		return nil
	}
	dir := r.list[r.at].Dir
	return func() tea.Msg {
		m := diffMsg{of: dir}
		if m.mine, m.err = t.desk.Config(""); m.err == nil {
			m.other, m.err = t.desk.Config(dir)
		}
		return m
	}
}

func (r *runsTab) table(t *training) []binding {
	return []binding{
		{keys: []string{"up", "k", "down", "j"}, label: "↑ ↓", help: "another run", with: func(key string) tea.Cmd {
			by := 1
			if key == "up" || key == "k" {
				by = -1
			}
			r.at = move(r.at, by, len(r.list))
			return r.compare(t)
		}},
		{keys: []string{"v", "space", " "}, name: "overlay", help: "its loss in the chart, or not", do: func() tea.Cmd {
			if len(r.list) > 0 && r.shown != nil {
				dir := r.list[r.at].Dir
				r.shown[dir] = !r.shown[dir]
			}
			return nil
		}},
		{keys: []string{"r"}, name: "look again", help: "read the runs again", do: func() tea.Cmd { r.of = ""; return r.open(t) }},
		{keys: []string{"y"}, name: "log axis", help: "logarithmic or linear loss axis", do: func() tea.Cmd { t.logScale = !t.logScale; return nil }},
	}
}

// click chooses a run, and on the chosen one puts its loss into the chart, or takes it out.
func (r *runsTab) click(t *training, y int) tea.Cmd {
	at, ok := r.lines.at(y)
	switch {
	case !ok || at >= len(r.list):
		return nil
	case at == r.at && r.shown != nil:
		dir := r.list[at].Dir
		r.shown[dir] = !r.shown[dir]
	}
	r.at = at
	return r.compare(t)
}

// dashes stand for curves without colours: of every second column, third, fourth.
var dashes = []string{"╍", "┅", "┉"}

func (r *runsTab) draw(t *training, s surface, w, h int) block {
	th := s.th
	if t.desk.Runs == nil {
		return panel(th, "runs", "", w, h, func(w, h int) block { return hint(th, "no other runs at hand", w, h) })
	}
	listH := max(4, min(len(r.list)+2, h/3))
	diffH := max(0, min(len(r.differences())+3, h/3))
	curves := []chart.Curve{{Points: t.ema.Points(), Ink: th.accent}}
	marks := map[string]string{}
	legend := th.accent.Paint("━") + " this run"
	for _, i := range r.list {
		if k := len(marks); r.shown[i.Dir] && k < len(th.curves) {
			c, mark := chart.Curve{Points: lossPoints(i), Ink: th.curves[k]}, "━"
			if th.mono {
				c.Every, mark = k+2, dashes[k%len(dashes)]
			}
			curves, marks[i.Dir] = append(curves, c), c.Ink.Paint(mark)
			if more := legend + "  " + marks[i.Dir] + " " + clip(clean(i.Name), 16); width(more) < w-24 {
				legend = more
			}
		}
	}
	top := panel(th, "loss, averaged", legend, w, h-listH-diffH, func(w, h int) block {
		lines := chart.Lines{Log: t.logScale, Guides: t.guides, Axis: th.dim, Curves: curves}
		return text(w, h, lines.Draw(w, h)...)
	})
	list := panel(th, "runs", "", w, listH, func(w, h int) block {
		var rows []string
		for k, i := range r.list {
			mark, paint := "  ", func(s string) string { return s }
			if k == r.at {
				mark, paint = "> ", th.chosen.Paint
			}
			shown := "   "
			if mark, ok := marks[i.Dir]; ok {
				shown = mark + mark + " "
			}
			rows = append(rows, mark+shown+paint(pad(" "+clean(i.Name), max(8, min(30, w-50))))+"  "+pad(strings.ToUpper(clean(i.State)), 12)+
				pad(brief(i.Step)+"/"+brief(i.Steps), 13)+number(i.LossEMA))
		}
		if len(rows) == 0 {
			return hint(th, "no other runs", w, h)
		}
		r.lines.first = window(r.at, h, len(rows))
		r.lines.lines = min(h, len(rows))
		return text(w, h, rows[r.lines.first:]...)
	})
	r.lines.top = h - listH - diffH + 1
	diff := panel(th, "configuration", th.dim.Paint("what differs: this run → the chosen one"), w, diffH, func(w, h int) block {
		return text(w, h, fold(r.diffRows(th, w), h, th)...)
	})
	return stack(top, list, diff)
}

// lossPoints are the losses of a listed run over its steps.
func lossPoints(i RunInfo) []chart.Point {
	var series chart.Series
	for k, v := range i.Loss {
		x := float64(i.Step) * float64(k+1) / float64(len(i.Loss))
		if k < len(i.LossAt) {
			x = float64(i.LossAt[k])
		}
		series.Add(x, v)
	}
	return series.Points()
}

// differences are the settings that the two configurations do not share.
func (r *runsTab) differences() []Setting {
	values := map[string]string{}
	for _, s := range r.other {
		values[s.Name] = s.Value
	}
	var out []Setting
	seen := map[string]bool{}
	for _, s := range r.mine {
		seen[s.Name] = true
		if v, ok := values[s.Name]; !ok || v != s.Value {
			if !ok {
				v = "not set"
			}
			out = append(out, Setting{s.Name, s.Value + " → " + v})
		}
	}
	for _, s := range r.other {
		if !seen[s.Name] {
			out = append(out, Setting{s.Name, "not set → " + s.Value})
		}
	}
	return out
}

func (r *runsTab) diffRows(th theme, w int) []string {
	if r.problem != "" {
		return []string{" " + bold(th.bad).Paint("error ") + r.problem}
	}
	list := r.differences()
	if len(list) == 0 {
		return []string{th.dim.Paint(" nothing")}
	}
	var rows []string
	for _, d := range list {
		rows = append(rows, " "+th.dim.Paint(pad(clean(d.Name), min(30, max(10, w/3))))+clean(d.Value))
	}
	return rows
}
