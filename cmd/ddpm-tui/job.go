package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// A job is a run to be trained: what train and resume share.
type job struct {
	compute
	every          string
	steps          int64
	keep           int
	headless, json bool
	noDetach       bool
	isDetached     bool // this is the trainer that the screen's process started
	allowChange    bool // of the images

	given   func(flag string) bool
	cadence cadence
	created bool // the folder is new: it goes if nothing comes of it
	edit    editFlags
	address string // of the metrics for Prometheus
	ranks   ranks
}

// cadence is when checkpoints are written: every so many seconds or, if not 0, steps.
type cadence struct {
	seconds float64
	steps   int64
}

func (j *job) flags(fl *pflag.FlagSet) {
	fl.Int64Var(&j.steps, "steps", 0, "steps in all")
	fl.StringVar(&j.every, "checkpoint-every", "", "time or steps between checkpoints: 5m, 90s, 1000 (default 5m)")
	fl.IntVar(&j.keep, "keep", 0, "checkpoints that stay (default 3)")
	fl.BoolVar(&j.allowChange, "allow-data-change", false, "go on although the images changed since the run was started")
	fl.BoolVar(&j.headless, "headless", false, "no screen: stay in the foreground and print plain progress lines")
	fl.BoolVar(&j.json, "json", false, "no screen: one JSON object a step")
	addWindowFlag(fl)
	fl.BoolVar(&j.noDetach, "no-detach", false, "train in the screen's process, which ends with its terminal (after a checkpoint)")
	j.compute.flags(fl)
	fl.StringVar(&j.address, "metrics-addr", "", "serve the run's numbers for Prometheus at a loopback address, such as 127.0.0.1:9100")
	j.ranks.flags(fl)
	fl.StringVar(&j.ranks.trace, "rank-trace", "", "with several ranks, where a trace of rank 0's tenth step goes: what was computed, and summed meanwhile (Chrome's format)")
}

// check refuses wrong flags before anything is made.
func (j *job) check(c *cobra.Command) error {
	j.given = c.Flags().Changed
	if j.given("steps") && j.steps < 1 {
		return fmt.Errorf("--steps %d: want at least 1", j.steps)
	}
	if j.given("keep") && j.keep < 1 {
		return fmt.Errorf("--keep %d: want at least 1", j.keep)
	}
	if j.given("checkpoint-every") {
		var err error
		if j.cadence, err = parseCadence(j.every); err != nil {
			return err
		}
	}
	if err := j.compute.check(); err != nil {
		return err
	}
	if err := j.edit.read(c); err != nil {
		return err
	}
	return screen(c, "").CheckImages()
}

// parseCadence reads a duration or a number of steps.
func parseCadence(s string) (cadence, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return cadence{steps: n}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= time.Second && d <= 10000*time.Hour {
		return cadence{seconds: d.Seconds()}, nil
	}
	return cadence{}, fmt.Errorf("--checkpoint-every %q: want a time of a second or more, such as 5m or 1h30m, or a number of steps, such as 1000", s)
}

// change makes a configuration what the flags say.
func (j *job) change(cfg *train.Config) {
	if j.given("steps") {
		cfg.Steps = j.steps
	}
	if j.given("keep") {
		cfg.CheckpointKeep = j.keep
	}
	if j.given("checkpoint-every") {
		cfg.CheckpointSeconds, cfg.CheckpointSteps = j.cadence.seconds, j.cadence.steps
	}
}

// configuration is that of a run, changed as the flags say, in its folder too. The caller holds the lock.
func (j *job) configuration(folder *run.Folder) (*train.Config, error) {
	cfg := new(train.Config)
	if err := folder.ReadConfig(cfg); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", folder.Path("config.json"), err)
	}
	j.change(cfg)
	err := cfg.Validate()
	if err == nil && !j.edit.edit.Empty() {
		err = cfg.CheckEdit(j.edit.edit)
	}
	if err != nil {
		return nil, usageError{err}
	}
	if j.given("steps") || j.given("keep") || j.given("checkpoint-every") {
		return cfg, folder.WriteConfig(cfg)
	}
	return cfg, nil
}

// start trains with a screen, plain lines or JSON.
func (j *job) start(c *cobra.Command, folder *run.Folder) error {
	switch {
	case j.ranks.Rank() != 0:
		return j.follow(c)
	case j.isDetached:
		return j.detached(c, folder)
	case j.json || j.headless || j.ranks.asked || !onTerminal() || plain(c) && (j.noDetach || !canDetach):
		return j.foreground(c, folder)
	case j.noDetach || !canDetach:
		return j.watch(c, folder)
	}
	return j.detach(c, folder)
}

