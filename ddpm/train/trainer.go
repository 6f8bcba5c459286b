package train

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// Buckets is how many ranges of timesteps the loss is followed in.
const Buckets = 20

// bucketsEvery is the number of steps between two events that carry the loss by timestep.
const bucketsEvery = 10

// A Trainer runs the step, and between steps does what is due: checkpoints, previews, commands, events.
type Trainer struct {
	Config  *Config
	Step    *Step
	Set     *data.Set
	folder  *run.Folder
	log     *run.EventLog
	backend backend.Info
	o       Options

	commands chan run.Command
	paused   bool
	state    string
	rate     meter
	lossEMA  float64
	seen     int // steps in lossEMA
	buckets  [Buckets]float64
	counts   [Buckets]int
	started  time.Time
	saved    int64 // step of the last checkpoint, -1 before the first
}

// Options of a trainer.
type Options struct {
	OnEvent func(run.Event)                                                              // every event, as it is logged
	OnFrame func(name string, step int64, m image.Image, rows, cols int, caption string) // live pictures; must not block
	Keep    int                                                                          // checkpoints that stay, 0 for three
}

// New prepares a run in folder: plans the memory, loads the latest checkpoint if there is one. It emits events from the start.
func New(b backend.Backend, c *Config, set *data.Set, folder *run.Folder, o Options) (*Trainer, error) {
	t := &Trainer{Config: c, Set: set, folder: folder, backend: b.Info(), o: o, commands: make(chan run.Command, 16), saved: -1, started: time.Now()}
	if t.o.Keep == 0 {
		t.o.Keep = 3
	}
	if set.Size != c.UNet.SampleSize || set.Channels != c.UNet.InChannels {
		return nil, fmt.Errorf("train: the images are %dx%d with %d channels, the network wants %dx%d with %d", set.Size, set.Size, set.Channels, c.UNet.SampleSize, c.UNet.SampleSize, c.UNet.InChannels)
	}
	if set.N < 1 {
		return nil, errors.New("train: the data set is empty")
	}
	var err error
	var repaired string
	if t.log, repaired, err = folder.OpenLog(); err != nil {
		return nil, err
	}
	t.setState("starting")
	if repaired != "" {
		t.logf("warn", "%s", repaired)
	}
	if t.Step, err = NewStep(b, c, set.Pixels, set.N); err != nil {
		return nil, errors.Join(err, t.log.Close())
	}
	if err := t.resume(); err != nil {
		return nil, errors.Join(err, t.log.Close())
	}
	t.emit(run.Event{Kind: "start", Start: &run.Start{
		Name: folder.Name(), Preset: c.Preset, Data: set.Name, Images: set.N, Size: set.Size, Channels: set.Channels, Batch: c.Batch, Steps: c.Steps,
		T: c.Schedule.T, Schedule: c.Schedule.Kind, Parameters: t.Step.Params.Count(), MACs: nn.MACs(c.UNet), Seed: c.Seed,
		Backend: t.backend.Backend, Device: t.device(), PlanBytes: t.Step.Bytes,
	}})
	for _, s := range set.Skipped {
		t.logf("warn", "skipped %s", s)
	}
	return t, nil
}

func (t *Trainer) device() string {
	i := t.backend
	if i.ISA != "" {
		return fmt.Sprintf("%s (%s, %d threads)", i.Device, i.ISA, i.Threads)
	}
	return i.Device
}

// Do asks for something between two steps. It never blocks: a command too many is dropped.
func (t *Trainer) Do(c run.Command) {
	select {
	case t.commands <- c:
	default:
	}
}

// emit logs an event and hands it on. A full disk must not stop the training: it is said, and tried again with the next event.
func (t *Trainer) emit(e run.Event) {
	e.V, e.Time = run.EventVersion, time.Now()
	if t.Step != nil {
		e.Step = t.Step.Done
	}
	if err := t.log.Append(e); err != nil && t.o.OnEvent != nil && e.Kind != "step" {
		t.o.OnEvent(run.Event{V: run.EventVersion, Kind: "log", Time: e.Time, Step: e.Step, Log: &run.Log{Level: "error", Text: "the event log cannot be written: " + err.Error()}})
	}
	if t.o.OnEvent != nil {
		t.o.OnEvent(e)
	}
}

func (t *Trainer) logf(level, format string, a ...any) {
	t.emit(run.Event{Kind: "log", Log: &run.Log{Level: level, Text: fmt.Sprintf(format, a...)}})
}

func (t *Trainer) setState(s string) {
	if s != t.state {
		t.state = s
		t.emit(run.Event{Kind: "state", State: &run.State{Name: s}})
	}
}

