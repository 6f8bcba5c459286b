package tui

import (
	"fmt"
	"image"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// The pictures of the samples tab.
const (
	shotEMA     = "shot"
	shotRaw     = "shot raw"
	shotNearest = "shot nearest"
	shotStrip   = "shot strip"
)

// samplesTab is the history of the samples: those of the averaged weights, beside them those of the weights themselves with the same
// seed, and the training images nearest to them, where they were made.
type samplesTab struct {
	still
	back   int  // previews before the newest
	pinned bool // the one in view stays although it was the newest
	asked  bool // for a preview with the raw weights: it stays in view when it comes
	seen   int  // previews that were there at the last look
	blink  bool // raw instead of EMA, where both are there
	wanted int64
	shown  int64 // step of what the gallery has, 0 is none
	has    map[string]bool
	new    []shot
	error  string
}

// A shot is a picture of one preview.
type shot struct {
	name string
	m    image.Image
	rows int
	cols int
}

// shotMsg brings the pictures of a preview.
type shotMsg struct {
	step  int64
	shots []shot
	err   error
}

func (v *samplesTab) open(t *training) tea.Cmd { return v.load(t) }

// shot is the preview in view.
func (v *samplesTab) shot(t *training) (run.Event, bool) {
	if len(t.shots) == 0 {
		return run.Event{}, false
	}
	if n := len(t.shots); n > v.seen && v.seen > 0 {
		if v.back > 0 || v.pinned { // the one in view stays
			v.back += n - v.seen
		}
		for i := v.seen; v.asked && i < n; i++ {
			if t.shots[i].Preview.Raw != "" {
				v.asked, v.pinned, v.back = false, true, n-1-i
			}
		}
	}
	v.seen = len(t.shots)
	v.back = move(v.back, 0, len(t.shots))
	return t.shots[len(t.shots)-1-v.back], true
}

// load reads the pictures of the preview in view.
func (v *samplesTab) load(t *training) tea.Cmd {
	e, ok := v.shot(t)
	if !ok || t.desk.Open == nil {
		return nil
	}
	p := *e.Preview
	key := e.Step
	if p.Raw != "" { // the same step, sampled again
		key = -e.Step - 1
	}
	if v.wanted == key {
		return nil
	}
	v.wanted = key
	return func() tea.Msg {
		m := shotMsg{step: key}
		for _, f := range []shot{{shotEMA, nil, p.Rows, p.Cols}, {shotRaw, nil, p.Rows, p.Cols}, {shotNearest, nil, p.Rows, p.Cols}, {shotStrip, nil, 1, 0}} {
			path := map[string]string{shotEMA: p.Samples, shotRaw: p.Raw, shotNearest: p.Nearest, shotStrip: p.Trajectory}[f.name]
			if path == "" {
				continue
			}
			var err error
			if f.m, err = t.desk.Open(path); err != nil {
				m.err = err
				continue
			}
			if f.name == shotStrip {
				f.cols = max(1, f.m.Bounds().Dx()/max(1, f.m.Bounds().Dy()))
			}
			m.shots = append(m.shots, f)
		}
		return m
	}
}

func (v *samplesTab) update(_ *training, msg tea.Msg) tea.Cmd {
	m, ok := msg.(shotMsg)
	if !ok || m.step != v.wanted {
		return nil
	}
	v.new, v.has, v.shown, v.error = m.shots, map[string]bool{}, m.step, ""
	for _, s := range m.shots {
		v.has[s.name] = true
	}
	if m.err != nil {
		v.error = clean(m.err.Error())
	}
	return nil
}

func (v *samplesTab) table(t *training) []binding {
	keys := []binding{
		{keys: []string{"[", "left", "]", "right"}, name: "older, newer", label: "[ ]", help: "samples of an earlier, a later step", with: func(key string) tea.Cmd {
			by := -1
			if key == "[" || key == "left" {
				by = 1
			}
			v.pinned = false
			v.back = move(v.back, by, len(t.shots))
			return v.load(t)
		}},
		{keys: []string{"space", " "}, name: "blink", help: "averaged weights or raw ones in one place", do: func() tea.Cmd { v.blink = !v.blink; return nil }},
	}
	if t.commands() {
		keys = append(keys, binding{keys: []string{"b"}, name: "raw too", help: "samples now, of the raw weights too", do: func() tea.Cmd { v.asked = true; return t.send(run.SampleBoth) }})
	}
	return keys
}

func (v *samplesTab) draw(t *training, s surface, w, h int) block {
	for _, n := range v.new {
		s.g.set(n.name, picture.Sheet{Image: n.m, Rows: n.rows, Cols: n.cols}, true)
	}
	v.new = nil
	e, ok := v.shot(t)
	if !ok || t.desk.Open == nil {
		return t.drawPictures(s, w, h)
	}
	th := s.th
	p := e.Preview
	about := fmt.Sprintf("step %s, %s %d steps, seed %d, %d of %d", count(e.Step), clean(p.Sampler), p.Steps, p.Seed, len(t.shots)-v.back, len(t.shots))
	if v.error != "" {
		about = v.error
	}
	stripH := min(s.stripRows(w-2, max(2, h/5))+2, h/3)
	if stripH < 4 || !v.has[shotStrip] {
		stripH = 0
	}
	one := func(name, title, note string, w int) block {
		if note == about && w < 70 && v.error == "" {
			note = fmt.Sprintf("step %s, %d of %d", count(e.Step), len(t.shots)-v.back, len(t.shots))
		}
		return panel(th, title, th.dim.Paint(note), w, h-stripH, func(w, h int) block { return s.g.draw(th, name, w, h, "no samples") })
	}
	var row []block
	switch n := 1 + len(v.has) - len(sharedShots(v.has)); {
	case v.blink && v.has[shotRaw]:
		row = append(row, one(shotRaw, "raw weights", about, w))
	case n <= 1 || w < 30*n:
		row = append(row, one(shotEMA, "EMA", about, w))
	default:
		each := w / n
		row = append(row, one(shotEMA, "EMA", about, w-(n-1)*each))
		if v.has[shotRaw] {
			row = append(row, one(shotRaw, "raw weights", "the same noise", each))
		}
		if v.has[shotNearest] {
			among := "to the EMA samples"
			if p.NearestOf > 0 {
				if among = "of " + count(int64(p.NearestOf)); each >= 60 {
					among += ", to the EMA samples"
				}
			}
			row = append(row, one(shotNearest, "nearest training images", among, each))
		}
	}
	body := beside(row...)
	if stripH > 0 {
		body = stack(body, panel(th, "x_t", th.dim.Paint("noise → image"), w, stripH, func(w, h int) block { return s.g.draw(th, shotStrip, w, h, "") }))
	}
	return body
}

// sharedShots are those that have no panel of their own in the row.
func sharedShots(has map[string]bool) []string {
	var out []string
	for _, name := range []string{shotEMA, shotStrip} {
		if has[name] {
			out = append(out, name)
		}
	}
	return out
}
