package ddpm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/nn/pyjson"
)

// A Scheduler is what a diffusers scheduler_config.json says: which sampler, on
// which schedule, with which options.
type Scheduler struct {
	Class    string // diffusers' name
	Sampler  string // ours
	Schedule ScheduleConfig
	Options  SamplerOptions
}

// schedulerConfig are the keys of scheduler_config.json that mean something here.
type schedulerConfig struct {
	T            int       `json:"num_train_timesteps"`
	BetaStart    float64   `json:"beta_start"`
	BetaEnd      float64   `json:"beta_end"`
	BetaSchedule string    `json:"beta_schedule"`
	TrainedBetas []float64 `json:"trained_betas"`
	ZeroSNR      bool      `json:"rescale_betas_zero_snr"`
	Prediction   string    `json:"prediction_type"`

	Spacing     string `json:"timestep_spacing"`
	StepsOffset int    `json:"steps_offset"`
	Karras      bool   `json:"use_karras_sigmas"`

	Variance       *string `json:"variance_type"`
	Clip           bool    `json:"clip_sample"`
	ClipRange      float64 `json:"clip_sample_range"`
	Thresholding   bool    `json:"thresholding"`
	ThresholdRatio float64 `json:"dynamic_thresholding_ratio"`
	ThresholdMax   float64 `json:"sample_max_value"`

	AlphaToOne  bool         `json:"set_alpha_to_one"`
	Order       int          `json:"solver_order"`
	Algorithm   string       `json:"algorithm_type"`
	Solver      string       `json:"solver_type"`
	FinalSigmas string       `json:"final_sigmas_type"`
	LambdaMin   pyjson.Float `json:"lambda_min_clipped"`
}

// neutralKeys are options that are not built, with the values that leave them off.
var neutralKeys = map[string][]string{
	"use_lu_lambdas": {"false"}, "use_exponential_sigmas": {"false"}, "use_beta_sigmas": {"false"}, "use_flow_sigmas": {"false"},
	"use_dynamic_shifting": {"false"}, "flow_shift": {"1", "1.0", "null"}, "time_shift_type": {`"exponential"`},
	"euler_at_final": {"false"}, "lower_order_final": {"true"}, "predict_x0": {"true"}, "disable_corrector": {"[]"}, "solver_p": {"null"},
	"interpolation_type": {`"linear"`}, "timestep_type": {`"discrete"`}, "sigma_min": {"null"}, "sigma_max": {"null"},
	"skip_prk_steps": {"true", "false"}, "tensor_format": {`"pt"`}, // of files from before diffusers 0.5
}

// Classes of schedulers that there are samplers for.
var schedulerClasses = map[string]string{
	"DDPMScheduler": "ddpm", "DDIMScheduler": "ddim", "DPMSolverMultistepScheduler": "dpmpp2m", "UniPCMultistepScheduler": "unipc",
	"EulerDiscreteScheduler": "euler", "EulerAncestralDiscreteScheduler": "euler-a", "HeunDiscreteScheduler": "heun",
}

// defaultScheduler holds diffusers 0.30.3's value of every key that a file of
// that class leaves out.
func defaultScheduler(class string) schedulerConfig {
	c := schedulerConfig{
		T: 1000, BetaStart: 1e-4, BetaEnd: 0.02, BetaSchedule: "linear", Prediction: "epsilon", Spacing: "linspace",
		ClipRange: 1, ThresholdRatio: 0.995, ThresholdMax: 1, AlphaToOne: true, Order: 2, FinalSigmas: "zero",
		LambdaMin: pyjson.Float(math.Inf(-1)),
	}
	switch class {
	case "DDPMScheduler", "DDIMScheduler":
		c.Spacing, c.Clip = "leading", true
	case "DPMSolverMultistepScheduler":
		c.Algorithm, c.Solver = "dpmsolver++", "midpoint"
	case "UniPCMultistepScheduler":
		c.Solver = "bh2"
	case "HeunDiscreteScheduler":
		c.BetaStart, c.BetaEnd = 0.00085, 0.012
	}
	return c
}

// ParseScheduler reads the content of a scheduler_config.json. A key that this
// program does not know, or a value that it cannot do, is an error that names it.
func ParseScheduler(b []byte) (*Scheduler, error) {
	s, err := parseScheduler(pyjson.Quote(b))
	if err != nil {
		return nil, fmt.Errorf("scheduler config: %w", err)
	}
	return s, nil
}

func parseScheduler(b []byte) (*Scheduler, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		return nil, err
	}
	s := &Scheduler{}
	if err := json.Unmarshal(keys["_class_name"], &s.Class); err != nil {
		return nil, errors.New("_class_name is missing")
	}
	if s.Sampler = schedulerClasses[s.Class]; s.Sampler == "" {
		return nil, fmt.Errorf("_class_name %q is not supported", s.Class)
	}
	for k, raw := range keys {
		if neutral, ok := neutralKeys[k]; strings.HasPrefix(k, "_") || ok && slices.Contains(neutral, string(raw)) {
			delete(keys, k)
		} else if ok {
			return nil, fmt.Errorf("%s %s is not supported, want %s", k, raw, strings.Join(neutral, " or "))
		}
	}
	known, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	c := defaultScheduler(s.Class)
	d := json.NewDecoder(bytes.NewReader(known))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return s, s.take(&c)
}

