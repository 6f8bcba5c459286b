package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

// runsDir is where runs live unless --run says otherwise.
const runsDir = "runs"

// trainFlags are the flags of train.
type trainFlags struct {
	preset, config, run, backend string
	steps                        int64
	batch, size, threads         int
	seed                         uint64
	headless, json               bool
}

func newTrain() *cobra.Command {
	var f trainFlags
	c := &cobra.Command{
		Use: "train [DATA]", Short: "Train a model on a set of images", Args: args(0, 1),
		Long: `Train a model and watch it learn. DATA is a folder, a zip or tar of images, CIFAR-10's binary files or MNIST's idx files;
left out, it is the 2,048 avatars inside the program.

The run's folder holds its configuration, events, checkpoints and previews. Training into a folder that holds a run goes on
from its latest checkpoint; --steps is then the new total. Ctrl-C saves a checkpoint and ends.`,
		Example: `  ddpm-tui train
  ddpm-tui train ~/pictures --preset avatars64 --run runs/mine
  ddpm-tui train --preset tiny --headless --json | jq .loss`,
	}
	fl := c.Flags()
	fl.StringVar(&f.preset, "preset", train.DefaultPreset, "configuration to start from (see ddpm-tui presets)")
	fl.StringVar(&f.config, "config", "", "configuration file instead of a preset (see ddpm-tui presets --json)")
	fl.StringVar(&f.run, "run", "", "run folder (default: a new one in ./runs named after the preset)")
	fl.Int64Var(&f.steps, "steps", 0, "steps in all")
	fl.IntVar(&f.batch, "batch", 0, "images a step")
	fl.IntVar(&f.size, "size", 0, "pixels a side")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of weights, noise and order")
	fl.IntVar(&f.threads, "threads", 0, "workers (0: one a processor)")
	fl.BoolVar(&f.headless, "headless", false, "no screen: plain progress lines")
	fl.BoolVar(&f.json, "json", false, "no screen: one JSON object a step")
	c.Flags().StringVar(&f.backend, "backend", "auto", "what computes: auto or cpu")
	c.RunE = func(c *cobra.Command, a []string) error { return f.train(c, a) }
	return c
}

// train opens or makes the run and trains it with a screen, plain lines or JSON.
func (f *trainFlags) train(c *cobra.Command, a []string) error {
	folder, cfg, err := f.open(c, a)
	if err != nil {
		return err
	}
	lock, err := folder.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	b, err := openBackend(f.backend, f.threads)
	if err != nil {
		return err
	}
	defer b.Close()
	switch {
	case f.json:
		return f.headlessRun(c, b, cfg, folder, jsonEvents(c.OutOrStdout()))
	case f.headless || !onTerminal():
		return f.headlessRun(c, b, cfg, folder, plainEvents(c.OutOrStdout()))
	}
	return watch(c, b, cfg, folder)
}

// open finds the run's folder and configuration: an existing run's, changed only in its total of steps, or a new one's.
func (f *trainFlags) open(c *cobra.Command, a []string) (*run.Folder, *train.Config, error) {
	if f.run != "" && run.IsRun(f.run) {
		for _, name := range []string{"preset", "config", "batch", "size", "seed"} {
			if c.Flags().Changed(name) {
				return nil, nil, usageError{fmt.Errorf("%s holds a run already, whose configuration stays: leave --%s out, or choose another --run", f.run, name)}
			}
		}
		if len(a) > 0 {
			return nil, nil, usageError{fmt.Errorf("%s holds a run already, which knows its images: leave DATA out, or choose another --run", f.run)}
		}
		folder, err := run.Open(f.run)
		if err != nil {
			return nil, nil, err
		}
		cfg := new(train.Config)
		if err := folder.ReadConfig(cfg); err != nil {
			return nil, nil, err
		}
		if f.steps > 0 {
			cfg.Steps = f.steps
		}
		return folder, cfg, cfg.Validate()
	}
	cfg, err := f.configure(c, first(a))
	if err != nil {
		return nil, nil, err
	}
	dir := f.run
	if dir == "" {
		dir = newRunDir(cfg.Preset)
	}
	folder, err := run.Create(dir, cfg)
	return folder, cfg, err
}

