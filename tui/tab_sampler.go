package tui

import (
	"context"
	"fmt"
	"image"
	"math"
	"path/filepath"
	"strconv"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// samplerTab draws samples from the run's latest checkpoint: with which sampler, in how many steps, from which seed; x_t and the x_0
// predicted in it as they go, and back and forth afterwards.
type samplerTab struct {
	request SampleRequest
	ready   bool // request is filled in
	at      int  // of the fields
	input   *edit

	run     int // which drawing; frames of those before are old
	cancel  context.CancelFunc
	frames  <-chan SampleFrame
	kept    []SampleFrame
	seqs    []int // of kept: which frame each is
	seq     int
	last    SampleFrame
	scrub   int // of kept, -1 is the newest
	view    int
	hung    [2]int // run and frame that the gallery has
	said    string
	bad     bool
	drawing bool
}

// keptFrames is how many steps can be gone back to.
const keptFrames = 100

// The fields.
const (
	fieldSampler = iota
	fieldSteps
	fieldSeed
	fieldN
	fieldWeights
	fields
)

var fieldNames = [fields]string{"sampler", "steps", "seed", "images", "weights"}

// framesMsg brings frames of a drawing.
type framesMsg struct {
	run int
	batchMsg[SampleFrame]
}

// beganMsg says that a drawing has begun, or why not.
type beganMsg struct {
	run    int
	frames <-chan SampleFrame
	err    error
}

// savedMsg says where something was saved.
type savedMsg struct {
	path string
	err  error
}

func (p *samplerTab) typing() bool { return p.input != nil }

func (p *samplerTab) open(t *training) tea.Cmd {
	if !p.ready {
		p.ready, p.scrub = true, -1
		p.request = SampleRequest{Sampler: "ddim", Steps: 50, Seed: 1, N: 16}
		if n := len(t.desk.Samplers); n > 0 {
			found := false
			for _, s := range t.desk.Samplers {
				found = found || s == p.request.Sampler
			}
			if !found {
				p.request.Sampler = t.desk.Samplers[0]
			}
		}
	}
	return nil
}

func (p *samplerTab) update(t *training, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case beganMsg:
		if msg.run != p.run {
			return nil
		}
		if msg.err != nil {
			p.say(msg.err.Error(), true)
			p.drawing = false
			return nil
		}
		p.frames = msg.frames
		return p.next()
	case framesMsg:
		if msg.run != p.run {
			return nil
		}
		for _, f := range msg.items {
			p.take(f)
		}
		if !msg.closed {
			return p.next()
		}
		p.drawing = false
		p.stop()
	case savedMsg:
		if msg.err != nil {
			p.say(msg.err.Error(), true)
		} else {
			p.say("saved "+filepath.Base(msg.path)+" in "+filepath.Dir(msg.path), false)
		}
	case tea.KeyPressMsg, tea.PasteMsg:
		p.typed(msg)
	}
	return nil
}

func (p *samplerTab) say(s string, bad bool) { p.said, p.bad = clean(s), bad }

// next waits for more frames.
func (p *samplerTab) next() tea.Cmd {
	run, look := p.run, gather(p.frames)
	return func() tea.Msg { return framesMsg{run, look().(batchMsg[SampleFrame])} }
}

// take keeps a frame.
func (p *samplerTab) take(f SampleFrame) {
	switch {
	case f.Err != nil:
		p.say(f.Err.Error(), true)
	case f.Xt != nil:
		p.seq++
		p.kept, p.seqs = append(p.kept, f), append(p.seqs, p.seq)
		if len(p.kept) > keptFrames { // every second of the older half goes
			n := 0
			for i := range p.kept {
				if i > keptFrames/2 || i%2 == 0 {
					p.kept[n], p.seqs[n] = p.kept[i], p.seqs[i]
					n++
				}
			}
			p.kept, p.seqs = p.kept[:n], p.seqs[:n]
		}
	}
	if f.Steps > 0 {
		p.last = f
	}
}

// typed takes a key while a number is typed.
func (p *samplerTab) typed(msg tea.Msg) {
	if p.input == nil {
		return
	}
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		p.input.update(msg)
		return
	}
	switch k.String() {
	case "esc":
		p.input = nil
	case "enter", "tab", "up", "down":
		v, err := strconv.ParseUint(string(p.input.runes), 10, 64)
		most := map[int]uint64{fieldSteps: 10000, fieldSeed: math.MaxUint64, fieldN: 256}[p.at]
		if err != nil || v > most || p.at != fieldSeed && v < 1 {
			p.say(fmt.Sprintf("%s: %q is not a number from 1 to %d", fieldNames[p.at], string(p.input.runes), most), true)
			return
		}
		switch p.at {
		case fieldSteps:
			p.request.Steps = int(v)
		case fieldSeed:
			p.request.Seed = v
		case fieldN:
			p.request.N = int(v)
		}
		p.input = nil
		p.say("", false)
	default:
		p.input.update(msg)
	}
}

