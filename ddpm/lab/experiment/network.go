package experiment

import (
	"context"
	"fmt"
	"image"
	"path/filepath"
	"sync"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// heldOut is how many images training does not see, where there are enough.
const heldOut = 128

// holdOut is how many of n that is: a fifth of few.
func holdOut(n int) int { return min(heldOut, max(1, n/5)) }

// evalBatch is how many images the network is asked about at a time: those that are drawn, for the network computes all of them always.
const evalBatch = drawn

// masks is how many masks training draws from.
const masks = 4096

// trained is a network with the step it was trained to.
type trained struct {
	net  *lab.Network
	step int64
}

// task is what the experiment's network learns.
func (j *job) task() *lab.Task {
	p := j.p
	switch {
	case j.e == denoise || j.e == forward:
		return &lab.Task{Head: lab.Noise, HoldOut: heldOut, Ablate: p.Ablate}
	case j.e == oneshot:
		return &lab.Task{Head: p.Head, Components: components(p.Head), Masks: 1, HoldOut: 0}
	}
	return &lab.Task{Head: p.Head, Components: components(p.Head), Masks: masks, HoldOut: heldOut}
}

func components(h lab.Head) int {
	if h == lab.Mixture {
		return 5
	}
	return 0
}

// dir is the run folder of a task: experiments that need the same network share it.
func (j *job) dir(t *lab.Task) string {
	if j.p.Run != "" && t.Head == j.task().Head {
		return j.p.Run
	}
	kind := "road-" + string(t.Head)
	switch {
	case t.Masks == 1:
		kind = "oneshot-" + string(t.Head)
	case t.Head == lab.Noise && t.Ablate != "":
		kind = "noise-without-" + t.Ablate
	case t.Head == lab.Noise:
		kind = "noise"
	}
	name := fmt.Sprintf("lab-%s-%d", kind, j.p.Size)
	if t.Head == lab.Noise {
		name += fmt.Sprintf("-%s-%d", j.p.Schedule, j.p.T)
	}
	return filepath.Join(j.Runs, name)
}

// config is the configuration of a new run.
func (j *job) config(t *lab.Task, channels int) (*train.Config, error) {
	c, err := train.PresetConfig("tiny")
	if err != nil {
		return nil, err
	}
	p := j.p
	c.Preset, c.Data, c.Lab = "lab "+string(t.Head), p.Data, t
	in, out := t.Channels(channels)
	width := []int{32, 64}
	if t.Masks == 1 {
		width = []int{16, 32} // one picture is learnt: little is enough
	}
	if j.width != nil {
		width = j.width
	}
	c.UNet.SampleSize, c.UNet.InChannels, c.UNet.OutChannels = p.Size, in, out
	c.UNet.BlockOutChannels = width
	head := 16
	c.UNet.AttentionHeadDim = &head
	if t.Ablate == lab.NoAttention {
		c.UNet.AddAttention = false
		for i := range c.UNet.DownBlockTypes {
			c.UNet.DownBlockTypes[i], c.UNet.UpBlockTypes[i] = "DownBlock2D", "UpBlock2D"
		}
	}
	c.UNet.NoSkips = t.Ablate == lab.NoSkips
	c.Schedule = ddpm.ScheduleConfig{Kind: p.Schedule, T: p.T}
	if t.Masked() {
		c.Schedule = ddpm.ScheduleConfig{Kind: ddpm.Cosine, T: 1000} // only t's range counts
	} else {
		// At the noisy end x_t is nearly the noise, and what a small error in it leaves of x_0 is divided by sqrt(alphabar): a small
		// network that is trained on the noise for minutes draws colours that no image has. v has x_0 in it there.
		c.Prediction = ddpm.VPrediction
	}
	c.Optimizer.LR, c.Optimizer.Warmup, c.Optimizer.Course, c.Optimizer.Floor = 2e-3, 50, "cosine", 0.02
	c.EMA = train.EMA{Decay: 0.995, Power: 0.75}
	c.Batch, c.Steps, c.Seed = p.Batch, p.Steps, p.Seed
	c.Preview = train.Preview{Seconds: 4, Images: 8, Sampler: "ddim", Steps: min(20, p.T)}
	c.CheckpointSeconds = 60
	return &c, c.Validate()
}

// set loads the images once.
func (j *job) set(ctx context.Context) (*data.Set, error) {
	key := fmt.Sprint(j.p.Size, j.p.Data)
	if s := j.sets[key]; s != nil {
		return s, nil
	}
	j.emit(Frame{Phase: "reading images"})
	s, err := data.Load(ctx, j.p.Data, data.Options{Size: j.p.Size, Channels: 3})
	if err == nil {
		j.sets[key] = s
	}
	return s, err
}

// held are the last n images, or as many as training does not see: [n,D].
func held(s *data.Set, n int) []byte {
	n = min(n, holdOut(s.N))
	return s.Pixels[(s.N-n)*s.Size*s.Size*s.Channels:]
}

// network is the trained network of a task and the images. It is trained as far as Steps says, or on from where it is.
func (j *job) network(ctx context.Context, t *lab.Task) (*trained, *data.Set, error) {
	set, err := j.set(ctx)
	if err != nil {
		return nil, nil, err
	}
	if t.HoldOut > 0 {
		t.HoldOut = holdOut(set.N)
	}
	dir := j.dir(t)
	if n := j.nets[dir]; n != nil && n.step >= j.p.Steps {
		return n, set, nil
	}
	if err := j.train(ctx, dir, t, set); err != nil {
		return nil, nil, err
	}
	m, err := model.LoadLab(dir)
	if err != nil {
		return nil, nil, err
	}
	fw, mem, err := m.Forward(j.Backend, evalBatch)
	if err != nil {
		return nil, nil, err
	}
	if t.Ablate == lab.NoTime {
		if err := model.Write(mem, model.TableBuffer, 0, make([]float32, len(model.Table(m.UNet, m.Schedule.T())))); err != nil {
			return nil, nil, err
		}
	}
	n := &trained{step: m.Step, net: &lab.Network{
		Task: t, Side: set.Size, C: set.Channels, Batch: fw.Batch, Schedule: m.Schedule, Prediction: m.Prediction,
		Forward: func(ctx context.Context, x []float32, tt []int, out []float32) error {
			return fw.Run(ctx, x, tt, nil, out)
		},
	}}
	j.nets[dir] = n
	return n, set, nil
}

// train trains the run in dir to the steps that are asked for, if it is not there yet.
func (j *job) train(ctx context.Context, dir string, t *lab.Task, set *data.Set) error {
	c, err := j.config(t, set.Channels)
	if err != nil {
		return err
	}
	var folder *run.Folder
	if run.IsRun(dir) {
		if folder, err = run.Open(dir); err != nil {
			return err
		}
		old := new(train.Config)
		if err := folder.ReadConfig(old); err != nil {
			return err
		}
		if old.Lab == nil || *old.Lab != *t || old.UNet.SampleSize != j.p.Size || old.Data != j.p.Data || old.Schedule.T != c.Schedule.T || old.Schedule.Kind != c.Schedule.Kind {
			return fmt.Errorf("%s holds another run (its config.json differs in head, size, images, T or schedule): choose another --run, or remove it", dir)
		}
		if info := folder.Info(); info.State != run.Running && info.Step >= j.p.Steps {
			return nil
		}
		old.Steps = c.Steps // more than it has
		c = old
	} else if folder, err = run.Create(dir, c); err != nil {
		return err
	}
	curve := Line{Name: "loss"}
	o := train.Options{
		Set:     set,
		OnEvent: func(e run.Event) { j.trainingEvent(e, c, t, &curve) },
		OnFrame: func(_ string, _ int64, m image.Image, rows, cols int, caption string) {
			j.emit(Frame{Pictures: []Picture{{Name: "training", Caption: caption, Image: m, Rows: rows, Cols: cols}}})
		},
	}
	if _, running := folder.Locked(); running && j.Train != nil {
		err = j.Train(ctx, folder, o) // as it is, to the steps that it has
	} else {
		err = j.trainHere(ctx, folder, c, o)
	}
	if err != nil {
		return err
	}
	done := folder.Info().Step
	if ctx.Err() != nil {
		return fmt.Errorf("training stopped at step %d of %d, with a checkpoint in %s: %w", done, c.Steps, dir, context.Cause(ctx))
	}
	if done < c.Steps {
		return fmt.Errorf("training in %s ended at step %d of %d: ddpm-tui resume %s goes on", dir, done, c.Steps, dir)
	}
	return nil
}

// trainHere trains a run that nobody trains, in this process unless Train is there.
func (j *job) trainHere(ctx context.Context, folder *run.Folder, c *train.Config, o train.Options) error {
	lock, err := folder.Lock()
	if err != nil {
		return err
	}
	unlock := sync.OnceFunc(func() { _ = lock.Unlock() }) // the process's end gives it back too
	defer unlock()
	if err := folder.WriteConfig(c); err != nil {
		return err
	}
	if j.Train != nil {
		unlock()
		return j.Train(ctx, folder, o)
	}
	o.Stale = lock.Stale
	trainer, err := train.New(ctx, j.Backend, c, folder, o)
	if err != nil {
		return err
	}
	return trainer.Run(ctx)
}

// trainingEvent shows the loss now and then.
func (j *job) trainingEvent(e run.Event, c *train.Config, t *lab.Task, curve *Line) {
	m := e.Metrics
	if m == nil || e.Step%10 != 0 && e.Step != c.Steps {
		return
	}
	curve.X, curve.Y = append(curve.X, float64(e.Step)), append(curve.Y, float64(m.LossEMA))
	f := Frame{
		Phase: Training, Done: e.Step, Total: c.Steps,
		Figures: []Figure{{"step", fmt.Sprintf("%d of %d", e.Step, c.Steps), ""}, {lossName(t), fmt.Sprintf("%.4f", m.LossEMA), ""}, {"left", fmt.Sprintf("%.0f s", m.ETAS), ""}},
		Charts:  []Chart{{Name: lossName(t), X: "step", Y: lossName(t), LogY: true, Lines: []Line{{Name: "loss", X: curve.X, Y: curve.Y}}}},
	}
	if len(m.Buckets) > 0 && t.Masks != 1 {
		f.Charts = append(f.Charts, byTime(m.Buckets, t))
	}
	j.emit(f)
}

// byTime is the loss by timestep, or by how much is hidden.
func byTime(buckets []run.Float, t *lab.Task) Chart {
	ch := Chart{Name: "loss by t", X: "t / T", Y: lossName(t), LogY: !t.Spread(), Lines: []Line{{Name: "loss"}}}
	if t.Masked() {
		ch.Name, ch.X = lossName(t)+" by how much is hidden", "hidden part"
	}
	for i, b := range buckets {
		if v := float64(b); v == v {
			ch.Lines[0].X = append(ch.Lines[0].X, (float64(i)+0.5)/float64(len(buckets)))
			ch.Lines[0].Y = append(ch.Lines[0].Y, v)
		}
	}
	return ch
}

func lossName(t *lab.Task) string {
	switch t.Head {
	case lab.MSE:
		return "squared error"
	case lab.Noise:
		return "squared error of v"
	case lab.L1:
		return "absolute error"
	}
	return "bits a hidden value"
}
