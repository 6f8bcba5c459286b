// Package train is the trainer: one compiled step, the loop around it, checkpoints, previews and events.
package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// ConfigVersion is the version of the run's config.json.
const ConfigVersion = run.ConfigVersion

// A Config says everything that a run's numbers depend on, and is the run folder's config.json.
type Config struct {
	Version    int                 `json:"version"`
	Preset     string              `json:"preset"`
	Data       string              `json:"data"`              // "" is the embedded avatars
	Flip       bool                `json:"flip"`              // mirror half of the images
	Crop       int                 `json:"crop,omitempty"`    // shift the images by up to so many pixels
	Augment    float64             `json:"augment,omitempty"` // probability of each of ADA's transformations that graph.Augment has
	Holdout    int                 `json:"holdout,omitempty"` // images that are never trained on, evenly spaced by index
	UNet       *nn.UNetConfig      `json:"unet"`
	Schedule   ddpm.ScheduleConfig `json:"schedule"`
	Prediction ddpm.Prediction     `json:"prediction"`
	Optimizer  Optimizer           `json:"optimizer"`
	EMA        EMA                 `json:"ema"`
	Batch      int                 `json:"batch"`
	Accumulate int                 `json:"accumulate,omitempty"` // micro-batches that a step's batch is computed in, 0 for one
	MinSNR     float64             `json:"min_snr,omitempty"`    // gamma of the loss's weighting by t (Hang et al. 2023), 0 for none
	Steps      int64               `json:"steps"`
	Seed       uint64              `json:"seed"`

	// The network is told the class of each image, by the set's labels. Classes are their names, known when the images are; the
	// network has one class more, for images whose label is not told.
	ClassLabels bool     `json:"class_labels,omitempty"`
	Classes     []string `json:"classes,omitempty"`

	Precision backend.Precision `json:"precision,omitempty"`  // of what is computed; "" is fp32, see backend.Precision
	LossScale float64           `json:"loss_scale,omitempty"` // where dynamic loss scaling begins, a power of two; 0 is 65536 with fp16 and none else, -1 none

	Preview Preview `json:"preview"`
	Exact   bool    `json:"exact,omitempty"` // direct convolutions instead of Winograd's

	CheckpointSeconds float64 `json:"checkpoint_seconds"` // time between checkpoints; with both 0 there is one at the end
	CheckpointSteps   int64   `json:"checkpoint_steps"`   // steps between checkpoints; if not 0 the time does not count
	CheckpointKeep    int     `json:"checkpoint_keep"`    // how many stay, 0 for three

	Eval *Eval `json:"eval,omitempty"` // what is found out between two steps; nil is nothing
	Logs Logs  `json:"logs,omitzero"`  // what is written for other tools

	Lab *lab.Task `json:"lab,omitempty"` // what a network of the lab learns; nil is diffusion as everywhere else

	Compute *Choice `json:"compute,omitempty"` // what the run was begun on; nil: nobody decided

	DataHash string `json:"data_hash,omitempty"` // of the images' names and sizes, as they were at the start
}

// Optimizer is AdamW with linear warm-up, a learning rate that stays or falls, and clipping by the global norm.
type Optimizer struct {
	LR     float64 `json:"lr"`
	Warmup int     `json:"warmup"`                // steps
	Course string  `json:"lr_schedule,omitempty"` // after the warm-up: constant (or ""), cosine or linear, to the last step
	Floor  float64 `json:"lr_floor,omitempty"`    // the part of lr that is left at the last step
	Beta1  float64 `json:"beta1"`
	Beta2  float64 `json:"beta2"`
	Eps    float64 `json:"eps"`
	Decay  float64 `json:"weight_decay"`
	Clip   float64 `json:"clip"` // largest global gradient norm, 0 for none
}

// EMA is the average of the weights that samples are made with.
type EMA struct {
	Decay float64 `json:"decay"` // at most
	Power float64 `json:"power"` // of the warm-up 1 - (1+step)^-power

	// Lengths are relative widths (sigma_rel of Karras et al. 2024) of further averages. They are kept every SnapshotSteps, so that
	// an average of any width can be put together afterwards.
	Lengths       []float64 `json:"lengths,omitempty"`
	SnapshotSteps int64     `json:"snapshot_steps,omitempty"`
}

// Logs are files for other tools that are written from the event log.
type Logs struct {
	TensorBoard bool `json:"tensorboard,omitempty"` // event files in the folder tensorboard
	CSV         bool `json:"csv,omitempty"`         // metrics.csv
}

