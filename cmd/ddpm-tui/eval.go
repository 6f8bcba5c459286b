package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// evalFlags are the flags of eval.
type evalFlags struct {
	metrics, checkpoint, data, features string
	shard, output                       string
	n, batch, steps, held, bits         int
	on                                  compute
	sampler, spacing, variance          string
	eta                                 float64
	seed                                uint64
	raw, json, restart                  bool
	ranks                               ranks
	exact                               *bool
}

func newEval() *cobra.Command {
	var f evalFlags
	c := &cobra.Command{
		Use: "eval RUN", Short: "Say how good a model is, in numbers with error bars", Args: args(1, 1),
		Long: `Say how good a model is: evaluate a run's latest checkpoint. The metrics:

  loss       the training loss by timestep, on images that were held out
  bits       bits/dim: the variational bound on the likelihood of held-out images, with its terms by timestep
  swd        sliced Wasserstein distance between samples and training images, on Laplacian pyramids
  frechet    Fréchet distance on features: those of a small autoencoder that is trained on the run's own images, or, with
             --features, of Inception-v3 (the FID)
  kernel     kernel distance on the same features (with Inception-v3 the KID)
  precision  precision and recall on the same features
  nearest    the nearest training image of every sample, side by side in a picture: is it memory?

Each says how many images it rests on and its standard error. All work is kept in the run's folder eval: stopped with Ctrl-C,
the same command goes on where it was. Results are printed and become events of the run.

Held-out images are those that --holdout of train kept back, or with --data others of yours. A run without them is evaluated on
its training images, and says so. --features wants Inception-v3's weights as safetensors, under the names that torchvision and
pytorch-fid have. Only pytorch-fid's, of 1008 classes, make the FID; with torchvision's, of 1000, the distance is called frechet still.`,
		Example: `  ddpm-tui eval runs/avatars32
  ddpm-tui eval runs/avatars32 --metrics swd,frechet -n 1024 --sampler dpmpp2m-sde --sampling-steps 20
  ddpm-tui eval runs/avatars32 --metrics loss,bits --data other-avatars.zip
  ddpm-tui eval runs/avatars32 --metrics frechet --features inception.safetensors
  ddpm-tui eval runs/avatars32 -n 50000 --shard 3/64   # an array job's third part; then ddpm-tui merge eval-*-of-64.safetensors`,
	}
	fl := c.Flags()
	fl.StringVar(&f.metrics, "metrics", "all", "all, or some of "+strings.Join(metrics.Names(), ","))
	fl.StringVar(&f.checkpoint, "checkpoint", "", "checkpoint to evaluate, such as step-00001200 (default: the latest)")
	fl.StringVar(&f.data, "data", "", "images that were never trained on, for loss and bits (default: what the run held out)")
	fl.StringVar(&f.features, "features", "", "weights of Inception-v3 for frechet, kernel and precision")
	fl.IntVarP(&f.n, "num", "n", 512, "samples")
	fl.IntVar(&f.held, "held", 128, "at most so many images for loss and bits")
	fl.IntVar(&f.bits, "bits-steps", 100, "timesteps an image that bits asks the network about, a multiple of 20")
	fl.StringVar(&f.variance, "variance", ddpm.FixedSmall, "variance of the reverse process that bits assumes: fixed_small or fixed_large")
	fl.IntVar(&f.batch, "batch", 32, "images at a time")
	fl.StringVar(&f.sampler, "sampler", "ddim", fmt.Sprintf("one of %v", ddpm.SamplerNames()))
	fl.IntVar(&f.steps, "sampling-steps", 0, "noise levels of a sample (0: all T for ddpm, 50 for the others)")
	fl.StringVar(&f.spacing, "spacing", "", "which timesteps the sampler visits (default trailing, for heun karras)")
	fl.Float64Var(&f.eta, "eta", 0, "ddim's noise: 0 is deterministic, 1 as noisy as ddpm")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of noise, samples and lots")
	fl.BoolVar(&f.raw, "raw-weights", false, "the weights themselves instead of their average (EMA)")
	fl.BoolVar(&f.restart, "restart", false, "forget what earlier evaluations of this run kept")
	fl.StringVar(&f.shard, "shard", "", "do only a part of the work, such as 3/64, and write it into a file; ddpm-tui merge puts the parts together")
	fl.StringVarP(&f.output, "output", "o", "eval"+partEnding, "what such a file is called, but for the part's number")
	fl.BoolVar(&f.json, "json", false, "one JSON object a line")
	f.on.flags(fl)
	f.ranks.flags(fl)
	f.exact = exactFlag(c)
	c.RunE = func(c *cobra.Command, a []string) error {
		return f.ranks.together(c, func() error { return f.eval(c, a[0]) })
	}
	return c
}