// change moves a field's value.
func (p *samplerTab) change(t *training, by int) {
	r := &p.request
	switch p.at {
	case fieldSampler:
		if n := len(t.desk.Samplers); n > 0 {
			at := 0
			for i, s := range t.desk.Samplers {
				if s == r.Sampler {
					at = i
				}
			}
			r.Sampler = t.desk.Samplers[(at+by+n)%n]
		}
	case fieldSteps:
		r.Steps = max(1, min(10000, r.Steps+5*by))
	case fieldSeed:
		r.Seed += uint64(by) // back from 0 is the largest
	case fieldN:
		r.N = max(1, min(256, r.N+by))
	case fieldWeights:
		r.Raw = !r.Raw
	}
}

func (p *samplerTab) start(t *training) tea.Cmd {
	if t.desk.Sample == nil {
		return nil
	}
	p.stop()
	p.run++
	p.kept, p.seqs, p.last, p.scrub, p.drawing = nil, nil, SampleFrame{}, -1, true
	p.say("", false)
	ctx, cancel := context.WithCancel(t.ctx)
	p.cancel = cancel
	run, r := p.run, p.request
	return func() tea.Msg {
		frames, err := t.desk.Sample(ctx, r)
		return beganMsg{run, frames, err}
	}
}

func (p *samplerTab) stop() {
	if p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
}

// frame is the one in view.
func (p *samplerTab) frame() (int, bool) {
	if len(p.kept) == 0 {
		return 0, false
	}
	if p.scrub < 0 || p.scrub >= len(p.kept) {
		return len(p.kept) - 1, true
	}
	return p.scrub, true
}

func (p *samplerTab) table(t *training) []binding {
	if p.input != nil { // keys are text
		none := func() tea.Cmd { return nil }
		return []binding{{keys: []string{"enter"}, name: "take", help: "take the number", do: none}, {keys: []string{"esc"}, name: "cancel", help: "leave it as it was", do: none}}
	}
	save := func(many bool) func() tea.Cmd {
		return func() tea.Cmd { return p.save(t, many) }
	}
	keys := []binding{
		{keys: []string{"enter", "S"}, name: "draw", help: "draw samples", do: func() tea.Cmd { return p.start(t) }},
		{keys: []string{"up", "k", "down", "j"}, label: "↑ ↓", help: "another field", with: func(key string) tea.Cmd {
			by := 1
			if key == "up" || key == "k" {
				by = -1
			}
			p.at = move(p.at, by, fields)
			return nil
		}},
		{keys: []string{"left", "h", "right", "l"}, label: "← →", help: "change its value", with: func(key string) tea.Cmd {
			by := 1
			if key == "left" || key == "h" {
				by = -1
			}
			p.change(t, by)
			return nil
		}},
		{keys: []string{"e"}, name: "type", help: "type its value", do: func() tea.Cmd {
			if p.at == fieldSteps || p.at == fieldSeed || p.at == fieldN {
				p.input = &edit{}
				p.input.insert(p.value(p.at))
			}
			return nil
		}},
		{keys: []string{"[", "]"}, name: "scrub t", label: "[ ]", help: "a step back, a step on", with: func(key string) tea.Cmd {
			if at, ok := p.frame(); ok {
				by := 1
				if key == "[" {
					by = -1
				}
				p.scrub = move(at, by, len(p.kept))
			}
			return nil
		}},
		{keys: []string{"x"}, name: "x_t / x_0", help: "x_t, the x_0 predicted in it, or both", do: func() tea.Cmd { p.view = (p.view + 1) % views; return nil }},
	}
	if t.desk.Save != nil {
		keys = append(keys,
			binding{keys: []string{"w"}, name: "PNG", help: "save the picture in view", do: save(false)},
			binding{keys: []string{"W"}, name: "GIF", help: "save the way from noise to image", do: save(true)})
	}
	if p.drawing {
		keys = append(keys, binding{keys: []string{"esc"}, name: "stop", help: "stop drawing", do: func() tea.Cmd { p.stop(); return nil }})
	}
	return keys
}

