package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// runsDir is where runs live unless --run says otherwise.
const runsDir = "runs"

// trainFlags are the flags of train.
type trainFlags struct {
	job
	preset, config, run string
	classes             bool
	batch, size         int
	seed                uint64
	exact               *bool
	precision           precisionFlags
	aids                aidFlags
	from                *model.Trained // what --init-from names
}

func newTrain() *cobra.Command {
	var f trainFlags
	c := &cobra.Command{
		Use: "train [DATA]", Short: "Train a model on a set of images", Args: args(0, 1),
		Long: `Train a model and watch it learn. DATA is a folder, a zip or tar of images, CIFAR-10's binary files or MNIST's idx files;
left out, it is the 2,048 avatars inside the program.

The run's folder holds its configuration, events, checkpoints and previews. With --run of a folder that holds a run this is the
same as resume.`,
		Example: `  ddpm-tui train
  ddpm-tui train ~/pictures --preset avatars64 --run runs/mine
  ddpm-tui train --preset tiny --headless --json | jq .loss`,
	}
	fl := c.Flags()
	fl.StringVar(&f.preset, "preset", train.DefaultPreset, "configuration to start from (see ddpm-tui presets)")
	fl.StringVar(&f.config, "config", "", "configuration file instead of a preset (see ddpm-tui presets --json)")
	fl.StringVar(&f.run, "run", "", "run folder (default: a new one in ./runs named after the preset)")
	fl.IntVar(&f.batch, "batch", 0, "images a step")
	fl.IntVar(&f.size, "size", 0, "pixels a side")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of weights, noise and order")
	fl.BoolVar(&f.classes, "classes", false, "tell the network the class of each image: its folder's name, or CIFAR-10's and MNIST's labels")
	f.aids.flags(fl)
	f.precision.flags(fl)
	f.exact = exactFlag(c)
	f.flags(fl)
	c.RunE = func(c *cobra.Command, a []string) error {
		return f.ranks.together(c, func() error { return f.train(c, a) })
	}
	return c
}

// train opens or makes the run and trains it.
func (f *trainFlags) train(c *cobra.Command, a []string) error {
	err := f.check(c)
	if err != nil {
		err = usageError{err}
	}
	if err := dist.Agree(f.ranks, err); err != nil {
		return err
	}
	goesOn := f.run != "" && run.IsRun(f.run)
	if err := dist.Tell(f.ranks, &goesOn); err != nil { // the others may not see rank 0's folder
		return err
	}
	if goesOn {
		return f.goOn(c, a)
	}
	cfg, err := f.configure(c, first(a))
	if err := dist.Agree(f.ranks, err); err != nil {
		return err
	}
	if err := f.ranks.same(cfg); err != nil {
		return err
	}
	dir := f.run
	if dir == "" {
		dir = newRunDir(cfg.Preset)
	}
	var folder *run.Folder
	if f.ranks.Rank() == 0 {
		if folder, err = run.Create(dir, cfg); err == nil && f.from != nil {
			err = f.importInto(folder, cfg)
		}
	}
	if err := dist.Agree(f.ranks, err); err != nil {
		return err
	}
	f.created = true
	return f.start(c, folder)
}

// goOn trains a run that is there.
func (f *trainFlags) goOn(c *cobra.Command, a []string) error {
	check := func() error {
		for _, name := range append([]string{"preset", "config", "batch", "size", "seed", "exact", "classes", "precision", "loss-scale"}, aidNames...) {
			if c.Flags().Changed(name) {
				return usageError{fmt.Errorf("%s holds a run already, whose configuration stays: leave --%s out, or choose another --run", f.run, name)}
			}
		}
		if len(a) > 0 {
			return usageError{fmt.Errorf("%s holds a run already, which knows its images: leave DATA out, or choose another --run", f.run)}
		}
		return nil
	}
	if err := dist.Agree(f.ranks, check()); err != nil {
		return err
	}
	return f.resume(c, f.run)
}

// configure is a new run's configuration: preset or file, then flags.
func (f *trainFlags) configure(c *cobra.Command, source string) (*train.Config, error) {
	cfg, err := train.PresetConfig(f.preset)
	if err != nil {
		return nil, usageError{err}
	}
	changed := c.Flags().Changed
	if f.config != "" {
		if changed("preset") {
			return nil, usageError{errors.New("--preset and --config exclude each other")}
		}
		p, err := os.ReadFile(f.config)
		if err != nil {
			return nil, err
		}
		cfg = train.Config{}
		if err := run.DecodeConfig(f.config, p, &cfg); err != nil {
			return nil, err
		}
		if err := cfg.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.config, err)
		}
		cfg.DataHash = "" // it may be another run's config.json
	}
	if source != "" {
		if source, err = filepath.Abs(source); err != nil {
			return nil, err
		}
		if _, err := os.Stat(source); err != nil {
			return nil, fmt.Errorf("the images: %w", err)
		}
		cfg.Data = source
	}
	if changed("init-from") {
		if err := f.begin(&cfg); err != nil {
			return nil, err
		}
	}
	if changed("batch") {
		cfg.Batch = f.batch
	}
	if changed("size") {
		cfg.UNet.SampleSize = f.size
	}
	if changed("seed") {
		cfg.Seed = f.seed
	}
	if changed("classes") {
		cfg.ClassLabels = f.classes
	}
	if err := f.precision.change(&cfg, changed); err != nil {
		return nil, usageError{err}
	}
	if changed("exact") {
		cfg.Exact = *f.exact
	}
	if err := f.aids.change(&cfg, changed); err != nil {
		return nil, usageError{err}
	}
	f.change(&cfg)
	if err := cfg.Validate(); err != nil {
		return nil, usageError{err}
	}
	return &cfg, nil
}

// begin loads the model that --init-from names, and makes the configuration that of its network.
func (f *trainFlags) begin(cfg *train.Config) (err error) {
	if f.from, _, err = model.Load(f.aids.initFrom, false); err != nil {
		return fmt.Errorf("--init-from: %w", err)
	}
	cfg.UNet, cfg.Schedule, cfg.Prediction, cfg.Classes = f.from.UNet, f.from.Schedule.Config, f.from.Prediction, f.from.Classes
	f.from.Step = 0
	cfg.Preview.Steps = min(cfg.Preview.Steps, f.from.Schedule.T())
	return nil
}

// importInto makes the weights that a run begins with its first checkpoint.
func (f *trainFlags) importInto(folder *run.Folder, cfg *train.Config) error {
	lock, err := folder.Lock()
	if err != nil {
		return err
	}
	return errors.Join(train.Import(folder, cfg, f.from), lock.Unlock())
}

// newRunDir is the first folder in ./runs of that name, or with a number behind it, that does not exist.
func newRunDir(name string) string {
	if name == "" {
		name = "run"
	}
	dir := filepath.Join(runsDir, name)
	for i := 2; ; i++ {
		if _, err := os.Lstat(dir); err != nil {
			return dir
		}
		dir = filepath.Join(runsDir, fmt.Sprintf("%s-%d", name, i))
	}
}