// Preview is the grid of samples made while training.
type Preview struct {
	Seconds float64 `json:"seconds"` // time between two
	Images  int     `json:"images"`
	Sampler string  `json:"sampler"`
	Steps   int     `json:"sampling_steps"`
	Raw     bool    `json:"raw,omitempty"` // beside them those of the weights themselves
}

// micro is the number of micro-batches of a step.
func (c *Config) micro() int { return max(1, c.Accumulate) }

// Validate reports the first thing that is wrong, by its name in config.json.
func (c *Config) Validate() error {
	if c.Version > ConfigVersion {
		return fmt.Errorf("config: version %d is newer than this program's %d: use a newer ddpm-tui", c.Version, ConfigVersion)
	}
	if c.UNet == nil {
		return errors.New("config: unet is missing")
	}
	if err := c.UNet.Validate(); err != nil {
		return err
	}
	if c.Lab != nil {
		if err := c.Lab.Check(c.UNet.InChannels, c.UNet.OutChannels); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		if c.MinSNR > 0 && c.masked() {
			return errors.New("config: min_snr weighs noise, and this run has masks")
		}
		if c.Prediction != ddpm.Epsilon && c.masked() {
			return fmt.Errorf("config: prediction %q: the lab's networks with masks have none, leave it at %s", c.Prediction, ddpm.Epsilon)
		}
	} else if c.UNet.InChannels != c.UNet.OutChannels {
		return fmt.Errorf("config: unet has in_channels %d and out_channels %d, a diffusion model has as many out as in", c.UNet.InChannels, c.UNet.OutChannels)
	}
	if c.UNet.Fourier() {
		return errors.New("config: unet.time_embedding_type fourier has no timestep 0 and is not trained here, only sampled")
	}
	if n := c.UNet.Classes(); n > 0 && !c.ClassLabels && n == len(c.Classes)+1 {
		return fmt.Errorf("config: the network knows the classes %q: --classes goes on telling it those of the images", c.Classes)
	}
	if n := c.UNet.Classes(); n > 0 && (!c.ClassLabels || n != len(c.Classes)+1) {
		return fmt.Errorf("config: the network has %d classes, which are not %d of the images and one for none: it can be sampled, and not trained", n, len(c.Classes))
	}
	if c.ClassLabels && c.Lab != nil {
		return errors.New("config: class_labels: the lab's networks are not told classes")
	}
	if _, err := ddpm.NewSchedule(c.Schedule); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if err := c.Prediction.Check(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	for _, v := range []struct {
		name   string
		v      float64
		lo, hi float64
	}{
		{"optimizer.lr", c.Optimizer.LR, 0, 10},
		{"optimizer.beta1", c.Optimizer.Beta1, 0, 0.99999},
		{"optimizer.beta2", c.Optimizer.Beta2, 0, 0.9999999},
		{"optimizer.eps", c.Optimizer.Eps, 1e-12, 1},
		{"optimizer.weight_decay", c.Optimizer.Decay, 0, 10},
		{"optimizer.clip", c.Optimizer.Clip, 0, 1e9},
		{"optimizer.warmup", float64(c.Optimizer.Warmup), 0, 1e9},
		{"ema.decay", c.EMA.Decay, 0, 1},
		{"optimizer.lr_floor", c.Optimizer.Floor, 0, 1},
		{"ema.power", c.EMA.Power, 0.01, 10},
		{"ema.snapshot_steps", float64(c.EMA.SnapshotSteps), 0, 1e12},
		{"crop", float64(c.Crop), 0, float64(c.UNet.SampleSize - 1)},
		{"augment", c.Augment, 0, 1},
		{"holdout", float64(c.Holdout), 0, 1e9},
		{"min_snr", c.MinSNR, 0, 1e9},
		{"batch", float64(c.Batch), 1, 1 << 20},
		{"accumulate", float64(c.Accumulate), 0, float64(c.Batch)},
		{"steps", float64(c.Steps), 1, 1e12},
		{"checkpoint_seconds", c.CheckpointSeconds, 0, 1e9},
		{"checkpoint_steps", float64(c.CheckpointSteps), 0, 1e12},
		{"checkpoint_keep", float64(c.CheckpointKeep), 0, 1e6},
		{"preview.seconds", c.Preview.Seconds, 0, 1e9},
		{"preview.images", float64(c.Preview.Images), 1, 1024},
		{"preview.sampling_steps", float64(c.Preview.Steps), 1, float64(c.Schedule.T)},
	} {
		if math.IsNaN(v.v) || v.v < v.lo || v.v > v.hi {
			plain := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
			return fmt.Errorf("config: %s is %s, want %s to %s", v.name, plain(v.v), plain(v.lo), plain(v.hi))
		}
	}
	if e := c.Eval; e != nil {
		switch {
		case c.Lab != nil:
			return errors.New("config: eval: a run of the lab is evaluated by ddpm-tui lab")
		case e.Steps < 1:
			return fmt.Errorf("config: eval.steps is %d, want at least 1", e.Steps)
		case e.Images < 0 || e.Samples < 0 || e.Patience < 0 || e.Images > 1<<20 || e.Samples > 1<<20:
			return errors.New("config: eval: images, samples and patience are 0 or more")
		case e.Patience > 0 && c.Holdout < 2:
			return errors.New("config: eval.patience ends a run by its held-out loss, and holdout is less than 2")
		}
	}
	if c.Precision != "" && !slices.Contains(backend.Known, c.Precision) {
		return fmt.Errorf("config: precision is %.40q, want fp32, fp16 or bf16", c.Precision)
	}
	if f, _ := math.Frexp(c.LossScale); c.LossScale != 0 && c.LossScale != -1 && (f != 0.5 || c.LossScale < 1 || c.LossScale > backend.MaxLossScale) {
		return fmt.Errorf("config: loss_scale is %v, want a power of two from 1 to 2^120, such as 65536, or -1 for none", c.LossScale)
	}
	if c.EMA.SnapshotSteps > 0 && len(c.EMA.Lengths) == 0 {
		return errors.New("config: ema.snapshot_steps says when ema.lengths are kept, and there are none")
	}
	if c.Batch%c.micro() != 0 {
		return fmt.Errorf("config: batch %d is not a multiple of accumulate %d", c.Batch, c.Accumulate)
	}
	if _, ok := courses[c.Optimizer.Course]; !ok {
		return fmt.Errorf("config: optimizer.lr_schedule is %q, want constant, cosine or linear", c.Optimizer.Course)
	}
	if len(c.EMA.Lengths) > maxLengths {
		return fmt.Errorf("config: ema.lengths has %d widths, want at most %d", len(c.EMA.Lengths), maxLengths)
	}
	for _, std := range c.EMA.Lengths {
		if !(std >= ddpm.MinEMAStd && std <= ddpm.MaxEMAStd) {
			return fmt.Errorf("config: ema.lengths has %g, want %g to %g", std, ddpm.MinEMAStd, ddpm.MaxEMAStd)
		}
	}
	return nil
}

// maxLengths bounds EMA.Lengths: each is as large as the model.
const maxLengths = 8

// courses are the values of Optimizer.Course.
var courses = map[string]float32{"": backend.LRConstant, "constant": backend.LRConstant, "cosine": backend.LRCosine, "linear": backend.LRLinear}

// precision is the precision's name, "" for fp32.
func (c *Config) precision() string {
	if c.Precision == backend.FP32 {
		return ""
	}
	return string(c.Precision)
}

// Channels is that of the images.
func (c *Config) Channels() int {
	if c.Lab != nil {
		return (c.UNet.InChannels - 2) / 2
	}
	return c.UNet.InChannels
}

// masked reports whether the run fills in what masks hide.
func (c *Config) masked() bool { return c.Lab != nil && c.Lab.Masked() }

// levels is how many values t has in a step's metrics: timesteps, or masks by what they hide.
func (c *Config) levels() int {
	if c.masked() {
		return c.Lab.Masks
	}
	return c.Schedule.T
}

// hyper are the optimizer's hyper-parameters as the device reads them.
func (c *Config) hyper() []float32 {
	h := make([]float32, backend.HypWords)
	h[backend.HypLR] = float32(c.Optimizer.LR)
	h[backend.HypWarmup] = float32(c.Optimizer.Warmup)
	h[backend.HypBeta1] = float32(c.Optimizer.Beta1)
	h[backend.HypBeta2] = float32(c.Optimizer.Beta2)
	h[backend.HypEps] = float32(c.Optimizer.Eps)
	h[backend.HypDecay] = float32(c.Optimizer.Decay)
	h[backend.HypClip] = float32(c.Optimizer.Clip)
	h[backend.HypEMA] = float32(c.EMA.Decay)
	h[backend.HypEMAPower] = float32(c.EMA.Power)
	h[backend.HypLRKind] = courses[c.Optimizer.Course]
	h[backend.HypLRSteps] = float32(c.Steps)
	h[backend.HypLRFloor] = float32(c.Optimizer.Floor)
	return h
}
