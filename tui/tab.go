package tui

import (
	"context"
	"fmt"
	"image"

	tea "charm.land/bubbletea/v2"
)

// A Desk is what the screen of a run can do besides following it. What is nil is not there.
type Desk struct {
	// Open reads a picture of the run, by its name in an event.
	Open func(path string) (image.Image, error)
	// Runs are the runs to compare with.
	Runs func() []RunInfo
	// Last reads the last samples of a run in a list.
	Last func(r RunInfo) (image.Image, error)
	// Look looks at the data of a run that is to be made from a preset, "" for the images in the program; progress may be called.
	Look func(ctx context.Context, preset, path string, progress func(done, total, skipped int)) (DataInfo, error)
	// Config is the configuration of a run, as names and values.
	Config   func(dir string) ([]Setting, error)
	Samplers []string // to choose from
	// Sample draws samples from the run's latest checkpoint until ctx ends. The channel is closed when it is done.
	Sample func(ctx context.Context, r SampleRequest) (<-chan SampleFrame, error)
	// Save writes pictures beside the run's, one as a PNG, many as a GIF, and returns the file's name.
	Save func(name string, pictures []image.Image) (string, error)
}

// A Setting is a line of a configuration.
type Setting struct{ Name, Value string }

// A SampleRequest says which samples to draw.
type SampleRequest struct {
	Sampler string
	Steps   int
	Seed    uint64
	N       int
	Raw     bool // with the weights that are not averaged
}

// A tab is one of the places of a run's screen.
type tab interface {
	draw(t *training, s surface, w, h int) block
	// table is the keys of the tab.
	table(t *training) []binding
	// update takes messages that are the tab's own, and all keys while typing is true.
	update(t *training, msg tea.Msg) tea.Cmd
	typing() bool
	// open is called when the tab comes into view.
	open(t *training) tea.Cmd
}

// still is what most tabs do not do.
type still struct{}

func (still) update(*training, tea.Msg) tea.Cmd { return nil }
func (still) typing() bool                      { return false }
func (still) open(*training) tea.Cmd            { return nil }

// The tabs of a run's screen.
const (
	tabTrain = iota
	tabSamples
	tabSampler
	tabSystem
	tabRuns
	tabLogs
	tabConfig
	tabs
)

var tabNames = [tabs]string{"Train", "Samples", "Sampler", "System", "Runs", "Logs", "Config"}

// show makes a tab the one in view.
func (t *training) show(tab int) tea.Cmd {
	t.tab = tab
	return t.places[tab].open(t)
}

// tabKeys are the keys that lead from tab to tab.
func (t *training) tabKeys() []binding {
	return []binding{
		{keys: []string{"tab", "shift+tab"}, name: "next tab", help: "next tab, tab before", with: func(key string) tea.Cmd {
			n := 1
			if key == "shift+tab" {
				n = tabs - 1
			}
			return t.show((t.tab + n) % tabs)
		}},
		{keys: []string{"1", "2", "3", "4", "5", "6", "7"}, label: fmt.Sprintf("1-%d", tabs), help: "a tab by its number", with: func(key string) tea.Cmd {
			return t.show(int(key[0] - '1'))
		}},
	}
}

// move is a choice among n, moved by a number.
func move(at, by, n int) int { return max(0, min(n-1, at+by)) }

// window is the first of n lines to show of total, so that line at is among them.
func window(at, n, total int) int { return max(0, min(at-n/2, total-n)) }