// foreground trains and prints lines. When nobody reads them any more the run ends as after Ctrl-C: its steps are worth more than
// its words.
func (j *job) foreground(c *cobra.Command, folder *run.Folder) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	out, errs := &guarded{c.OutOrStdout(), cancel}, c.ErrOrStderr()
	show := jsonEvents(out, errs)
	if !j.json {
		show = plainEvents(out, errs, 2*time.Second)
	}
	o := train.Options{OnEvent: show, Progress: progressLine(errs)}
	return j.run(ctx, folder, o, nil, func(*train.Trainer) {
		if !j.json {
			fmt.Fprintf(out, "run %s: Ctrl-C saves a checkpoint and ends\n", folder.Dir())
		}
	})
}

// run trains in this process. began is called when the run is this process's and viewers can come, ready when the first step is
// next; both may be nil.
func (j *job) run(ctx context.Context, folder *run.Folder, o train.Options, began func(), ready func(*train.Trainer)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lock, err := folder.Lock()
	var cfg *train.Config
	if err == nil {
		defer func() { _ = lock.Unlock() }() // the process's end gives it back too
		cfg, err = j.configuration(folder)
	}
	if err := dist.Agree(j.ranks, err); err != nil {
		return err
	}
	b, note, list, err := j.open(cfg, folder)
	if err != nil {
		return err
	}
	defer func() {
		if b != nil {
			_ = b.Close() // its memory is this process's
		}
	}()
	if list != nil {
		o.Choose = func(ctx context.Context, say func(level, format string, a ...any)) (backend.Backend, error) {
			var err error
			if b, err = choose(ctx, list, cfg, say); err == nil {
				err = folder.WriteConfig(cfg)
			}
			return b, err
		}
	}
	live, closeSocket := listen(folder, cancel, &o)
	defer closeSocket()
	closeSinks, err := j.sinks(cfg, folder, &o)
	if err != nil {
		return err
	}
	defer closeSinks()
	if began != nil {
		began()
	}
	if note != nil {
		o.Notes = append(o.Notes, *note)
	}
	o.AllowDataChange, o.Stale, o.Edit, o.Comm = j.allowChange, lock.Stale, j.edit.edit, j.ranks
	o.Trace = j.ranks.trace
	t, err := train.New(ctx, b, cfg, folder, o)
	if err != nil {
		stopped := ctx.Err() != nil && errors.Is(err, ctx.Err())
		switch {
		case stopped && j.created:
			err = errors.New("stopped before the first step: no run was kept")
		case stopped:
			return nil // the run is as it was
		}
		if j.created {
			err = errors.Join(err, folder.Discard())
		}
		return err
	}
	live.Store(t)
	if ready != nil {
		ready(t)
	}
	return t.Run(ctx)
}

// open opens what computes, on all ranks with rank 0's configuration. A run that begins keeps what that was; if nobody said, and there is
// more than one thing, they are to be timed.
func (j *job) open(cfg *train.Config, folder *run.Folder) (b backend.Backend, note *run.Log, list []*candidate, err error) {
	if err := dist.Tell(j.ranks, cfg); err != nil {
		return nil, nil, nil, err
	}
	on, alone := j.ranks.compute(j.compute), j.ranks.Size() == 1
	begins := alone && cfg.Compute == nil && !folder.Begun()
	switch auto := alone && on.backend == "auto" && on.device == ""; {
	case auto && cfg.Compute != nil:
		b, note, err = on.obey(cfg)
	case auto && begins:
		if list, note = candidates(on, cfg); len(list) > 1 {
			return nil, note, list, nil
		}
		list, on.backend = nil, "cpu"
		if b, _, err = on.open(cfg.Exact); note != nil {
			note.Text = "computing on the CPU: " + note.Text
		}
	default:
		if begins && on.vulkan() {
			if list, _ = candidates(on, cfg); len(list) > 1 {
				return nil, nil, list, nil
			}
		}
		on.noMatrices = cfg.Compute != nil && cfg.Compute.NoMatrices && on.device == ""
		b, note, err = on.open(cfg.Exact)
	}
	if err == nil && begins {
		cfg.Compute = chosen(b.Info(), note)
		err = folder.WriteConfig(cfg)
	}
	return b, note, nil, dist.Agree(j.ranks, err)
}

// follow trains as another rank than the first, which has the run's folder.
func (j *job) follow(c *cobra.Command) error {
	if err := dist.Agree(j.ranks, nil); err != nil {
		return err
	}
	cfg := new(train.Config)
	b, _, _, err := j.open(cfg, nil)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // its memory is this process's
	return train.Follow(c.Context(), b, cfg, train.Options{Comm: j.ranks})
}

// guarded is a writer that calls a function when its reader has gone away. A full disk is no reason to end: that passes.
type guarded struct {
	io.Writer
	failed func()
}

func (g *guarded) Write(p []byte) (int, error) {
	n, err := g.Writer.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		g.failed()
	}
	return n, err
}
