// Package experiment runs the lab's experiments: it trains what they need in run folders like any other, measures, and hands pictures,
// figures and curves to whoever shows them.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// Params are what a person can choose. Zero means the experiment's default.
type Params struct {
	Size     int       `json:"size"`     // pixels a side
	Steps    int64     `json:"steps"`    // of training
	Head     lab.Head  `json:"head"`     // what the network says of a value
	Group    int       `json:"group"`    // pixels a group
	Order    lab.Order `json:"order"`    // in which groups come
	T        int       `json:"T"`        // timesteps of diffusion
	Schedule string    `json:"schedule"` // of noise
	Images   int       `json:"images"`   // held-out images that are measured
	Batch    int       `json:"batch"`    // images a training step
	Seed     uint64    `json:"seed"`
	Ablate   string    `json:"ablate,omitempty"` // what the noise predictor lacks
	Data     string    `json:"data,omitempty"`   // "" is the embedded avatars
	Run      string    `json:"run,omitempty"`    // the run folder, "" is one in Lab.Runs
}

// A Frame is what there is to see of an experiment at some moment. What is nil or empty stays as it was.
type Frame struct {
	Phase       string // what goes on, in a word or two
	Done, Total int64  // of the phase; Total 0 is unknown
	Pictures    []Picture
	Figures     []Figure
	Charts      []Chart
	Moment      bool // a moment of a process that one can step back to
}

// Training is the phase in which a network is trained.
const Training = "training"

// A Picture is a grid of images, Rows by Cols, edge to edge.
type Picture struct {
	Name, Caption string
	Image         image.Image
	Rows, Cols    int
}

// A Figure is a number for people.
type Figure struct{ Name, Value, Note string }

// A Chart is curves over a common axis.
type Chart struct {
	Name, X, Y string
	LogX, LogY bool
	Lines      []Line
}

// A Line is one curve; SE, if not nil, are the standard errors of its points.
type Line struct {
	Name  string
	X, Y  []float64
	SE    []float64
	Steps bool // a histogram rather than a line
}

// A Knob is a parameter that keys change.
type Knob string

// The knobs.
const (
	KnobGroup    Knob = "group"
	KnobOrder    Knob = "order"
	KnobT        Knob = "T"
	KnobSchedule Knob = "schedule"
	KnobHead     Knob = "head"
	KnobSeed     Knob = "seed"
)

// An Experiment is one stop on the road.
type Experiment struct {
	Name    string
	Short   string   // one line
	Explain []string // a few lines for the screen
	Knobs   []Knob
	Trains  bool // it has a run folder
	run     func(ctx context.Context, j *job) (any, error)
	adjust  func(p *Params) // defaults that are this experiment's own
}

// All are the experiments, in the order of the road.
func All() []*Experiment {
	return []*Experiment{oneshot, pixel, blocks, scattered, forward, denoise, tradeoff, schedule, gaussian}
}

// Find is the experiment of that name.
func Find(name string) (*Experiment, error) {
	var names []string
	for _, e := range All() {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	return nil, fmt.Errorf("experiment %q is unknown, want one of %s", name, strings.Join(names, ", "))
}

// A Lab is where experiments run.
type Lab struct {
	Backend backend.Backend
	Runs    string // where run folders go

	// Train, if it is not nil, trains the run in a folder in another process, or follows one that does already, and hands on what is
	// said and shown until that ends. With the end of ctx it stops the trainer, which saves, or leaves it alone if the cause is ErrLeave.
	// With each value of Pauses it lets the trainer pause or go on.
	Train  func(ctx context.Context, folder *run.Folder, o train.Options) error
	Pauses chan struct{}

	width []int // channels of the network at each level, nil for the default
	sets  map[string]*data.Set
	nets  map[string]*trained
}

// ErrLeave as the cause of the end of an experiment leaves a trainer in another process at work.
var ErrLeave = errors.New("left while training goes on")

// A job is one experiment being run.
type job struct {
	*Lab
	p    Params
	e    *Experiment
	emit func(Frame)
}

// A Result is what an experiment ends with.
type Result struct {
	Experiment string `json:"experiment"`
	Params     Params `json:"params"`
	Run        string `json:"run,omitempty"` // the folder of the network
	Measured   any    `json:"measured"`
}

// Complete fills in the experiment's defaults and says what is wrong.
func (e *Experiment) Complete(p Params) (Params, error) {
	if e.adjust != nil {
		e.adjust(&p)
	}
	def(&p.Size, 16)
	def(&p.Group, 16)
	def(&p.Order, lab.Random)
	def(&p.T, 300)
	def(&p.Schedule, "cosine")
	def(&p.Head, lab.Mixture)
	def(&p.Images, 32)
	def(&p.Batch, 16)
	def(&p.Steps, 2500)
	switch {
	case p.Size < 8 || p.Size > 64 || p.Size%4 != 0:
		return p, fmt.Errorf("--size %d: want a multiple of 4 from 8 to 64", p.Size)
	case p.Images < 1 || p.Images > heldOut:
		return p, fmt.Errorf("--images %d: want 1 to %d, which training does not see", p.Images, heldOut)
	case p.Batch < 1 || p.Batch > 4096:
		return p, fmt.Errorf("--batch %d: want 1 to 4096", p.Batch)
	case p.Steps < 1:
		return p, fmt.Errorf("--steps %d: want at least 1", p.Steps)
	case p.T < 2 || p.T > 10000:
		return p, fmt.Errorf("-T %d: want 2 to 10000", p.T)
	}
	if _, err := lab.Groups(p.Order, p.Size, p.Group, 0); err != nil {
		return p, fmt.Errorf("--group: %w", err)
	}
	return p, nil
}

func def[V comparable](v *V, to V) {
	var zero V
	if *v == zero {
		*v = to
	}
}

// Run runs an experiment with parameters that Complete has seen. emit, which may be slow, sees what happens.
func (l *Lab) Run(ctx context.Context, e *Experiment, p Params, emit func(Frame)) (*Result, error) {
	if l.sets == nil {
		l.sets, l.nets = map[string]*data.Set{}, map[string]*trained{}
	}
	j := &job{Lab: l, p: p, e: e, emit: emit}
	measured, err := e.run(ctx, j)
	if err != nil {
		return nil, err
	}
	r := &Result{Experiment: e.Name, Params: p, Measured: measured}
	if e.Trains {
		r.Run = j.dir(j.task())
	}
	return r, nil
}

// figure writes a number with so many digits behind the point.
func figure(name string, v float64, digits int, note string) Figure {
	return Figure{name, fmt.Sprintf("%.*f", digits, v), note}
}

// stat writes a mean with its standard error.
func stat(name string, s lab.Stat, note string) Figure {
	if s.N < 2 { // nothing is known of the error
		return figure(name, s.Mean, 4, note)
	}
	return Figure{name, fmt.Sprintf("%.4f ± %.4f", s.Mean, s.SE), note}
}

// phase emits how far a phase is.
func (j *job) phase(name string) func(done, total int) {
	j.emit(Frame{Phase: name})
	return func(done, total int) { j.emit(Frame{Phase: name, Done: int64(done), Total: int64(total)}) }
}
