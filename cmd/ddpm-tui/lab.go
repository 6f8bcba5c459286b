package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/image/draw"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab/experiment"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab/plot"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

// labFlags are the flags of the lab's commands.
type labFlags struct {
	p           experiment.Params
	order, head string
	compute
	out            string
	headless, json bool
}

func newLab() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use: "lab", Short: "The road to diffusion: nine experiments to watch and measure", Args: args(0, 0),
		Long: `The road to diffusion: nine experiments. They lead from predicting a whole image at once, which gives a blur, by way of one pixel, blocks and scattered pixels at a
time, to removing a little noise everywhere, which is diffusion. Each is a screen, and without one a command that prints what it
measured. What they train on the embedded avatars takes minutes on two processor cores, and stays in ` + runsDir + `/lab-*, so that it
is trained once. The screen trains in the background: a lost terminal leaves it at work, and the lab comes back to it, or attach does.

Without a name this opens the list of experiments.`,
		Example: `  ddpm-tui lab                                 choose on the screen
  ddpm-tui lab oneshot --headless --json       ends with rmse_to_mean
  ddpm-tui lab scattered --group 64 --order lattice
  ddpm-tui lab tradeoff --headless --out .     tradeoff.csv and tradeoff.png`,
	}
	f.common(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return f.list(c) }
	for _, e := range experiment.All() {
		c.AddCommand(newExperiment(e))
	}
	return c
}

// common are the flags that the list of experiments has too.
func (f *labFlags) common(c *cobra.Command) {
	fl := c.Flags()
	fl.BoolVar(&f.headless, "headless", false, "no screen: plain lines")
	fl.BoolVar(&f.json, "json", false, "no screen: one JSON object a line, what was measured last")
	f.compute.flags(fl)
}

func newExperiment(e *experiment.Experiment) *cobra.Command {
	var f labFlags
	c := &cobra.Command{Use: e.Name, Short: e.Short, Long: e.Short + ".\n\n" + strings.Join(e.Explain, "\n"), Args: args(0, 0), Example: "  ddpm-tui lab " + e.Name + " --headless --json"}
	f.common(c)
	fl := c.Flags()
	fl.Uint64Var(&f.p.Seed, "seed", 0, "seed of weights, orders and noise")
	fl.StringVar(&f.out, "out", "", "folder for the pictures, as PNG (default: the run's folder, or none)")
	if e.Trains || e.Name == "forward" {
		fl.IntVar(&f.p.Size, "size", 0, "pixels a side (default 16)")
		fl.StringVar(&f.p.Data, "data", "", "images instead of the embedded avatars: a folder, zip or tar")
	}
	if e.Trains {
		fl.Int64Var(&f.p.Steps, "steps", 0, "training steps in all; more than a run has goes on with it")
		fl.IntVar(&f.p.Batch, "batch", 0, "images a step")
		fl.StringVar(&f.p.Run, "run", "", "run folder (default: one in ./"+runsDir+" that experiments with the same network share)")
		if e.Name != "oneshot" && e.Name != "denoise" {
			fl.IntVar(&f.p.Images, "images-measured", 0, "held-out images that are measured")
		}
		if e.Name != "denoise" {
			fl.StringVar(&f.head, "head", "", fmt.Sprintf("what the network says of a value: one of %v", headsOf(e)))
		}
	}
	for _, k := range e.Knobs {
		switch k {
		case experiment.KnobGroup:
			fl.IntVar(&f.p.Group, "group", 0, "pixels drawn at once: 1, 4, 16, 64, ... (default 16)")
		case experiment.KnobOrder:
			fl.StringVar(&f.order, "order", "", fmt.Sprintf("of the pixels: one of %v", lab.Orders()))
		case experiment.KnobT:
			fl.IntVarP(&f.p.T, "timesteps", "T", 0, "timesteps of diffusion (default 300)")
		case experiment.KnobSchedule:
			fl.StringVar(&f.p.Schedule, "schedule", "", fmt.Sprintf("of the noise: one of %v (default cosine)", ddpm.Kinds()))
		}
	}
	if e.Name == "denoise" {
		fl.StringVar(&f.p.Ablate, "ablate", "", "leave a part of the network out: skips, attention or time")
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return f.run(c, e) }
	return c
}

// headsOf are the heads that an experiment can use.
func headsOf(e *experiment.Experiment) []lab.Head {
	if e.Name == "oneshot" {
		return []lab.Head{lab.MSE, lab.L1, lab.Mixture, lab.Categorical}
	}
	return []lab.Head{lab.Mixture, lab.Categorical}
}

