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
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// A Trainer runs the step, and between steps does what is due: checkpoints, previews, commands, events.
type Trainer struct {
	Config  *Config
	Step    *Step
	Set     *data.Set
	folder  *run.Folder
	backend backend.Info
	o       Options
	journal

	training, held metrics.Images // what is trained on, and what never is
	team           team
	commands       chan run.Command
	paused         bool
	previewAt      time.Time // of the next one
	unseen         bool      // the last preview could not be written, which has been said
	meters
	clocks
	saving
	editing
	stopping
	skips
}

// Options of a trainer.
type Options struct {
	OnEvent func(run.Event)                                                              // every event, as it is logged
	OnLost  func(run.Event)                                                              // an event that could not be logged; it is what a screen that reads the log will miss
	OnFrame func(name string, step int64, m image.Image, rows, cols int, caption string) // live pictures; must not block

	Set             *data.Set                      // the images, if they are loaded already
	Progress        func(done, total, skipped int) // of loading them
	Stale           int                            // the process that trained the run before and was killed, 0 for none
	Notes           []run.Log                      // what there is to say at the start
	Edit            run.Edit                       // to make before the first step
	AllowDataChange bool                           // go on although the images are not those of the start
	Trace           string                         // where the trace of a step of several ranks goes, "" for none
	Comm            dist.Comm                      // the ranks that share each batch, of which this is the first; nil for one process alone

	// Choose opens what computes, if New is given nothing that does, and says why that. The caller closes it.
	Choose func(ctx context.Context, say func(level, format string, a ...any)) (backend.Backend, error)
}

// New prepares a run in folder, whose lock the caller holds: loads the images, plans the memory, loads the latest checkpoint if
// there is one. It emits events from the start; also that it failed, or that ctx asked for the end before there was a first step.
func New(ctx context.Context, b backend.Backend, c *Config, folder *run.Folder, o Options) (*Trainer, error) {
	t := &Trainer{Config: c, folder: folder, o: o, commands: make(chan run.Command, 16), saving: saving{saved: -1}, team: team{Comm: dist.Alone}}
	if o.Comm != nil {
		t.team.Comm = o.Comm
	}
	t.journal.o, t.journal.started = &t.o, time.Now()
	var err error
	var repaired string
	if t.log, repaired, err = folder.OpenLog(); err != nil {
		return nil, err
	}
	t.setState("starting")
	if repaired != "" {
		t.logf("warn", "%s", repaired)
	}
	notes := func(warnings bool) { // what only informs waits until it is known that there is something to begin
		for _, n := range o.Notes {
			if (n.Level != "info") == warnings {
				t.logf(n.Level, "%s", n.Text)
			}
		}
	}
	notes(true)
	if o.Stale != 0 {
		t.logFault(&run.FaultStale, "info", "process %d, which trained this run before, ended without a word", o.Stale)
	}
	if err := t.prepare(ctx, b); err != nil {
		reason := run.Failed
		if ctx.Err() != nil { // a stop before the first step is a stop all the same
			reason, err = run.Stopped, ctx.Err()
		}
		t.end(reason, err, nan)
		if t.Step != nil {
			err = errors.Join(err, t.Step.Close())
		}
		return nil, errors.Join(err, t.log.Close())
	}
	notes(false)
	return t, nil
}

func (t *Trainer) prepare(ctx context.Context, b backend.Backend) error {
	var err error
	if b == nil {
		if b, err = t.o.Choose(ctx, t.logf); err != nil {
			return err
		}
	}
	t.backend = b.Info()
	if err = model.CheckPrecision(t.backend, t.Config.Precision); err == nil {
		err = t.loadImages(ctx)
	}
	c, set := t.Config, t.Set
	var images metrics.Images
	if err == nil {
		images, t.held, err = c.Split(set)
	}
	n := 0
	if err == nil {
		n, err = c.images(images.N)
		t.training = images
	}
	if err := dist.Agree(t.team, err); err != nil {
		return err
	}
	if err := t.team.sameImages(set); err != nil {
		return err
	}
	if n, ok := b.(backend.Noter); ok && c.precision() != "" {
		for _, text := range n.Notes() {
			t.logf("info", "%s", text)
		}
	}
	step, err := NewStep(b, c, images.Pixels[:n*images.Per()], n, t.team.Comm)
	if err == nil {
		t.Step, t.done = step, &step.Done
		err = step.writeLabels(c.labels(set))
	}
	ranks, err := t.team.muster(t.backend, step, err)
	if err != nil {
		return err
	}
	if err := dist.Agree(t.team, t.goOn()); err != nil {
		return err
	}
	if err := t.team.spread(step); err != nil {
		return err
	}
	t.emit(run.Event{Kind: run.KindStart, Start: &run.Start{
		Name: t.folder.Name(), Preset: c.Preset, Data: set.Name, Images: n, Size: set.Size, Channels: set.Channels, Batch: c.Batch, Steps: c.Steps,
		T: c.Schedule.T, Schedule: c.Schedule.Kind, Parameters: step.Params.Count(), MACs: nn.MACs(c.UNet), Seed: c.Seed,
		Backend: t.backend.Backend, Device: t.device(), PlanBytes: step.Bytes, Ranks: ranks,
		Precision: c.precision(), Memory: step.memoryParts(), LR: run.Float(c.Optimizer.LR), EMADecay: run.Float(c.EMA.Decay), PreviewS: run.Float(c.Preview.Seconds),
	}})
	if step.Done >= c.Steps {
		t.logf("info", "all %d steps are done: --steps gives the run more", c.Steps)
	}
	for _, s := range set.Skipped {
		t.logf("warn", "skipped %s", s)
	}
	return nil
}

// goOn loads the latest checkpoint, if there is one, and makes the edits up to it.
func (t *Trainer) goOn() error {
	if err := t.resume(); err != nil {
		return err
	}
	t.base = *t.Config
	if err := t.restoreEdits(); err != nil {
		return err
	}
	if err := t.restoreStopping(); err != nil {
		return err
	}
	if t.o.Edit.Empty() {
		return nil
	}
	return t.edit(t.o.Edit)
}

func (t *Trainer) device() string { return device(t.backend) }

func device(i backend.Info) string {
	if i.ISA != "" && i.Threads == 0 {
		return fmt.Sprintf("%s (%s)", i.Device, i.ISA)
	}
	if i.ISA != "" {
		return fmt.Sprintf("%s (%s, %d threads)", i.Device, i.ISA, i.Threads)
	}
	return i.Device
}

// Do asks for something between two steps. It never blocks: a command too many is refused, and one that makes no sense.
func (t *Trainer) Do(c run.Command) error {
	switch {
	case c.Edit != nil:
		if err := t.base.CheckEdit(*c.Edit); err != nil {
			return err
		}
	case c != run.Pause && c != run.SampleNow && c != run.SampleBoth && c != run.SaveCheckpoint && c != run.Stop:
		return fmt.Errorf("the trainer knows no command %.40q", c.Name)
	}
	select {
	case t.commands <- c:
		return nil
	default:
		return errors.New("the trainer is busy with what it was asked for before: try again in a moment")
	}
}

// sampler is what previews are made with.
func (t *Trainer) sampler() ddpm.SamplerOptions {
	return ddpm.Defaults(t.Config.Preview.Sampler, t.Config.Schedule, t.Config.Prediction, t.Config.Preview.Steps)
}
