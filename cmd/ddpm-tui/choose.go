package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/vulkan"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// A new run with --backend auto is timed on what this machine has: some training steps of the very program on each candidate. The fastest
// computes the run, now and whenever it is resumed.

// softwareEnv lets devices that are software be candidates, so that the choice can be tried where there is no GPU.
const softwareEnv = "DDPM_AUTO_SOFTWARE"

// trialPatience is how long a candidate's steps are timed, the first two excepted.
const trialPatience = 2 * time.Second

// A candidate is one way to compute a run.
type candidate struct {
	name     string
	choice   train.Choice
	matrices bool // it is to use cooperative matrices
	open     func() (backend.Backend, error)
	b        backend.Backend
	seconds  float64 // a step
	out      string  // why it is out of the question
}

// candidates are the Vulkan devices and last the CPU, or only the device that was asked for. why says why there is no device.
func candidates(on compute, cfg *train.Config) (list []*candidate, why *run.Log) {
	devices, why := gpus()
	if on.vulkan() {
		all, err := vulkan.Devices()
		if err == nil {
			all, err = vulkan.Find(all, on.device)
		}
		if devices, why = all, nil; err != nil {
			return nil, nil // opening it says why
		}
	}
	list = ways(devices, cfg.Precision)
	if on.vulkan() {
		return list, nil
	}
	return append(list, &candidate{
		name: "the CPU", choice: train.Choice{Backend: "cpu"},
		open: func() (backend.Backend, error) { return cpu.New(cpu.Options{Threads: on.threads, Exact: cfg.Exact}) },
	}), why
}

// ways are the candidates on devices: in a precision that may use cooperative matrices, one that has them is two.
func ways(devices []vulkan.DeviceInfo, p backend.Precision) (list []*candidate) {
	add := func(name string, d vulkan.DeviceInfo, matrices, not bool) {
		list = append(list, &candidate{
			name: name, choice: train.Choice{Backend: "vulkan", Device: d.Name, NoMatrices: not}, matrices: matrices,
			open: func() (backend.Backend, error) {
				return vulkan.Open(vulkan.Options{Device: fmt.Sprint(d.Index), NoMatrices: not})
			},
		})
	}
	for _, d := range devices {
		if p == backend.FP16 && d.UsesMatrices() {
			add(d.Name+" with cooperative matrices", d, true, false)
			add(d.Name+" without", d, false, true)
			continue
		}
		add(d.Name, d, false, false)
	}
	return list
}

// vulkan reports whether it was asked for.
func (o compute) vulkan() bool { return o.backend == "vulkan" || o.device != "" }

// gpus are the devices that auto considers, or why there is none.
func gpus() (list []vulkan.DeviceInfo, why *run.Log) {
	all, err := vulkan.Devices()
	if err != nil {
		return nil, &run.Log{Level: "info", Text: err.Error()}
	}
	for _, d := range all {
		if d.Usable == "" && (d.Kind != "cpu" || os.Getenv(softwareEnv) != "") {
			list = append(list, d)
		}
	}
	switch d := all[0]; {
	case list != nil:
		return list, nil
	case d.Usable != "":
		return nil, &run.Log{Level: "warn", Text: fmt.Sprintf("%s cannot be used: %s", d.Name, d.Usable)}
	default:
		return nil, &run.Log{Level: "info", Text: fmt.Sprintf("the only Vulkan device, %s, is software (--backend vulkan takes it all the same)", d.Name)}
	}
}

