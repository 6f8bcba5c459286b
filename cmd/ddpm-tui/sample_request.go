package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// requestFlags say what to sample and how.
type requestFlags struct {
	n, steps, order, offset  int
	sampler, spacing         string
	variance, solver         string
	eta, threshold, strength float64
	lambdaMin                float64
	noClip                   bool
	seed, toward             uint64
	from, inpaint, mask      string
	walks, jump              int
	classes                  []string
	guidance                 float64
	changed                  func(flag string) bool
}

// spacings are what --spacing takes.
var spacings = []string{string(ddpm.Leading), string(ddpm.Trailing), string(ddpm.Linspace), string(ddpm.Karras)}

func (f *requestFlags) flags(fl *pflag.FlagSet) {
	fl.IntVarP(&f.n, "num", "n", 16, "images")
	fl.StringVar(&f.sampler, "sampler", "ddim", fmt.Sprintf("one of %v", ddpm.SamplerNames()))
	fl.IntVar(&f.steps, "sampling-steps", 0, "noise levels (0: all T for ddpm, 50 for the others); each costs one evaluation of the network, heun's two")
	fl.StringVar(&f.spacing, "spacing", "", "of the noise levels: "+strings.Join(spacings, ", ")+" (default trailing, for heun karras)")
	fl.IntVar(&f.offset, "steps-offset", 0, "added to the timesteps of leading spacing")
	fl.Float64Var(&f.lambdaMin, "lambda-min", 0, "leave out timesteps whose log(a/b) is less: noise hides all in them (default -2.5 where eps is predicted, else -5.1; 0: none, as for ddpm in all its steps)")
	fl.Float64Var(&f.eta, "eta", 0, "ddim's noise: 0 is deterministic, 1 as noisy as ddpm")
	fl.StringVar(&f.variance, "variance", ddpm.FixedSmall, "ddpm's noise: fixed_small or fixed_large")
	fl.IntVar(&f.order, "order", 2, "unipc's: 1 to 3")
	fl.StringVar(&f.solver, "solver", "", "dpmpp2m: midpoint or heun; unipc: bh2 or bh1")
	fl.BoolVar(&f.noClip, "no-clip", false, "do not clamp the predicted x_0 to [-1, 1]")
	fl.Float64Var(&f.threshold, "threshold", 0, "clamp it to this quantile of its magnitudes instead, such as 0.995, and divide by it")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of the noise")
	fl.Uint64Var(&f.toward, "interpolate", 0, "images between the noise of --seed and that of this seed")
	fl.StringVar(&f.from, "from", "", "begin with this picture and noise added (image to image)")
	fl.Float64Var(&f.strength, "strength", 0.6, "of that noise: 0 to 1, where nothing of the picture is left")
	fl.StringVar(&f.inpaint, "inpaint", "", "keep this picture but for the part that --mask says")
	fl.StringVar(&f.mask, "mask", "center", "what is painted anew: the white of a picture, or left, right, top, bottom or center")
	fl.IntVar(&f.walks, "walks", 5, "how often each stretch of the way is walked when inpainting, so that old and new agree")
	fl.IntVar(&f.jump, "jump", 10, "steps of such a stretch")
	fl.StringSliceVar(&f.classes, "class", nil, "classes by name or number, one for each image in turn; left out: all of them in turn")
	fl.Float64Var(&f.guidance, "guidance", 1, "how much more the class counts than it does by itself; 1 is none")
}

