package train

import (
	"context"
	"fmt"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// images is how many of n images the run trains on.
func (c *Config) images(n int) (int, error) {
	if c.Lab == nil {
		return n, nil
	}
	train, err := c.Lab.Train(n)
	if err != nil {
		return 0, fmt.Errorf("config: lab.hold_out: %w", err)
	}
	return train, nil
}

// writeLab writes what a step of the lab needs beside what every step does, and takes the time out of its embedding, which it does in
// place, where the task says so.
func (s *Step) writeLab(embedding []float32) error {
	c := s.Config
	if c.Lab.Ablate == lab.NoTime {
		clear(embedding)
	}
	bank, table, coords := c.Lab.Constants(s.n, c.UNet.SampleSize, c.Channels(), c.Seed, embedding, c.UNet.BlockOutChannels[0])
	if err := model.Write(s.Memory, lab.BufCoords, 0, coords); err != nil || bank == nil {
		return err
	}
	if err := model.Write(s.Memory, lab.BufMasks, 0, bank.Masks); err != nil {
		return err
	}
	return model.Write(s.Memory, lab.BufMaskTable, 0, table)
}

// labPreview shows what a network of the lab makes of some images.
func (t *Trainer) labPreview(ctx context.Context) error {
	before := t.state
	t.setState("sampling")
	start := time.Now()
	c, set := t.Config, t.Set
	n := min(t.Config.Preview.Images, set.N)
	net := &lab.Network{Task: c.Lab, Side: set.Size, C: set.Channels, Batch: t.Step.Preview.Batch, Schedule: t.Step.Schedule, Prediction: t.Config.Prediction, Forward: func(ctx context.Context, x []float32, tt []int, out []float32) error {
		return t.Step.Preview.Run(ctx, x, tt, nil, out)
	}}
	x, rows, cols, caption, err := net.Preview(ctx, set.Pixels[(set.N-n)*set.Size*set.Size*set.Channels:], n, c.Preview.Steps, c.Seed)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	grid := model.Grid(x, rows*cols, set.Size, set.Channels, cols)
	t.frame("samples", grid, rows, cols, fmt.Sprintf("%s, step %d", caption, t.Step.Done))
	e := &run.Preview{
		Samples: fmt.Sprintf("previews/step-%08d.png", t.Step.Done), Rows: rows, Cols: cols, Sampler: "lab", Steps: c.Preview.Steps, Seed: c.Seed,
		Seconds: run.Float(time.Since(start).Seconds()),
	}
	t.sayPreview(e, WritePNG(t.folder.Path(e.Samples), grid))
	t.setState(before)
	return nil
}

// sayPreview says that a preview was written, or, once, that it could not be.
func (t *Trainer) sayPreview(e *run.Preview, err error) {
	if err == nil {
		t.unseen = false
		t.emit(run.Event{Kind: run.KindPreview, Preview: e})
		return
	}
	if !t.unseen {
		t.logFault(&run.FaultDisk, "error", "make room, or make the folder writable: the preview of step %d could not be written: %v", t.Step.Done, err)
	}
	t.unseen = true
}
