package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// RunPick lists the runs, looking again every two seconds, until the person chooses one to watch. ok is false when they leave.
func RunPick(ctx context.Context, list func() []RunInfo, opt Options) (chosen RunInfo, ok bool, err error) {
	p := &pick{list: list, title: clean(opt.Title), runs: list()}
	if err := show(ctx, p, opt); err != nil || !p.chosen {
		return RunInfo{}, false, err
	}
	return p.runs[p.at], true, nil
}

// pick is a list of runs to watch, and nothing else.
type pick struct {
	list   func() []RunInfo
	title  string
	runs   []RunInfo // names as they are; cleaned where they are drawn
	at     int
	chosen bool
	shown  list
}

// pickedMsg is the runs as they are now.
type pickedMsg []RunInfo

// look looks at the runs again.
func (p *pick) look() tea.Cmd {
	return tea.Tick(2*time.Second, func(time.Time) tea.Msg { return pickedMsg(p.list()) })
}

func (p *pick) init() tea.Cmd      { return p.look() }
func (p *pick) typing() bool       { return false }
func (p *pick) notice() string     { return "" }
func (p *pick) leave(bool) tea.Cmd { return quit }

func (p *pick) update(msg tea.Msg) tea.Cmd {
	now, ok := msg.(pickedMsg)
	if !ok {
		return nil
	}
	if len(p.runs) > 0 { // the chosen one stays, wherever it is now
		dir := p.runs[p.at].Dir
		p.at = min(p.at, max(0, len(now)-1))
		for i, r := range now {
			if r.Dir == dir {
				p.at = i
			}
		}
	}
	p.runs = now
	return p.look()
}

func (p *pick) table() []binding {
	move := func(n int) func() tea.Cmd {
		return func() tea.Cmd { p.at = max(0, min(len(p.runs)-1, p.at+n)); return nil }
	}
	return []binding{
		{keys: []string{"up", "k"}, help: "the run before", do: move(-1)},
		{keys: []string{"down", "j"}, help: "the next run", do: move(1)},
		{keys: []string{"enter"}, name: "watch", help: "watch the run", do: p.watch},
		{keys: []string{"q", "esc"}, name: "quit", help: "leave", do: func() tea.Cmd { return quit }},
	}
}

func (p *pick) watch() tea.Cmd {
	if len(p.runs) == 0 {
		return nil
	}
	p.chosen = true
	return quit
}

// click implements clickable: a click chooses a run, one on the chosen run watches it.
func (p *pick) click(_, y int) tea.Cmd {
	at, ok := p.shown.at(y)
	switch {
	case !ok || at >= len(p.runs):
	case at == p.at:
		return p.watch()
	default:
		p.at = at
	}
	return nil
}

func (p *pick) draw(s surface) block {
	p.shown.top = 0
	if s.h < 6 || s.w < 24 {
		return text(s.w, s.h, p.rows(s, s.w, s.h)...)
	}
	p.shown.top = 2
	what := fmt.Sprintf("%d runs", len(p.runs))
	if len(p.runs) == 1 {
		what = "1 run"
	}
	head := text(s.w, 1, headerLine(s.th, p.title, []string{what}, "", s.w))
	return stack(head, panel(s.th, "runs", "", s.w, s.h-1, func(w, h int) block { return text(w, h, p.rows(s, w, h)...) }))
}

// rows are the runs that fit, with the chosen one among them.
func (p *pick) rows(s surface, w, n int) []string {
	if len(p.runs) == 0 {
		return []string{"", s.th.dim.Paint(" no runs here yet: they appear as they are made")}
	}
	var lines []string
	for i, r := range p.runs {
		mark, paint := "  ", func(s string) string { return s }
		if i == p.at {
			mark, paint = "> ", s.th.chosen.Paint
		}
		progress := brief(r.Step)
		if r.Steps > 0 {
			progress += "/" + brief(r.Steps)
		}
		nameW := max(8, min(40, w-60))
		sparkW := max(1, min(40, w-nameW-46))
		lines = append(lines, mark+paint(pad(" "+clean(r.Name), nameW))+"  "+bold("").Paint(pad(strings.ToUpper(clean(r.State)), 12))+pad(progress, 13)+pad(number(r.LossEMA), 9)+
			chart.Spark(chart.Log(sample(r.Loss, sparkW)), sparkW, 1, s.th.accent)[0]+" "+s.th.dim.Paint(ago(r.Updated, s.now)))
	}
	p.shown.first = 0
	if skip := p.at - n/2; len(lines) > n && skip > 0 {
		p.shown.first = min(skip, len(lines)-n)
	}
	lines = lines[p.shown.first:]
	p.shown.lines = min(n, len(lines))
	return lines
}