// Run trains until the configured number of steps, a stop command or ctx, then saves a checkpoint. It returns nil for all
// three; the end event says which it was.
func (t *Trainer) Run(ctx context.Context) error {
	err := t.loop(ctx)
	reason := "done"
	switch {
	case err != nil:
		reason = "failed"
	case t.Step.Done < t.Config.Steps:
		reason = "stopped"
	}
	if err == nil && t.saved != t.Step.Done {
		t.setState("checkpointing")
		err = t.checkpoint()
	}
	end := &run.End{Reason: reason, Loss: run.Float(t.lossEMA), Seconds: run.Float(time.Since(t.started).Seconds())}
	if err != nil {
		end.Error = err.Error()
		t.setState("failed")
	} else {
		t.setState(reason)
	}
	t.emit(run.Event{Kind: "end", End: end})
	return errors.Join(err, t.log.Close(), t.Step.Close())
}

// errStop ends the loop as asked.
var errStop = errors.New("stop")

func (t *Trainer) loop(ctx context.Context) error {
	every := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	nextSave := time.Now().Add(every(t.Config.CheckpointSeconds))
	nextPreview := time.Now().Add(min(every(t.Config.Preview.Seconds)/4, 15*time.Second)) // the first one soon
	for t.Step.Done < t.Config.Steps {
		if err := t.obey(ctx); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		t.setState("running")
		start := time.Now()
		r, err := t.Step.Run(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		if err := t.report(r, time.Since(start)); err != nil {
			return err
		}
		if t.Config.CheckpointSeconds > 0 && time.Now().After(nextSave) {
			t.saveAndSay()
			nextSave = time.Now().Add(every(t.Config.CheckpointSeconds))
		}
		if t.Config.Preview.Seconds > 0 && time.Now().After(nextPreview) {
			if err := t.preview(ctx); err != nil {
				return err
			}
			nextPreview = time.Now().Add(every(t.Config.Preview.Seconds))
		}
	}
	return t.preview(ctx)
}

// obey does what was asked for, and waits while paused.
func (t *Trainer) obey(ctx context.Context) error {
	for {
		var c run.Command
		if t.paused {
			t.setState("paused")
			select {
			case c = <-t.commands:
			case <-ctx.Done():
				return nil
			}
		} else {
			select {
			case c = <-t.commands:
			default:
				return nil
			}
		}
		switch c {
		case run.Pause:
			t.paused = !t.paused
			t.rate.reset()
		case run.SampleNow:
			if err := t.preview(ctx); err != nil {
				return err
			}
		case run.SaveCheckpoint:
			t.saveAndSay()
		case run.Stop:
			t.setState("stopping")
			return errStop
		default:
			t.logf("warn", "unknown command %q", c)
		}
	}
}

// report turns a step's result into an event. Numbers that are not finite end the run; the weights are as before the step.
func (t *Trainer) report(r *Result, d time.Duration) error {
	if r.Bad() {
		t.Step.Done-- // the step changed nothing
		return fmt.Errorf("train: step %d: loss %v, gradient norm %v: not a finite number; the weights are those of step %d: try a lower learning rate", t.Step.Done+1, r.Loss, r.GradNorm, t.Step.Done)
	}
	t.seen++
	t.lossEMA += max(0.02, 1/float64(t.seen)) * (r.Loss - t.lossEMA) // a plain mean at first
	for i, tt := range r.T {
		k := tt * Buckets / t.Config.Schedule.T
		if t.counts[k]++; t.counts[k] == 1 {
			t.buckets[k] = float64(r.SampleLoss[i])
		}
		t.buckets[k] += max(0.02, 1/float64(t.counts[k])) * (float64(r.SampleLoss[i]) - t.buckets[k])
	}
	t.rate.add(d)
	perStep := t.rate.seconds()
	m := &run.Metrics{
		Loss: run.Float(r.Loss), LossEMA: run.Float(t.lossEMA), LR: run.Float(r.LR), GradNorm: run.Float(r.GradNorm), Clipped: r.Clipped,
		ImagesPerS: run.Float(float64(t.Config.Batch) / perStep), StepS: run.Float(perStep),
		ETAS: run.Float(perStep * float64(t.Config.Steps-t.Step.Done)), EMADecay: run.Float(r.EMADecay),
	}
	if t.Step.Done%bucketsEvery == 0 {
		m.Buckets = make([]run.Float, Buckets)
		for k, v := range t.buckets {
			m.Buckets[k] = run.Float(v)
			if t.counts[k] == 0 {
				m.Buckets[k] = run.Float(nan)
			}
		}
	}
	t.emit(run.Event{Kind: "step", Metrics: m})
	return nil
}

// sampler is what previews are made with.
func (t *Trainer) sampler() ddpm.SamplerOptions {
	return ddpm.SamplerOptions{Steps: t.Config.Preview.Steps, Prediction: t.Config.Prediction, Clip: true, Spacing: ddpm.Trailing}
}
