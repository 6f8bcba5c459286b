package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/tui"
)

// drawnName is the folder, in a run's, of samples that were saved from the screen.
const drawnName = "samples"

// desk is what the screen of a run can do beside following it. All of it works from the run's folder.
func desk(folder *run.Folder) *tui.Desk {
	return &tui.Desk{
		Open:     func(path string) (image.Image, error) { return readPicture(folder, path) },
		Runs:     func() []tui.RunInfo { return neighbours(folder) },
		Config:   func(dir string) ([]tui.Setting, error) { return settings(folder, dir) },
		Samplers: ddpm.SamplerNames(),
		Sample: func(ctx context.Context, r tui.SampleRequest) (<-chan tui.SampleFrame, error) {
			return drawSamples(ctx, folder, r)
		},
		Save: func(name string, pictures []image.Image) (string, error) { return saveDrawn(folder, name, pictures) },
	}
}

// runScreen are the options of a run's screen.
func runScreen(c *cobra.Command, folder *run.Folder) tui.Options {
	o := screen(c, folder.Name(), nextSteps(folder)...)
	o.Desk = desk(folder)
	return o
}

// neighbours are the other runs in the folder that the run is in.
func neighbours(folder *run.Folder) []tui.RunInfo {
	var list []tui.RunInfo
	self, _ := os.Stat(folder.Dir())
	for _, i := range run.List(filepath.Dir(filepath.Clean(folder.Dir()))) {
		if other, err := os.Stat(i.Dir); err == nil && !os.SameFile(self, other) {
			list = append(list, runInfo(i))
		}
	}
	return list
}

// runInfo is a listed run as the screens show it.
func runInfo(i run.Info) tui.RunInfo {
	r := tui.RunInfo{
		Name: i.Name, Dir: i.Dir, Preset: i.Preset, State: i.State, Step: i.Step, Steps: i.Steps, Loss: i.Losses, LossAt: i.LossSteps, LossEMA: i.LossEMA, Updated: i.Updated,
	}
	if p := i.Sample; p != nil {
		r.Sample, r.SampleRows, r.SampleCols = p.Samples, p.Rows, p.Cols
	}
	return r
}

// lastSamples reads the last samples of a listed run.
func lastSamples(r tui.RunInfo) (image.Image, error) {
	folder, err := run.Open(r.Dir)
	if err != nil {
		return nil, err
	}
	return readPicture(folder, r.Sample)
}

// settings are the lines of a run's config.json, nested names with dots; "" is the run itself.
func settings(folder *run.Folder, dir string) ([]tui.Setting, error) {
	if dir != "" {
		other, err := run.Open(dir)
		if err != nil {
			return nil, err
		}
		folder = other
	}
	var config map[string]any
	data, err := os.ReadFile(folder.Path("config.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", folder.Path("config.json"), err)
	}
	return flatten("", config), nil
}

// flatten lists the values of a JSON object by their names, sorted.
func flatten(prefix string, object map[string]any) []tui.Setting {
	var list []tui.Setting
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch v := object[name].(type) {
		case map[string]any:
			list = append(list, flatten(prefix+name+".", v)...)
		case float64:
			list = append(list, tui.Setting{Name: prefix + name, Value: strconv.FormatFloat(v, 'g', -1, 64)})
		default:
			text, _ := json.Marshal(v) // it came from JSON
			list = append(list, tui.Setting{Name: prefix + name, Value: string(text)})
		}
	}
	return list
}

// drawSamples draws samples from the run's latest checkpoint, in this process, which need not be the one that trains.
func drawSamples(ctx context.Context, folder *run.Folder, r tui.SampleRequest) (_ <-chan tui.SampleFrame, err error) {
	done := heavy()
	defer func() {
		if err != nil {
			done()
		}
	}()
	t, warnings, err := model.Load(folder.Dir(), r.Raw)
	if errors.Is(err, run.ErrNoCheckpoint) {
		return nil, fmt.Errorf("%w: c saves one while the run trains", run.ErrNoCheckpoint)
	}
	if err != nil {
		return nil, errors.Join(err, errors.Join(asErrors(warnings)...))
	}
	b, _, err := (&compute{backend: "auto"}).open(false)
	if err != nil {
		return nil, err
	}
	fw, mem, err := t.Forward(b, r.N)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	frames := make(chan tui.SampleFrame, 2)
	cols := model.Columns(r.N)
	rows := (r.N + cols - 1) / cols
	options := ddpm.SamplerOptions{Steps: min(r.Steps, t.Schedule.T()), Clip: true, Spacing: ddpm.Trailing, Prediction: t.Prediction}
	s, err := ddpm.NewSampler(r.Sampler, t.Schedule, options)
	if err != nil {
		return nil, errors.Join(err, mem.Close(), b.Close())
	}
	steps := len(s.Timesteps())
	go func() {
		defer close(frames)
		defer done()
		defer func() { _ = errors.Join(mem.Close(), b.Close()) }() // what it drew is out
		send := func(f tui.SampleFrame) {
			select {
			case frames <- f:
			case <-ctx.Done():
			}
		}
		_, err := fw.Sample(ctx, t.Schedule, model.Request{
			Sampler: r.Sampler, N: r.N, Seed: r.Seed, Options: options,
			OnStep: func(_, i, at int, x, x0 []float32) {
				grid := func(v []float32) image.Image { return model.Grid(v, r.N, fw.Size, fw.In, cols) }
				send(tui.SampleFrame{Step: i + 1, Steps: steps, T: ddpm.DisplayStep(at), Xt: grid(x), X0: grid(x0), Rows: rows, Cols: cols, Done: i+1 == steps})
			},
		})
		if err != nil && ctx.Err() == nil {
			send(tui.SampleFrame{Err: err})
		}
	}()
	return frames, nil
}

func asErrors(list []string) []error {
	var out []error
	for _, s := range list {
		out = append(out, errors.New(s))
	}
	return out
}

// saveDrawn writes one picture as a PNG or many as a GIF into the run's folder, under a name that is free.
func saveDrawn(folder *run.Folder, name string, pictures []image.Image) (string, error) {
	if err := os.MkdirAll(folder.Path(drawnName), 0o777); err != nil {
		return "", err
	}
	ending := ".png"
	if len(pictures) > 1 {
		ending = ".gif"
	}
	path := folder.Path(drawnName, name+ending)
	for i := 2; ; i++ {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			break
		}
		path = folder.Path(drawnName, fmt.Sprintf("%s-%d%s", name, i, ending))
	}
	if len(pictures) == 1 {
		return path, train.WritePNG(path, pictures[0])
	}
	var frames []*image.RGBA
	for _, m := range pictures {
		f := image.NewRGBA(m.Bounds())
		draw.Draw(f, f.Bounds(), m, m.Bounds().Min, draw.Src)
		frames = append(frames, f)
	}
	return path, writeGIF(path, frames)
}