func (f *evalFlags) check() error {
	switch {
	case f.n < 16 || f.n > 1<<20:
		return fmt.Errorf("-n %d: want 16 to %d", f.n, 1<<20)
	case f.batch < 1:
		return fmt.Errorf("--batch %d: want at least 1", f.batch)
	case f.steps < 0:
		return fmt.Errorf("--sampling-steps %d: want at least 1", f.steps)
	case f.shard != "" && f.restart:
		return errors.New("--restart and --shard exclude each other: the other parts may be at work in the run's folder")
	case f.held < 2:
		return fmt.Errorf("--held %d: want at least 2", f.held)
	case f.bits < metrics.Buckets || f.bits%metrics.Buckets != 0:
		return fmt.Errorf("--bits-steps %d: want a multiple of %d", f.bits, metrics.Buckets)
	case f.variance != ddpm.FixedSmall && f.variance != ddpm.FixedLarge:
		return fmt.Errorf("--variance %q: want %s or %s", f.variance, ddpm.FixedSmall, ddpm.FixedLarge)
	}
	return nil
}

func (f *evalFlags) eval(c *cobra.Command, path string) error {
	names, err := metrics.ParseNames(f.metrics)
	if err != nil {
		return usageError{fmt.Errorf("--metrics: %w", err)}
	}
	if err := f.check(); err != nil {
		return usageError{err}
	}
	folder, err := run.Open(path)
	if err != nil {
		return err
	}
	cfg := new(train.Config)
	if err := folder.ReadConfig(cfg); err != nil {
		return err
	}
	if f.restart && f.ranks.Rank() == 0 {
		if err := os.RemoveAll(folder.Path(evalDir)); err != nil {
			return err
		}
	}
	from := path
	if f.checkpoint != "" {
		from = folder.Path("checkpoints", filepath.Base(f.checkpoint))
	}
	m, warnings, err := model.Load(from, f.raw)
	for _, w := range warnings {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
	}
	if err != nil {
		return err
	}
	o := metrics.Options{
		Metrics: names, Samples: f.n, Sampler: f.sampler, Seed: f.seed, Batch: f.batch, Mirror: cfg.Flip,
		LossDraws: metrics.Buckets, BitsDraws: min(f.bits, (m.Schedule.T()-1)/metrics.Buckets*metrics.Buckets), Variance: f.variance, FeatureFile: f.features,
		Sampling: ddpm.Defaults(f.sampler, m.Schedule.Config, m.Prediction, f.steps),
	}
	o.Sampling.Eta = f.eta
	if f.spacing != "" {
		o.Sampling.Spacing = ddpm.Spacing(f.spacing)
	}
	if _, err := ddpm.NewSampler(o.Sampler, m.Schedule, o.Sampling); err != nil {
		return usageError{err}
	}
	if err := f.images(c, cfg, m, &o); err != nil {
		return err
	}
	facts := map[string]any{"metrics": names, "weights": sumOf(m.Weights), "samples": o.Samples, "sampler": o.Sampler, "sampling": o.Sampling, "seed": o.Seed}
	if err := f.ranks.same(facts); err != nil {
		return err
	}
	on := f.ranks.compute(f.on)
	b, note, err := on.open(*f.exact || cfg.Exact)
	if err != nil {
		return err
	}
	defer b.Close()
	warn(c.ErrOrStderr(), note)
	o.OnPicture = func(name string, p *image.RGBA) (string, error) {
		name = filepath.Join(evalDir, fmt.Sprintf("%s-step-%08d.png", name, m.Step))
		return name, train.WritePNG(folder.Path(name), p)
	}
	show := f.lines(c.OutOrStdout())
	o.OnResult = func(r run.Eval) error {
		r.Checkpoint = m.Path
		if rel, err := filepath.Rel(folder.Dir(), m.Path); err == nil {
			r.Checkpoint = filepath.ToSlash(rel)
		}
		if err := folder.Note(run.Event{Step: m.Step, Eval: &r}); err != nil {
			fmt.Fprintln(c.ErrOrStderr(), "warning: the result is not in the run's event log:", err)
		}
		return show(r)
	}
	w := &metrics.Work{Dir: folder.Path(evalDir), OnProgress: f.progress(c.OutOrStdout(), c.ErrOrStderr()), Comm: f.ranks}
	if f.ranks.Rank() != 0 { // rank 0 has the folder, and says what comes of it
		o.OnPicture = func(string, *image.RGBA) (string, error) { return "", nil }
		o.OnResult = func(run.Eval) error { return nil }
		return metrics.Evaluate(c.Context(), b, m, &metrics.Work{Comm: f.ranks}, o)
	}
	var p evalPart
	if f.shard != "" {
		if p, err = f.part(c, path, facts); err != nil {
			return err
		}
		w.Part = metrics.Part{K: p.Index - 1, N: p.Count}
	}
	if !f.json {
		fmt.Fprintf(c.OutOrStdout(), "evaluating %s (step %d), %d training images, %s\n", m.Path, m.Step, o.Training.N, heldCount(o))
	}
	err = metrics.Evaluate(c.Context(), b, m, w, o)
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped: what was done is kept, the same command goes on from there")
	}
	if err != nil || f.shard == "" {
		return err
	}
	return p.write(c, w, f)
}