// take fills s from c.
func (s *Scheduler) take(c *schedulerConfig) error {
	s.Schedule = ScheduleConfig{T: c.T, ZeroTerminalSNR: c.ZeroSNR}
	if c.TrainedBetas != nil {
		s.Schedule.Kind, s.Schedule.Betas, s.Schedule.T = TrainedBetas, c.TrainedBetas, len(c.TrainedBetas)
	} else {
		var err error
		if s.Schedule.Kind, err = KindFromDiffusers(c.BetaSchedule); err != nil {
			return err
		}
		if s.Schedule.Kind != Cosine {
			s.Schedule.BetaStart, s.Schedule.BetaEnd = c.BetaStart, c.BetaEnd
		}
	}
	sch, err := NewSchedule(s.Schedule)
	if err != nil {
		return err
	}
	o := SamplerOptions{
		Spacing: Spacing(c.Spacing), StepsOffset: c.StepsOffset, Prediction: Prediction(c.Prediction),
		Clip: c.Clip, ClipRange: c.ClipRange, Thresholding: c.Thresholding, ThresholdRatio: c.ThresholdRatio, ThresholdMax: c.ThresholdMax,
		Solver: c.Solver,
	}
	if c.Karras {
		o.Spacing = Karras
	}
	if !math.IsInf(float64(c.LambdaMin), -1) {
		o.LambdaMin = float64(c.LambdaMin)
	}
	unsupported := func(key, value, want string) error {
		return fmt.Errorf("%s %q is not supported, want %s", key, value, want)
	}
	switch c.FinalSigmas {
	case "zero":
	case "sigma_min":
		o.EndAtFirst = true
	default:
		return unsupported("final_sigmas_type", c.FinalSigmas, "zero or sigma_min")
	}
	switch s.Sampler {
	case "ddpm":
		if v := c.Variance; v != nil {
			// The log forms are the same variances, computed as logarithms.
			if o.Variance = strings.TrimSuffix(*v, "_log"); o.Variance != FixedSmall && o.Variance != FixedLarge {
				return unsupported("variance_type", *v, "fixed_small or fixed_large")
			}
		}
	case "ddim":
		o.EndAtFirst = !c.AlphaToOne
	case "unipc":
		o.Order = c.Order
	case "dpmpp2m":
		if c.Order != 2 {
			return fmt.Errorf("solver_order %d is not supported, want 2", c.Order)
		}
		if c.Algorithm == "sde-dpmsolver++" {
			s.Sampler = "dpmpp2m-sde"
		} else if c.Algorithm != "dpmsolver++" {
			return unsupported("algorithm_type", c.Algorithm, "dpmsolver++ or sde-dpmsolver++")
		}
	}
	if s.Sampler != "ddpm" && c.Variance != nil {
		return unsupported("variance_type", *c.Variance, "null")
	}
	s.Options = o
	_, err = NewSampler(s.Sampler, sch, SamplerOptions{
		Steps: 1, Prediction: o.Prediction, Spacing: o.Spacing, StepsOffset: o.StepsOffset, Order: o.Order, Solver: o.Solver,
		ClipRange: o.ClipRange, ThresholdRatio: o.ThresholdRatio, ThresholdMax: o.ThresholdMax, LambdaMin: o.LambdaMin,
	})
	return err
}

// DiffusersScheduler is the scheduler_config.json of a DDPMScheduler for a
// schedule and what the network predicts. Schedules that diffusers has no name
// for become their betas.
func DiffusersScheduler(c ScheduleConfig, p Prediction) (map[string]any, error) {
	sch, err := NewSchedule(c)
	if err != nil {
		return nil, err
	}
	c = sch.Config
	if p == "" {
		p = Epsilon
	}
	m := map[string]any{
		"_class_name": "DDPMScheduler", "num_train_timesteps": c.T, "prediction_type": p, "variance_type": FixedSmall,
		"beta_start": 1e-4, "beta_end": 0.02, "trained_betas": nil, "clip_sample": true, "clip_sample_range": 1,
		"thresholding": false, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1, "timestep_spacing": "leading", "steps_offset": 0,
		"rescale_betas_zero_snr": c.ZeroTerminalSNR,
	}
	name, known := map[string]string{Linear: "linear", ScaledLinear: "scaled_linear", SigmoidBeta: "sigmoid", Cosine: "squaredcos_cap_v2"}[c.Kind]
	switch {
	case c.Kind == Cosine && (c.S != 0.008 || c.Cap != 0.999), !known:
		m["beta_schedule"], m["trained_betas"], m["rescale_betas_zero_snr"] = "linear", sch.Betas, false
	case c.Kind != Cosine:
		m["beta_start"], m["beta_end"] = c.BetaStart, c.BetaEnd
		fallthrough
	default:
		m["beta_schedule"] = name
	}
	return m, nil
}
