package model

import (
	"encoding/json"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A Trained is a model as a checkpoint holds it, or a folder of diffusers.
type Trained struct {
	UNet       *nn.UNetConfig
	Schedule   *ddpm.Schedule
	Prediction ddpm.Prediction
	Params     *nn.Params
	Weights    []float32 // flat
	Step       int64
	Path       string          // of the checkpoint
	Classes    []string        // names of the classes, nil without
	Scheduler  *ddpm.Scheduler // what a folder of diffusers says of sampling, nil for a run

	Precision backend.Precision // in which Forward computes; "" is fp32
}

// Load reads a model from a run folder (its latest whole checkpoint) or a checkpoint folder: the EMA of its weights, or the
// weights themselves if raw. Or from a folder of diffusers, which has only one kind. Warnings say what was passed over.
func Load(path string, raw bool) (t *Trained, warnings []string, err error) {
	if !run.IsRun(path) && IsDiffusers(path) {
		return LoadDiffusers(path)
	}
	t, isLab, warnings, err := load(path, raw)
	if err == nil && isLab {
		return nil, warnings, fmt.Errorf("%s holds a network of the lab, which is no diffusion model by itself: see ddpm-tui lab", path)
	}
	return t, warnings, err
}

// LoadLab reads the average of the weights of a run of the lab.
func LoadLab(path string) (*Trained, error) {
	t, isLab, _, err := load(path, false)
	if err == nil && !isLab {
		err = fmt.Errorf("%s holds no network of the lab", path)
	}
	return t, err
}

func load(path string, raw bool) (t *Trained, isLab bool, warnings []string, err error) {
	s, warnings, err := run.LoadPath(path)
	if err != nil {
		return nil, false, warnings, err
	}
	t = &Trained{Step: s.State.Step, Path: s.Path}
	if t.UNet, err = nn.ParseConfig(s.State.UNet); err != nil {
		return nil, false, warnings, fmt.Errorf("%s: state.json: unet: %w", s.Path, err)
	}
	var sch ddpm.ScheduleConfig
	var config struct {
		Prediction ddpm.Prediction `json:"prediction"`
		Classes    []string        `json:"classes"`
		Lab        json.RawMessage `json:"lab"`
	}
	for _, v := range []struct {
		name string
		raw  json.RawMessage
		to   any
	}{{"schedule", s.State.Schedule, &sch}, {"config", s.State.Config, &config}} {
		if err := json.Unmarshal(v.raw, v.to); err != nil {
			return nil, false, warnings, fmt.Errorf("%s: state.json: %s: %w", s.Path, v.name, err)
		}
	}
	if t.Schedule, err = ddpm.NewSchedule(sch); err != nil {
		return nil, false, warnings, fmt.Errorf("%s: %w", s.Path, err)
	}
	t.Prediction, t.Classes = config.Prediction, config.Classes
	if t.Params, err = nn.UNetParams(t.UNet); err != nil {
		return nil, false, warnings, err
	}
	tensors, name := s.EMA, "ema.safetensors"
	if raw || len(s.EMA) == 0 {
		tensors, name = s.Model, "model.safetensors"
	}
	t.Weights, err = Flatten(t.Params, s.Path+"/"+name, tensors)
	return t, len(config.Lab) > 0, warnings, err
}

// Flatten lays tensors of diffusers' names out in the flat order of the parameters; path is for errors.
func Flatten(p *nn.Params, path string, ts []safetensors.Tensor) ([]float32, error) {
	raw, err := safetensors.Encode(ts, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, err := safetensors.Decode(path, raw)
	if err != nil {
		return nil, err
	}
	flat := make([]float32, p.Elems())
	return flat, p.Decode(flat, f)
}

// Forward puts the model on a backend for batches of at most batch images.
func (t *Trained) Forward(b backend.Backend, batch int) (*Forward, *Memory, error) {
	m := NewMemory(b)
	m.Precision = t.Precision
	f, err := PlanForward(m, t.Params, t.UNet, batch, t.Schedule.T(), nn.ParamsBuffer, true)
	if err != nil {
		return nil, nil, err
	}
	es, err := m.Compile(f.Programs()...)
	if err != nil {
		return nil, nil, err
	}
	f.Bind(es...)
	if t.Classes != nil {
		f.Named = len(t.Classes)
	}
	if err := Write(m, nn.ParamsBuffer, 0, t.Weights); err != nil {
		return nil, nil, err
	}
	return f, m, Write(m, TableBuffer, 0, nn.TimeTable(t.UNet, t.Schedule.T(), t.Params, t.Weights))
}