// configure is a new run's configuration: preset or file, then flags.
func (f *trainFlags) configure(c *cobra.Command, source string) (*train.Config, error) {
	cfg, err := train.PresetConfig(f.preset)
	if err != nil {
		return nil, usageError{err}
	}
	if f.config != "" {
		if c.Flags().Changed("preset") {
			return nil, usageError{errors.New("--preset and --config exclude each other")}
		}
		p, err := os.ReadFile(f.config)
		if err != nil {
			return nil, err
		}
		cfg = train.Config{}
		if err := run.DecodeConfig(f.config, p, &cfg); err != nil {
			return nil, err
		}
	}
	if source != "" {
		if source, err = filepath.Abs(source); err != nil {
			return nil, err
		}
		if _, err := os.Stat(source); err != nil {
			return nil, fmt.Errorf("the images: %w", err)
		}
		cfg.Data = source
	}
	changed := c.Flags().Changed
	if changed("steps") {
		cfg.Steps = f.steps
	}
	if changed("batch") {
		cfg.Batch = f.batch
	}
	if changed("size") {
		cfg.UNet.SampleSize = f.size
	}
	if changed("seed") {
		cfg.Seed = f.seed
	}
	return &cfg, cfg.Validate()
}

// newRunDir is the first folder in ./runs of that name, or with a number behind it, that does not exist.
func newRunDir(name string) string {
	if name == "" {
		name = "run"
	}
	dir := filepath.Join(runsDir, name)
	for i := 2; ; i++ {
		if _, err := os.Lstat(dir); err != nil {
			return dir
		}
		dir = filepath.Join(runsDir, fmt.Sprintf("%s-%d", name, i))
	}
}

// start loads the images and makes the trainer; its events begin at once, so that a screen has something to say.
func start(ctx context.Context, b backend.Backend, cfg *train.Config, folder *run.Folder, o train.Options, progress io.Writer) (*train.Trainer, error) {
	set, err := loadData(ctx, cfg.Data, cfg.UNet.SampleSize, cfg.UNet.InChannels, progress)
	if err != nil {
		return nil, err
	}
	return train.New(b, cfg, set, folder, o)
}

func (f *trainFlags) headlessRun(c *cobra.Command, b backend.Backend, cfg *train.Config, folder *run.Folder, show func(run.Event)) error {
	t, err := start(c.Context(), b, cfg, folder, train.Options{OnEvent: show}, c.ErrOrStderr())
	if err != nil {
		return err
	}
	if !f.json {
		fmt.Fprintf(c.OutOrStdout(), "run %s: Ctrl-C saves a checkpoint and ends\n", folder.Dir())
	}
	return t.Run(c.Context())
}

// stepLine is what --json prints for every step.
type stepLine struct {
	Step       int64     `json:"step"`
	Loss       run.Float `json:"loss"`
	LossEMA    run.Float `json:"loss_ema"`
	LR         run.Float `json:"lr"`
	GradNorm   run.Float `json:"grad_norm"`
	ImagesPerS run.Float `json:"images_per_s"`
	ETAS       run.Float `json:"eta_s"`
	Backend    string    `json:"backend"`
	Device     string    `json:"device"`
}

func jsonEvents(w io.Writer) func(run.Event) {
	enc := json.NewEncoder(w)
	var start run.Start
	return func(e run.Event) {
		switch {
		case e.Start != nil:
			start = *e.Start
		case e.Metrics != nil:
			m := e.Metrics
			enc.Encode(stepLine{e.Step, m.Loss, m.LossEMA, m.LR, m.GradNorm, m.ImagesPerS, m.ETAS, start.Backend, start.Device})
		}
	}
}