// choose times the candidates and opens the best; cfg gets the choice. say tells what is being done.
func choose(ctx context.Context, list []*candidate, cfg *train.Config, say func(level, format string, a ...any)) (backend.Backend, error) {
	var names []string
	for _, c := range list {
		names = append(names, c.name)
	}
	say("info", "what is faster? a few training steps each on %s", strings.Join(names, ", "))
	var best *candidate
	for _, c := range list {
		if c.time(ctx, cfg, best); ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), c.close(), best.close())
		}
		if c.out == "" && (best == nil || c.seconds < best.seconds) {
			c, best = best, c
		}
		if err := c.close(); err != nil {
			say("warn", "%s: %v", c.name, err)
		}
	}
	if best == nil {
		return nil, fmt.Errorf("nothing can compute this run: %s", reasons(list, nil))
	}
	best.choice.Why = fmt.Sprintf("a training step takes %s there; %s", brief(best.seconds), reasons(list, best))
	say("info", "computing on %s: %s", best.name, best.choice.Why)
	cfg.Compute = &best.choice
	return best.b, nil
}

// time opens the candidate and times it. The processor, which is last, gets one image first: a batch of them takes it at least a
// fourth as much each, which may be more than what there is already, and then it is not waited for.
func (c *candidate) time(ctx context.Context, cfg *train.Config, best *candidate) {
	fail := func(err error) bool {
		var precision *model.PrecisionError
		switch {
		case errors.As(err, &precision):
			c.out = fmt.Sprintf("has no %s", precision.Want)
		case err != nil:
			c.out, _, _ = strings.Cut(err.Error(), "\n")
		}
		return err != nil
	}
	b, err := c.open()
	if fail(err) {
		return
	}
	c.b = b
	if r, ok := b.(backend.Rounder); c.matrices && (!ok || r.Rounding("conv2d", backend.FP16) == 0) {
		c.out = "they failed their test" // and the device would do without them, as the next candidate does
		return
	}
	if c.choice.Backend == "cpu" && best != nil && cfg.Batch > 4 {
		one, err := train.Trial(ctx, b, cfg, 1, 0)
		if fail(err) {
			return
		}
		if least := one * float64(cfg.Batch) / 4; least > best.seconds {
			c.out = fmt.Sprintf("one image alone takes %s, so a step takes more than %s", brief(one), brief(best.seconds))
			return
		}
	}
	c.seconds, err = train.Trial(ctx, b, cfg, cfg.Batch, trialPatience)
	fail(err)
}

// close gives back what the candidate holds.
func (c *candidate) close() error {
	if c == nil || c.b == nil {
		return nil
	}
	b := c.b
	c.b = nil
	return b.Close()
}

// reasons says of the candidates but one how they did.
func reasons(list []*candidate, but *candidate) string {
	var parts []string
	for _, c := range list {
		switch {
		case c == but:
		case c.out != "":
			parts = append(parts, c.name+": "+c.out)
		default:
			parts = append(parts, fmt.Sprintf("on %s %s", c.name, brief(c.seconds)))
		}
	}
	return strings.Join(parts, "; ")
}

// brief is a time of milliseconds or seconds.
func brief(seconds float64) string {
	switch {
	case seconds < 1:
		return fmt.Sprintf("%.3g ms", seconds*1e3)
	case seconds >= 100:
		return fmt.Sprintf("%.0f s", seconds)
	}
	return fmt.Sprintf("%.3g s", seconds)
}

// chosen is the choice of a run that needed no trial.
func chosen(i backend.Info, note *run.Log) *train.Choice {
	c := &train.Choice{Backend: i.Backend, Why: "asked for"}
	if i.Backend == "vulkan" {
		c.Device = i.Device
	}
	if note != nil {
		c.Why = note.Text
	}
	return c
}

// obey opens what a run was begun on. Where that is not there the CPU goes on, and note says so.
func (o compute) obey(cfg *train.Config) (b backend.Backend, note *run.Log, err error) {
	if c := cfg.Compute; c.Backend == "vulkan" {
		if b, err = vulkan.Open(vulkan.Options{Device: c.Device, NoMatrices: c.NoMatrices}); err == nil {
			return b, nil, nil
		}
		note = &run.Log{Level: "warn", Text: fmt.Sprintf("computing on the CPU: this run was begun on %s, which does not open here: %v", c.Device, err)}
	}
	o.backend = "cpu"
	b, _, err = o.open(cfg.Exact)
	return b, note, err
}