// save writes the picture in view, or all of them as an animation.
func (p *samplerTab) save(t *training, many bool) tea.Cmd {
	at, ok := p.frame()
	if !ok {
		return nil
	}
	pick := func(f SampleFrame) image.Image {
		if p.view == viewX0 && f.X0 != nil {
			return f.X0
		}
		return f.Xt
	}
	list := []image.Image{pick(p.kept[at])}
	if many {
		list = list[:0]
		for _, f := range p.kept {
			list = append(list, pick(f))
		}
	}
	r := p.request
	name := fmt.Sprintf("%s-%d-seed%d", r.Sampler, r.Steps, r.Seed)
	return func() tea.Msg {
		path, err := t.desk.Save(name, list)
		return savedMsg{path, err}
	}
}

func (p *samplerTab) value(field int) string {
	r := p.request
	switch field {
	case fieldSampler:
		return r.Sampler
	case fieldSteps:
		return strconv.Itoa(r.Steps)
	case fieldSeed:
		return strconv.FormatUint(r.Seed, 10)
	case fieldN:
		return strconv.Itoa(r.N)
	case fieldWeights:
		if r.Raw {
			return "raw"
		}
		return "EMA"
	}
	return ""
}

func (p *samplerTab) draw(t *training, s surface, w, h int) block {
	th := s.th
	if t.desk.Sample == nil {
		return panel(th, "sampler", "", w, h, func(w, h int) block { return hint(th, "no checkpoint at hand", w, h) })
	}
	formH := 3
	if w < 90 {
		formH = 4
	}
	form := panel(th, "draw samples", th.dim.Paint("from the latest checkpoint; enter draws"), w, formH, func(w, h int) block {
		var parts []string
		for f := range fields {
			value := clean(p.value(f))
			label := th.dim.Paint(fieldNames[f] + " ")
			switch {
			case f == p.at && p.input != nil:
				value = p.input.draw(th, 22)
			case f == p.at:
				value = th.chosen.Paint(" " + value + " ")
			}
			parts = append(parts, label+value)
		}
		lines := []string{" "}
		for _, part := range parts {
			if last := len(lines) - 1; width(lines[last])+width(part)+3 > w && len(lines) < h {
				lines = append(lines, " "+part+"  ")
			} else {
				lines[last] += part + "  "
			}
		}
		return text(w, h, lines...)
	})
	at, any := p.frame()
	state := ""
	switch {
	case p.said != "" && p.bad:
		state = bold(th.bad).Paint("error ") + p.said
	case p.said != "":
		state = bold(th.good).Paint(p.said)
	case any:
		f := p.kept[at]
		state = fmt.Sprintf("step %d/%d  t = %d", f.Step, f.Steps, f.T)
	case p.drawing:
		state = "the first step is on its way"
	}
	left := min(w, max(46, width(state)+3))
	bar := text(w, 1, pad(" "+state+"  ", left)+chart.Progress(p.fraction(), w-left-1, th.accent, th.border))
	body := h - formH - 1
	if any && p.hung != [2]int{p.run, p.seqs[at]} {
		f := p.kept[at]
		p.hung = [2]int{p.run, p.seqs[at]}
		done := !p.drawing
		s.g.set(drawnXt, picture.Sheet{Image: f.Xt, Rows: f.Rows, Cols: f.Cols}, done)
		if f.X0 != nil {
			s.g.set(drawnX0, picture.Sheet{Image: f.X0, Rows: f.Rows, Cols: f.Cols}, done)
		}
	}
	one := func(name, title string, w int) block {
		return panel(th, title, "", w, body, func(w, h int) block {
			if !any {
				return hint(th, "nothing drawn yet", w, h)
			}
			return s.g.draw(th, name, w, h, "nothing drawn yet")
		})
	}
	switch {
	case p.view == viewXt || !any:
		return stack(form, bar, one(drawnXt, "x_t", w))
	case p.view == viewX0 || w < 60:
		return stack(form, bar, one(drawnX0, "x_0 as predicted", w))
	}
	return stack(form, bar, beside(one(drawnXt, "x_t", w/2), one(drawnX0, "x_0 as predicted", w-w/2)))
}

// The pictures of the sampler tab.
const (
	drawnXt = "drawn x_t"
	drawnX0 = "drawn x_0"
)

func (p *samplerTab) fraction() float64 {
	if at, ok := p.frame(); ok && p.kept[at].Steps > 0 {
		return float64(p.kept[at].Step) / float64(p.kept[at].Steps)
	}
	return 0
}
