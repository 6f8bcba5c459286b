package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// stripFrames is how many pictures of a trajectory are kept.
const stripFrames = 8

// liveEvery is the least time between two live pictures of a preview.
const liveEvery = 250 * time.Millisecond

// preview samples a grid from the EMA weights, always from the same noise, so that one sees the same pictures grow. It shows
// x_t while it goes, and keeps the grid and one trajectory as files. With raw it makes the same grid, of the same noise, with the
// weights that are not averaged.
func (t *Trainer) preview(ctx context.Context, raw bool) error {
	defer t.pauseClock()
	if t.Config.Lab != nil {
		return t.labPreview(ctx)
	}
	before := t.state
	t.setState("sampling")
	start := time.Now()
	p, c := t.Config.Preview, t.Config.UNet
	cols := model.Columns(p.Images)
	rows := (p.Images + cols - 1) / cols
	per := c.SampleSize * c.SampleSize * c.InChannels
	var strip []float32
	pick := model.Strip(p.Steps, stripFrames)
	live := start
	x, err := t.Step.Preview.Sample(ctx, t.Step.Schedule, model.Request{
		Sampler: p.Sampler, Options: t.sampler(), N: p.Images, Seed: t.Config.Seed,
		OnStep: func(done, i, tt int, x, x0 []float32) {
			if done == 0 && len(pick) > 0 && i == pick[0] {
				pick = pick[1:]
				strip = append(strip, x[:per]...)
			}
			if done == 0 && t.o.OnFrame != nil && time.Since(live) > liveEvery {
				live = time.Now()
				t.frame("samples", model.Grid(x, len(x)/per, c.SampleSize, c.InChannels, cols), (len(x)/per+cols-1)/cols, cols, fmt.Sprintf("x_t at t = %d", ddpm.DisplayStep(tt)))
			}
		},
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	near, of, err := t.nearest(ctx, x, p.Images, cols)
	if err != nil { // it was called off
		return nil
	}
	across, caption := cols, fmt.Sprintf("EMA samples, step %d", t.Step.Done)
	if p.Raw {
		raw, err := t.Step.Raw.Sample(ctx, t.Step.Schedule, model.Request{Sampler: p.Sampler, Options: t.sampler(), N: p.Images, Seed: t.Config.Seed})
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		x, across = beside(x, raw, per), 2*cols // the tiles of the grid are pairs
		caption = fmt.Sprintf("EMA | raw samples, step %d", t.Step.Done)
	}
	grid := model.Grid(x, len(x)/per, c.SampleSize, c.InChannels, across)
	line := model.Grid(strip, len(strip)/per, c.SampleSize, c.InChannels, len(strip)/per)
	t.frame("samples", grid, rows, cols, caption)
	t.frame("trajectory", line, 1, len(strip)/per, "x_t from noise to image")
	name := fmt.Sprintf("step-%08d", t.Step.Done)
	e := &run.Preview{
		Samples: "previews/" + name + ".png", Trajectory: "previews/" + name + "-xt.png", Rows: rows, Cols: cols,
		Sampler: p.Sampler, Steps: p.Steps, Seed: t.Config.Seed, Seconds: run.Float(time.Since(start).Seconds()),
	}
	err = errors.Join(WritePNG(t.folder.Path(e.Samples), grid), WritePNG(t.folder.Path(e.Trajectory), line))
	if near != nil && err == nil {
		e.Nearest, e.NearestOf = "previews/"+name+"-nearest.png", of
		err = WritePNG(t.folder.Path(e.Nearest), near)
	}
	if raw && !p.Raw && err == nil {
		m, sampleErr := t.rawGrid(ctx, cols)
		if sampleErr != nil {
			if ctx.Err() != nil {
				return nil
			}
			return sampleErr
		}
		e.Raw = "previews/" + name + "-raw.png"
		e.Seconds = run.Float(time.Since(start).Seconds())
		err = WritePNG(t.folder.Path(e.Raw), m)
	}
	t.sayPreview(e, err)
	t.setState(before)
	return nil
}

// nearestWork is how many bytes a preview compares at most to find the nearest training images: half a second at the worst.
const nearestWork = 1 << 31

// nearest is the grid of the training images nearest to samples x: [n,S,S,C], mirrored where training mirrors and that is nearer, and how
// many images it looked at: where comparing all would take too long, evenly spread ones. It reads what training reads, and changes nothing.
func (t *Trainer) nearest(ctx context.Context, x []float32, n, cols int) (image.Image, int, error) {
	c := t.Config.UNet
	if t.training.N == 0 || c.OutChannels != c.InChannels {
		return nil, 0, nil
	}
	samples := metrics.FromFloats(x, n, c.SampleSize, c.InChannels)
	ways := 1
	if t.Config.Flip {
		ways = 2
	}
	among := metrics.Spread(t.training, max(1, nearestWork/(ways*n*samples.Per())))
	list, err := metrics.Nearest(ctx, samples, 0, n, among, t.Config.Flip, func(float64) {})
	if err != nil {
		return nil, 0, err
	}
	return metrics.Found(among, list).Grid(cols), among.N, nil
}

// beside puts images of per values in pairs: each of left with its counterpart at its right.
func beside(left, right []float32, per int) []float32 {
	out := make([]float32, 0, 2*len(left))
	for at := 0; at < len(left); at += per {
		out = append(append(out, left[at:at+per]...), right[at:at+per]...)
	}
	return out
}

// rawGrid is the preview's grid with the weights that are not averaged.
func (t *Trainer) rawGrid(ctx context.Context, cols int) (image.Image, error) {
	f, err := t.Step.rawForward()
	if err != nil {
		return nil, err
	}
	p, c := t.Config.Preview, t.Config.UNet
	x, err := f.Sample(ctx, t.Step.Schedule, model.Request{Sampler: p.Sampler, Options: t.sampler(), N: p.Images, Seed: t.Config.Seed})
	if err != nil {
		return nil, err
	}
	return model.Grid(x, p.Images, c.SampleSize, c.InChannels, cols), nil
}

// rawForward is the preview's forward pass with the weights themselves, compiled when it is first wanted: it needs no memory of its own.
func (s *Step) rawForward() (*model.Forward, error) {
	if s.Raw != nil {
		return s.Raw, nil
	}
	c := s.Config
	f, err := model.PlanForward(s.Memory, s.Params, c.UNet, c.Preview.Images, c.Schedule.T, bufParams, false)
	if err != nil {
		return nil, err
	}
	es, err := s.Memory.Compile(f.Program)
	if err != nil {
		return nil, err
	}
	f.Bind(es[0])
	f.Named = s.Preview.Named
	s.Raw = f
	return f, nil
}

func (t *Trainer) frame(name string, m image.Image, rows, cols int, caption string) {
	if t.o.OnFrame != nil {
		t.o.OnFrame(name, t.Step.Done, m, rows, cols, caption)
	}
}

// WritePNG writes a picture beside, and renames it into place.
func WritePNG(path string, m image.Image) error {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return run.WriteFile(path, b.Bytes(), 0o644)
}
