package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// The files of a folder that DDPMPipeline.from_pretrained opens, besides the network's own.
const (
	pipelineFile  = "model_index.json"
	unetFolder    = "unet"
	schedulerFile = "scheduler_config.json"
	classesFile   = "classes.json" // ours: the names of the classes
)

// IsDiffusers reports whether a folder is a pipeline, or the folder of a network alone, as diffusers writes them.
func IsDiffusers(dir string) bool {
	if isFile(filepath.Join(dir, pipelineFile)) {
		return true
	}
	b, err := os.ReadFile(filepath.Join(dir, nn.ConfigFile))
	var head struct {
		Class string `json:"_class_name"`
	}
	return err == nil && json.Unmarshal(b, &head) == nil && head.Class != ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// LoadDiffusers reads a pipeline of an unconditional or class-conditional UNet2DModel: its components in folders, or side by
// side in one as older ones have them; or the network's folder alone, for which the schedule is diffusers' default.
func LoadDiffusers(dir string) (t *Trained, warnings []string, err error) {
	if err := checkPipeline(filepath.Join(dir, pipelineFile)); err != nil {
		return nil, nil, err
	}
	t = &Trained{Path: dir}
	unet := dir
	if info, err := os.Stat(filepath.Join(dir, unetFolder)); err == nil && info.IsDir() {
		unet = filepath.Join(dir, unetFolder)
	}
	cfg, file, err := nn.ReadModel(unet)
	if err != nil {
		return nil, nil, err
	}
	t.UNet = cfg
	if t.Params, err = nn.UNetParams(cfg); err != nil {
		return nil, nil, err
	}
	t.Weights = make([]float32, t.Params.Elems())
	if err := t.Params.Decode(t.Weights, file); err != nil {
		return nil, nil, err
	}
	for _, q := range t.Params.List() {
		for _, v := range t.Weights[q.Offset:][:q.Shape.Elems()] {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil, nil, fmt.Errorf("%s: tensor %q has the value %g", file.Path, q.Name, v)
			}
		}
	}
	if t.Scheduler, err = readScheduler(dir); errors.Is(err, fs.ErrNotExist) {
		warnings = append(warnings, fmt.Sprintf("%s has no %s: the schedule is taken to be linear, 1000 timesteps, and the network to predict eps", dir, schedulerFile))
		t.Scheduler, err = ddpm.ParseScheduler([]byte(`{"_class_name": "DDPMScheduler"}`))
	}
	if err != nil {
		return nil, warnings, err
	}
	t.Prediction = t.Scheduler.Options.Prediction
	if t.Schedule, err = ddpm.NewSchedule(t.Scheduler.Schedule); err != nil {
		return nil, warnings, err
	}
	if b, err := os.ReadFile(filepath.Join(dir, classesFile)); err == nil {
		if err := json.Unmarshal(b, &t.Classes); err != nil || len(t.Classes) > cfg.Classes() {
			return nil, warnings, fmt.Errorf("%s is not a list of the names of %d classes or fewer", filepath.Join(dir, classesFile), cfg.Classes())
		}
	}
	return t, warnings, nil
}

// readScheduler reads scheduler/scheduler_config.json, or scheduler_config.json, which earlier versions of diffusers wrote.
func readScheduler(dir string) (*ddpm.Scheduler, error) {
	path := filepath.Join(dir, "scheduler", schedulerFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(dir, schedulerFile)
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	s, err := ddpm.ParseScheduler(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// checkPipeline refuses a pipeline with other parts than a UNet2DModel and a scheduler, by name. None is fine.
func checkPipeline(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		var part []*string
		if strings.HasPrefix(name, "_") || name == "scheduler" || json.Unmarshal(parts[name], &part) != nil {
			continue // a note, or a setting of the pipeline
		}
		switch {
		case len(part) != 2 || part[1] == nil: // left out
		case name != unetFolder:
			return fmt.Errorf("%s: a pipeline with %s (%s) is not supported: it must be of pixels, without text", path, name, *part[1])
		case *part[1] != "UNet2DModel":
			return fmt.Errorf("%s: a unet of the class %s is not supported, want UNet2DModel", path, *part[1])
		}
	}
	return nil
}