// plainEvents prints a line now and then: every step at first, every few seconds later.
func plainEvents(w io.Writer) func(run.Event) {
	var last time.Time
	var total int64
	return func(e run.Event) {
		switch {
		case e.Start != nil:
			s := e.Start
			total = s.Steps
			fmt.Fprintf(w, "%s: %d images of %dx%d (%s), batch %d, %.2f M parameters, %.3f GMAC an image, T=%d %s\n",
				s.Name, s.Images, s.Size, s.Size, s.Data, s.Batch, float64(s.Parameters)/1e6, float64(s.MACs)/1e9, s.T, s.Schedule)
			fmt.Fprintf(w, "on %s %s, %s of memory planned\n", s.Backend, s.Device, model.Bytes(s.PlanBytes))
		case e.Metrics != nil:
			if e.Step > 3 && time.Since(last) < 2*time.Second && e.Step != total {
				return
			}
			last = time.Now()
			m := e.Metrics
			fmt.Fprintf(w, "step %d/%d  loss %.4f  ema %.4f  lr %.2g  grad %.3f  %.1f img/s  %s left\n",
				e.Step, total, m.Loss, m.LossEMA, m.LR, m.GradNorm, m.ImagesPerS, duration(float64(m.ETAS)))
		case e.Preview != nil:
			fmt.Fprintf(w, "step %d: preview %s (%.1f s)\n", e.Step, e.Preview.Samples, e.Preview.Seconds)
		case e.Checkpoint != nil && e.Checkpoint.Error != "":
			fmt.Fprintf(w, "step %d: no checkpoint: %s\n", e.Step, e.Checkpoint.Error)
		case e.Checkpoint != nil:
			fmt.Fprintf(w, "step %d: checkpoint %s, %s in %.2f s\n", e.Step, e.Checkpoint.Path, model.Bytes(e.Checkpoint.Bytes), e.Checkpoint.Seconds)
		case e.Log != nil:
			fmt.Fprintf(w, "%s: %s\n", e.Log.Level, e.Log.Text)
		case e.End != nil:
			fmt.Fprintf(w, "%s at step %d after %s, loss %.4f\n", e.End.Reason, e.Step, duration(float64(e.End.Seconds)), e.End.Loss)
		}
	}
}

// duration writes seconds for people.
func duration(s float64) string {
	if !(s >= 0 && s < 1e9) {
		return "?"
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// source feeds a trainer of this process to the screen.
type source struct {
	events chan run.Event
	frames chan tui.Frame
	send   func(run.Command)
}

func (s *source) Events() <-chan run.Event { return s.events }
func (s *source) Frames() <-chan tui.Frame { return s.frames }
func (s *source) Send(c run.Command) error { s.send(c); return nil }

// watch trains with the screen in the same process.
func watch(c *cobra.Command, b backend.Backend, cfg *train.Config, folder *run.Folder) error {
	opt := screen(c, folder.Name(), "ddpm-tui sample "+folder.Dir(), "ddpm-tui train --run "+folder.Dir()+" --steps N   to go on")
	if err := opt.CheckImages(); err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	commands := make(chan run.Command, 16)
	s := &source{events: make(chan run.Event, 4096), frames: make(chan tui.Frame, 4)}
	s.send = func(c run.Command) {
		if c == run.Stop {
			cancel()
			return
		}
		select {
		case commands <- c:
		default:
		}
	}
	o := train.Options{
		OnEvent: func(e run.Event) { s.events <- e },
		OnFrame: func(name string, step int64, m image.Image, rows, cols int, caption string) {
			select {
			case s.frames <- tui.Frame{Name: name, Step: step, Image: m, Rows: rows, Cols: cols, Caption: caption}:
			default: // the screen is behind
			}
		},
	}
	done := make(chan error, 1)
	go func() {
		defer close(s.frames)
		defer close(s.events)
		t, err := start(ctx, b, cfg, folder, o, io.Discard)
		if err != nil {
			now := time.Now()
			s.events <- run.Event{Kind: "end", Time: now, End: &run.End{Reason: "failed", Error: err.Error()}}
			done <- err
			return
		}
		go func() {
			for {
				select {
				case cmd := <-commands:
					t.Do(cmd)
				case <-ctx.Done():
					return
				}
			}
		}()
		done <- t.Run(ctx)
	}()
	err := tui.RunTraining(c.Context(), s, opt)
	cancel()
	go func() { // the trainer may still have something to say
		for range s.events {
		}
	}()
	return errors.Join(err, <-done)
}
