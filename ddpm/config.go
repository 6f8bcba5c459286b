// Package ddpm is the mathematics of denoising diffusion probabilistic models:
// schedules, the forward and reverse process, samplers. It works on plain
// slices, knows nothing of networks or devices, and is exact before it is fast:
// tables and the arithmetic per element are float64, images are float32.
//
// Notation. t is the network's timestep, 0..T-1; the paper and the screen count
// 1..T (see DisplayStep). alpha_t = 1 - beta_t, alphabar_t is the product of
// alpha_0..alpha_t, and alphabar_{-1} = 1 is the clean image. Equation numbers:
// DDPM is Ho et al. 2020, IDDPM Nichol & Dhariwal 2021, DDIM Song et al. 2021.
// The whole is written out in docs/ddpm.md.
package ddpm

import (
	"fmt"
	"math"
)

// Kinds of schedule.
const (
	Linear          = "linear"           // betas equally spaced
	ScaledLinear    = "scaled_linear"    // square roots of betas equally spaced
	Cosine          = "cosine"           // alphabar a squared cosine, IDDPM eq. 17
	SigmoidBeta     = "sigmoid_beta"     // betas on a sigmoid (GeoDiff); diffusers' "sigmoid"
	SigmoidAlphaBar = "sigmoid_alphabar" // alphabar on a sigmoid (Jabri et al. 2022)
	TrainedBetas    = "betas"            // a list, as a model from elsewhere may have
)

// Kinds returns the names of the schedules that have a formula.
func Kinds() []string {
	return []string{Linear, ScaledLinear, Cosine, SigmoidBeta, SigmoidAlphaBar}
}

// A ScheduleConfig describes a noise schedule. Zero means the default, so that
// only Kind and T must be given.
type ScheduleConfig struct {
	Kind string `json:"kind"`
	T    int    `json:"timesteps"`

	// End points of linear, scaled_linear and sigmoid_beta, whatever T is;
	// default 1e-4 and 0.02.
	BetaStart float64 `json:"beta_start,omitempty"`
	BetaEnd   float64 `json:"beta_end,omitempty"`

	// Offset of cosine; default 0.008.
	S float64 `json:"s,omitempty"`

	// Largest beta of cosine and sigmoid_alphabar; default 0.999, 1 is no cap.
	// Uncapped, cosine ends in beta = 1, alphabar = 0: no signal at all, from
	// which an eps network cannot tell x_0.
	Cap float64 `json:"cap,omitempty"`

	// Range and temperature of sigmoid_alphabar; default -3, 3 and 1.
	SigmoidStart float64 `json:"sigmoid_start,omitempty"`
	SigmoidEnd   float64 `json:"sigmoid_end,omitempty"`
	Tau          float64 `json:"tau,omitempty"`

	// The list of kind betas: [T].
	Betas []float64 `json:"betas,omitempty"`

	// Rescale so that alphabar_{T-1} = 0 (Lin et al. 2024, algorithm 1). Such a
	// schedule needs a network that predicts v or x_0.
	ZeroTerminalSNR bool `json:"zero_terminal_snr,omitempty"`
}

// withDefaults fills in what is zero.
func (c ScheduleConfig) withDefaults() ScheduleConfig {
	set := func(v *float64, def float64) {
		if *v == 0 {
			*v = def
		}
	}
	switch c.Kind {
	case Linear, ScaledLinear, SigmoidBeta:
		set(&c.BetaStart, 1e-4)
		set(&c.BetaEnd, 0.02)
	case Cosine:
		set(&c.S, 0.008)
		set(&c.Cap, 0.999)
	case SigmoidAlphaBar:
		set(&c.Cap, 0.999)
		set(&c.Tau, 1)
		if c.SigmoidStart == 0 && c.SigmoidEnd == 0 {
			c.SigmoidStart, c.SigmoidEnd = -3, 3
		}
	}
	return c
}

// maxT keeps a mistyped T from asking for all memory.
const maxT = 1_000_000

// check says what is wrong with a config whose defaults are filled in.
func (c ScheduleConfig) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("schedule %s: %s", c.Kind, fmt.Sprintf(format, args...))
	}
	if c.T < 1 || c.T > maxT {
		return bad("timesteps is %d, want 1 to %d", c.T, maxT)
	}
	for name, v := range map[string]float64{"beta_start": c.BetaStart, "beta_end": c.BetaEnd, "s": c.S, "cap": c.Cap,
		"sigmoid_start": c.SigmoidStart, "sigmoid_end": c.SigmoidEnd, "tau": c.Tau} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return bad("%s is %g", name, v)
		}
	}
	switch c.Kind {
	case Linear, ScaledLinear, SigmoidBeta:
		if c.BetaStart <= 0 || c.BetaEnd < c.BetaStart || c.BetaEnd >= 1 {
			return bad("beta_start is %g and beta_end %g, want 0 < beta_start <= beta_end < 1", c.BetaStart, c.BetaEnd)
		}
	case Cosine:
		if c.S < 0 || c.S > 1 {
			return bad("s is %g, want 0 to 1", c.S)
		}
	case SigmoidAlphaBar:
		if c.SigmoidEnd <= c.SigmoidStart {
			return bad("sigmoid_start is %g and sigmoid_end %g, want start < end", c.SigmoidStart, c.SigmoidEnd)
		}
		if c.Tau <= 0 {
			return bad("tau is %g, want more than 0", c.Tau)
		}
	case TrainedBetas:
		if len(c.Betas) != c.T {
			return bad("there are %d betas for %d timesteps", len(c.Betas), c.T)
		}
	case "sigmoid":
		return fmt.Errorf("schedule sigmoid: there are two; say %s (betas, as in diffusers) or %s (alphabar, as in lucidrains)", SigmoidBeta, SigmoidAlphaBar)
	default:
		return fmt.Errorf("schedule %q is unknown, want one of %v", c.Kind, Kinds())
	}
	if (c.Kind == Cosine || c.Kind == SigmoidAlphaBar) && (c.Cap <= 0 || c.Cap > 1) {
		return bad("cap is %g, want more than 0 and at most 1", c.Cap)
	}
	if c.ZeroTerminalSNR && c.T < 2 {
		return bad("zero_terminal_snr needs at least 2 timesteps")
	}
	return nil
}

// KindFromDiffusers translates the beta_schedule of a diffusers
// scheduler_config.json.
func KindFromDiffusers(betaSchedule string) (string, error) {
	switch betaSchedule {
	case "linear":
		return Linear, nil
	case "scaled_linear":
		return ScaledLinear, nil
	case "squaredcos_cap_v2":
		return Cosine, nil
	case "sigmoid":
		return SigmoidBeta, nil
	}
	return "", fmt.Errorf("beta_schedule %q is not supported, want linear, scaled_linear, squaredcos_cap_v2 or sigmoid", betaSchedule)
}