// evalDir is the folder of a run where evaluations keep their work.
const evalDir = "eval"

func heldCount(o metrics.Options) string { return fmt.Sprintf("%d of %s", o.Held.N, o.HeldName) }

// images loads what the model was trained on and what it was not.
func (f *evalFlags) images(c *cobra.Command, cfg *train.Config, m *model.Trained, o *metrics.Options) error {
	load := func(source string) (*data.Set, error) {
		return loadData(c.Context(), source, m.UNet.SampleSize, cfg.Channels(), c.ErrOrStderr())
	}
	set, err := load(cfg.Data)
	if err != nil {
		return err
	}
	if cfg.DataHash != "" && cfg.DataHash != set.Hash {
		fmt.Fprintln(c.ErrOrStderr(), "warning: the images changed since the run was started: what was held out may have been trained on")
	}
	var held metrics.Images
	if o.Training, held, err = cfg.Split(set); err != nil {
		return err
	}
	switch {
	case f.data != "":
		other, err := load(f.data)
		if err != nil {
			return err
		}
		held = metrics.Images{N: other.N, Size: other.Size, Channels: other.Channels, Pixels: other.Pixels}
		o.HeldName = "images of " + other.Name
	case held.N > 0:
		o.HeldName = "held-out images"
	default:
		held, o.HeldName = o.Training, metrics.TrainingName
	}
	o.Held = metrics.Spread(held, f.held)
	return nil
}

// lines prints results.
func (f *evalFlags) lines(w io.Writer) func(run.Eval) error {
	if f.json {
		enc := json.NewEncoder(w)
		return func(r run.Eval) error { return enc.Encode(r) }
	}
	return func(r run.Eval) error {
		if isTerminal(w) {
			fmt.Fprint(w, "\r\x1b[K")
		}
		_, err := fmt.Fprint(w, evalText(r))
		return err
	}
}

// evalText is a result for people.
func evalText(r run.Eval) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %s  (%d images, against %s)\n           %s\n", r.Metric, plusMinus(float64(r.Value), float64(r.Err)), r.N, r.Against, r.About)
	if len(r.Parts) == metrics.Buckets {
		fmt.Fprintf(&b, "           by timestep, from clean to noise:")
		for i, v := range r.Parts {
			if i%10 == 0 {
				b.WriteString("\n          ")
			}
			fmt.Fprintf(&b, " %.4g", float64(v))
		}
		b.WriteString("\n")
	} else if len(r.Parts) > 0 {
		fmt.Fprintf(&b, "           by level, finest first:")
		for i, v := range r.Parts {
			fmt.Fprintf(&b, " %s", plusMinus(float64(v), float64(r.PartErrs[i])))
		}
		b.WriteString("\n")
	}
	if r.File != "" {
		fmt.Fprintf(&b, "           picture: %s\n", r.File)
	}
	return b.String()
}

// plusMinus writes a value with as many digits as its error has a use for.
func plusMinus(v, e float64) string {
	if !(e > 0) || math.IsInf(e, 0) {
		return fmt.Sprintf("%.4g", v)
	}
	digits := max(0, 1-int(math.Floor(math.Log10(e))))
	return fmt.Sprintf("%.*f ± %.*f", digits, v, digits, e)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}

// progress prints how far a task is: in one line of a terminal, or a line now and then.
func (f *evalFlags) progress(out, errs io.Writer) func(metrics.Progress) {
	var last time.Time
	var task string
	enc := json.NewEncoder(out)
	return func(p metrics.Progress) {
		begins := p.Task != task
		tty, often := isTerminal(errs) && !f.json, 5*time.Second
		if tty {
			often = 100 * time.Millisecond
		}
		if !begins && time.Since(last) < often {
			return
		}
		task, last = p.Task, time.Now()
		left := "?"
		if !math.IsNaN(p.Left) {
			left = duration(p.Left)
		}
		percent := 100 * p.Done / p.Total
		switch {
		case f.json:
			_ = enc.Encode(map[string]any{"task": p.Task, "percent": run.Float(percent), "eta_s": run.Float(p.Left)})
		case tty:
			fmt.Fprintf(errs, "\r\x1b[K%s: %.0f%%, %s left", p.Task, percent, left)
		case begins && p.Kept > 0:
			fmt.Fprintf(out, "%s: %.0f%% kept from before\n", p.Task, percent)
		default:
			fmt.Fprintf(out, "%s: %.0f%%, %s left\n", p.Task, percent, left)
		}
	}
}