func (f *requestFlags) check() error {
	only := func(flag string, samplers ...string) error {
		if f.changed(flag) && !slices.Contains(samplers, f.sampler) {
			return fmt.Errorf("--%s is of %s, the sampler is %s", flag, strings.Join(samplers, " and "), f.sampler)
		}
		return nil
	}
	with := func(flag, other string) error {
		if f.changed(flag) && !f.changed(other) {
			return fmt.Errorf("--%s goes with --%s", flag, other)
		}
		return nil
	}
	without := func(flag, other string) error {
		if f.changed(flag) && f.changed(other) {
			return fmt.Errorf("--%s and --%s exclude each other", flag, other)
		}
		return nil
	}
	switch {
	case f.n < 1 || f.n > 1<<20:
		return fmt.Errorf("-n %d: want 1 to %d", f.n, 1<<20)
	case f.steps < 0:
		return fmt.Errorf("--sampling-steps %d: want at least 1", f.steps)
	case !(f.strength > 0 && f.strength <= 1):
		return fmt.Errorf("--strength %g: want more than 0 and at most 1", f.strength)
	case f.changed("threshold") && !(f.threshold > 0 && f.threshold <= 1):
		return fmt.Errorf("--threshold %g: want more than 0 and at most 1", f.threshold)
	case f.walks < 1 || f.jump < 1:
		return fmt.Errorf("--walks %d --jump %d: want at least 1", f.walks, f.jump)
	case !(f.guidance >= 0 && f.guidance <= 100):
		return fmt.Errorf("--guidance %g: want 0 to 100", f.guidance)
	}
	for _, err := range []error{
		only("eta", "ddim"), only("variance", "ddpm"), only("order", "unipc"), only("solver", "unipc", "dpmpp2m", "dpmpp2m-sde"),
		with("strength", "from"), with("mask", "inpaint"), with("walks", "inpaint"), with("jump", "inpaint"),
		without("from", "inpaint"), without("from", "interpolate"), without("inpaint", "interpolate"), without("no-clip", "threshold"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// request is what the flags ask of a model.
func (f *requestFlags) request(ctx context.Context, t *model.Trained) (r model.Request, err error) {
	if n := t.Schedule.T(); f.steps > n {
		return r, usageError{fmt.Errorf("--sampling-steps %d: the model has %d noise levels", f.steps, n)}
	}
	s := t.Scheduler
	if s != nil && !f.changed("sampler") && s.Sampler != "ddpm" { // ddpm's thousand steps are for those who ask for them
		f.sampler = s.Sampler
	}
	own := ddpm.Defaults(f.sampler, t.Schedule.Config, t.Prediction, f.steps)
	o := own
	if s != nil { // a folder of diffusers says how it wants to be sampled
		if o = s.Options; f.sampler != s.Sampler { // the rest is another sampler's
			o = ddpm.SamplerOptions{Spacing: own.Spacing, LambdaMin: own.LambdaMin, Clip: o.Clip, ClipRange: o.ClipRange, Thresholding: o.Thresholding, ThresholdRatio: o.ThresholdRatio, ThresholdMax: o.ThresholdMax}
		}
	}
	if f.changed("spacing") {
		o.Spacing = ddpm.Spacing(f.spacing)
	}
	o.Prediction, o.Steps, o.Eta = own.Prediction, own.Steps, f.eta
	if f.changed("lambda-min") {
		o.LambdaMin = f.lambdaMin
	}
	if f.changed("steps-offset") {
		o.StepsOffset = f.offset
	}
	if f.changed("variance") {
		o.Variance = f.variance
	}
	if f.sampler == "unipc" && f.changed("order") {
		o.Order = f.order
	}
	if f.changed("solver") {
		o.Solver = f.solver
	}
	switch {
	case f.noClip:
		o.Clip, o.Thresholding = false, false
	case f.changed("threshold"):
		o.Clip, o.Thresholding, o.ThresholdRatio, o.ThresholdMax = false, true, f.threshold, 100
	}
	r = model.Request{Sampler: f.sampler, N: f.n, Seed: f.seed, Options: o}
	if f.changed("interpolate") {
		r.Toward = &f.toward
	}
	S, C := t.UNet.SampleSize, t.UNet.InChannels
	if f.from != "" {
		r.Options.Strength = f.strength
		if r.From, err = pictureOf(ctx, f.from, S, C); err != nil {
			return r, err
		}
	}
	if f.inpaint != "" {
		r.Inpaint = &ddpm.Inpainting{Jump: f.jump, Walks: f.walks}
		if r.Inpaint.Known, err = pictureOf(ctx, f.inpaint, S, C); err != nil {
			return r, err
		}
		if r.Inpaint.Mask, err = maskOf(ctx, f.mask, S, C); err != nil {
			return r, err
		}
	}
	return r, f.label(&r, t)
}

// label chooses the classes.
func (f *requestFlags) label(r *model.Request, t *model.Trained) error {
	n := t.UNet.Classes()
	if n == 0 {
		for _, flag := range []string{"class", "guidance"} {
			if f.changed(flag) {
				return usageError{fmt.Errorf("--%s: the model has no classes", flag)}
			}
		}
		return nil
	}
	named := len(t.Classes)
	if named == 0 {
		named = n
	}
	r.Guidance, r.NullLabel = f.guidance, uint32(named)
	if f.guidance != 1 && named == n {
		return usageError{errors.New("--guidance needs a model that was also trained without labels, which this one was not")}
	}
	var labels []uint32
	for _, c := range f.classes {
		label := slices.Index(t.Classes, c)
		if k, err := strconv.Atoi(c); label < 0 && err == nil {
			label = k
		}
		if label < 0 || label >= n {
			return usageError{fmt.Errorf("--class %s: want %s", c, classList(t, named))}
		}
		labels = append(labels, uint32(label))
	}
	if labels != nil {
		for k := range r.N {
			r.Labels = append(r.Labels, labels[k%len(labels)])
		}
	}
	return nil
}

func classList(t *model.Trained, n int) string {
	if len(t.Classes) == 0 || len(t.Classes) > 20 {
		return fmt.Sprintf("a number from 0 to %d", n-1)
	}
	return strings.Join(t.Classes, ", ")
}

// pictureOf reads one picture as the network has it: [S,S,C] in [-1,1].
func pictureOf(ctx context.Context, path string, size, channels int) ([]float32, error) {
	if channels != 1 && channels != 3 {
		return nil, fmt.Errorf("%s: the model's images have %d channels, which no picture has", path, channels)
	}
	set, err := data.Load(ctx, path, data.Options{Size: size, Channels: channels, MaxImages: 1})
	if err != nil {
		return nil, err
	}
	x := make([]float32, size*size*channels)
	for i, p := range set.Bytes(0) {
		x[i] = float32(p)/127.5 - 1
	}
	return x, nil
}

// maskOf is 1 where a picture is white, or in a part of the image: [S,S,C].
func maskOf(ctx context.Context, name string, size, channels int) ([]float32, error) {
	parts := map[string]func(y, x int) bool{
		"left": func(_, x int) bool { return x < size/2 }, "right": func(_, x int) bool { return x >= size/2 },
		"top": func(y, _ int) bool { return y < size/2 }, "bottom": func(y, _ int) bool { return y >= size/2 },
		"center": func(y, x int) bool { return y >= size/4 && y < size-size/4 && x >= size/4 && x < size-size/4 },
	}
	mask := make([]float32, 0, size*size*channels)
	part := parts[name]
	var grey []float32
	if part == nil {
		var err error
		if grey, err = pictureOf(ctx, name, size, 1); err != nil {
			return nil, fmt.Errorf("--mask: %w", err)
		}
	}
	for y := range size {
		for x := range size {
			v := float32(0)
			switch {
			case part == nil:
				v = (grey[y*size+x] + 1) / 2
			case part(y, x):
				v = 1
			}
			mask = append(mask, slices.Repeat([]float32{v}, channels)...)
		}
	}
	return mask, nil
}