// chosen are the flags as they were given.
func (f *labFlags) chosen() experiment.Params {
	p := f.p
	p.Order, p.Head = lab.Order(f.order), lab.Head(f.head)
	if p.Data != "" {
		if abs, err := filepath.Abs(p.Data); err == nil {
			p.Data = abs
		}
	}
	return p
}

// params are the flags, checked and complete.
func (f *labFlags) params(e *experiment.Experiment) (experiment.Params, error) {
	p := f.chosen()
	if p.Head != "" {
		known := false
		for _, h := range headsOf(e) {
			known = known || h == p.Head
		}
		if !known {
			return p, fmt.Errorf("--head %q: %s wants one of %v", p.Head, e.Name, headsOf(e))
		}
	}
	if p.Data != "" {
		if _, err := os.Stat(p.Data); err != nil {
			return p, fmt.Errorf("the images: %w", err)
		}
	}
	return e.Complete(p)
}

// open is the lab on a backend.
func (f *labFlags) open() (*experiment.Lab, func(), error) {
	b, _, err := f.compute.open(false)
	if err != nil {
		return nil, nil, err
	}
	return &experiment.Lab{Backend: b, Runs: runsDir}, func() { _ = b.Close() }, nil // its memory is this process's
}

// list prints the experiments, or shows them.
func (f *labFlags) list(c *cobra.Command) error {
	if !f.json && !f.headless && onTerminal() {
		return f.screen(c, nil, experiment.Params{})
	}
	w := c.OutOrStdout()
	for _, e := range experiment.All() {
		var err error
		if f.json {
			err = json.NewEncoder(w).Encode(map[string]any{"experiment": e.Name, "about": e.Short, "knobs": e.Knobs, "trains": e.Trains})
		} else {
			_, err = fmt.Fprintf(w, "%-10s %s\n", e.Name, e.Short)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run runs one experiment.
func (f *labFlags) run(c *cobra.Command, e *experiment.Experiment) error {
	p, err := f.params(e)
	if err != nil {
		return usageError{err}
	}
	if f.out != "" {
		if info, err := os.Stat(f.out); err != nil || !info.IsDir() {
			return usageError{fmt.Errorf("--out %s is no folder", f.out)}
		}
	}
	if !f.json && !f.headless && onTerminal() {
		return f.screen(c, e, f.chosen())
	}
	l, closeLab, err := f.open()
	if err != nil {
		return err
	}
	defer closeLab()
	return f.print(c, l, e, p)
}

// screen shows the lab.
func (f *labFlags) screen(c *cobra.Command, e *experiment.Experiment, p experiment.Params) error {
	opt := screen(c, "lab")
	if err := opt.CheckImages(); err != nil {
		return usageError{err}
	}
	l, closeLab, err := f.open()
	if err != nil {
		return err
	}
	defer closeLab()
	l.Pauses = make(chan struct{}, 1)
	l.Train = trainElsewhere(c, l.Pauses)
	return tui.RunLab(c.Context(), l, e, p, opt)
}

// print runs an experiment without a screen.
func (f *labFlags) print(c *cobra.Command, l *experiment.Lab, e *experiment.Experiment, p experiment.Params) error {
	w := c.OutOrStdout()
	show := &labLines{w: w, json: f.json, experiment: e.Name, pictures: map[string]experiment.Picture{}, charts: map[string]experiment.Chart{}}
	r, err := l.Run(c.Context(), e, p, show.frame)
	if err != nil {
		return err
	}
	if show.err != nil {
		return show.err
	}
	dir := f.out
	if dir == "" {
		dir = r.Run
	}
	var files []string
	if dir != "" {
		if files, err = show.save(dir, r); err != nil {
			return err
		}
	}
	if f.json {
		return encodeResult(w, r, files)
	}
	for _, g := range show.figures {
		line := fmt.Sprintf("%-22s %s", g.Name, g.Value)
		if g.Note != "" {
			line += "  " + g.Note
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if len(files) > 0 {
		_, err = fmt.Fprintf(w, "written: %s\n", strings.Join(files, ", "))
	}
	return err
}

// encodeResult writes one line: what was measured, flat, after what it was measured of.
func encodeResult(w io.Writer, r *experiment.Result, files []string) error {
	head := map[string]any{"experiment": r.Experiment, "done": true, "params": r.Params}
	if r.Run != "" {
		head["run"] = r.Run
	}
	if len(files) > 0 {
		head["files"] = files
	}
	first, err := json.Marshal(head)
	if err != nil {
		return err
	}
	second, err := json.Marshal(r.Measured)
	if err != nil {
		return err
	}
	line := bytes.Join([][]byte{first[:len(first)-1], second[1:]}, []byte(","))
	_, err = w.Write(append(line, '\n'))
	return err
}

// labLines follows an experiment as lines.
type labLines struct {
	w          io.Writer
	json       bool
	experiment string
	phase      string
	last       time.Time
	figures    []experiment.Figure
	pictures   map[string]experiment.Picture
	charts     map[string]experiment.Chart
	err        error
}

func (l *labLines) frame(fr experiment.Frame) {
	if len(fr.Figures) > 0 {
		l.figures = fr.Figures
	}
	for _, p := range fr.Pictures {
		l.pictures[p.Name] = p
	}
	for _, ch := range fr.Charts {
		l.charts[ch.Name] = ch
	}
	if l.err != nil || fr.Phase == "" || fr.Phase == "done" || fr.Phase == l.phase && time.Since(l.last) < 2*time.Second {
		return
	}
	l.phase, l.last = fr.Phase, time.Now()
	if l.json {
		line := map[string]any{"experiment": l.experiment, "phase": fr.Phase, "step": fr.Done, "of": fr.Total}
		l.err = json.NewEncoder(l.w).Encode(line)
		return
	}
	text := fr.Phase
	if fr.Total > 0 {
		text += fmt.Sprintf(" %d of %d", fr.Done, fr.Total)
	}
	for _, g := range fr.Figures {
		text += "  " + g.Name + " " + g.Value
	}
	_, l.err = fmt.Fprintln(l.w, text)
}

// save writes the last pictures and charts, and the numbers that other programs draw.
func (l *labLines) save(dir string, r *experiment.Result) (files []string, err error) {
	write := func(name string, m image.Image) {
		path := filepath.Join(dir, l.experiment+"-"+slug(name)+".png")
		if name == "" {
			path = filepath.Join(dir, l.experiment+".png")
		}
		if werr := train.WritePNG(path, m); werr != nil {
			err = errors.Join(err, werr)
			return
		}
		files = append(files, path)
	}
	for _, name := range slices.Sorted(maps.Keys(l.pictures)) {
		if name != "training" {
			write(name, enlarged(l.pictures[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.charts)) {
		ch := l.charts[name]
		if l.experiment == "tradeoff" {
			if strings.HasPrefix(name, "bits/dim against") {
				write("", drawChart(ch))
			}
			continue
		}
		write(name, drawChart(ch))
	}
	if t, ok := r.Measured.(*experiment.Tradeoff); ok {
		var b bytes.Buffer
		path := filepath.Join(dir, "tradeoff.csv")
		if err = errors.Join(err, t.WriteCSV(&b), run.WriteFile(path, b.Bytes(), 0o644)); err == nil {
			files = append(files, path)
		}
	}
	return files, err
}

func drawChart(ch experiment.Chart) image.Image {
	c := plot.Chart{Title: ch.Name, X: ch.X, Y: ch.Y, LogX: ch.LogX, LogY: ch.LogY}
	for _, l := range ch.Lines {
		c.Lines = append(c.Lines, plot.Line{Name: l.Name, X: l.X, Y: l.Y, SE: l.SE})
	}
	return c.Draw(720, 420)
}

// enlarged is a picture of small images at a size that one can see: whole pixels, with lines between the tiles.
func enlarged(p experiment.Picture) image.Image {
	const wide, gap = 768, 2
	b := p.Image.Bounds()
	tw, th := b.Dx()/p.Cols, b.Dy()/p.Rows
	k := min(8, max(1, (wide-gap*(p.Cols-1))/(tw*p.Cols)))
	m := image.NewRGBA(image.Rect(0, 0, p.Cols*(tw*k+gap)-gap, p.Rows*(th*k+gap)-gap))
	draw.Draw(m, m.Bounds(), image.White, image.Point{}, draw.Src)
	for r := range p.Rows {
		for c := range p.Cols {
			from := image.Rect(c*tw, r*th, (c+1)*tw, (r+1)*th).Add(b.Min)
			to := image.Rect(0, 0, tw*k, th*k).Add(image.Pt(c*(tw*k+gap), r*(th*k+gap)))
			draw.NearestNeighbor.Scale(m, to, p.Image, from, draw.Src, nil)
		}
	}
	return m
}

// slug is a name as a part of a file's.
func slug(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z':
			return r
		}
		return '-'
	}, s)
}
