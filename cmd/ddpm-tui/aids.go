package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// aidFlags are the flags of train that make a new run's configuration other than its preset's, besides the plainest.
type aidFlags struct {
	lr, floor, decay, dropout, minSNR, augment float64
	course, lengths                            string
	warmup, accumulate, crop, holdout          int
	snapshots                                  int64
	flip, rawPreview                           bool
	evalEvery                                  int64
	evalSamples, earlyStop                     int
	initFrom                                   string
	tensorboard, csv                           bool
}

// aidNames are their names: a run that exists keeps its configuration.
var aidNames = []string{
	"lr", "lr-schedule", "lr-floor", "warmup", "weight-decay", "dropout", "min-snr", "accumulate", "flip", "crop", "augment", "holdout", "ema-lengths",
	"ema-snapshots", "raw-previews", "eval-every", "eval-samples", "early-stop", "init-from", "tensorboard", "csv",
}

func (f *aidFlags) flags(fl *pflag.FlagSet) {
	fl.Float64Var(&f.lr, "lr", 0, "learning rate")
	fl.StringVar(&f.course, "lr-schedule", "", "learning rate after the warm-up: constant, cosine or linear, down to --lr-floor at the last step")
	fl.Float64Var(&f.floor, "lr-floor", 0, "part of the learning rate that is left at the last step")
	fl.IntVar(&f.warmup, "warmup", 0, "steps in which the learning rate rises")
	fl.Float64Var(&f.decay, "weight-decay", 0, "AdamW's weight decay")
	fl.Float64Var(&f.dropout, "dropout", 0, "probability of dropout in the residual blocks")
	fl.Float64Var(&f.minSNR, "min-snr", 0, "weigh the loss by timestep, min-SNR with this gamma (5 is usual; 0: not)")
	fl.IntVar(&f.accumulate, "accumulate", 0, "compute a step's batch in so many parts, one after the other, in less memory")
	fl.BoolVar(&f.flip, "flip", false, "mirror half of the images")
	fl.IntVar(&f.crop, "crop", 0, "shift the images by up to so many pixels")
	fl.Float64Var(&f.augment, "augment", 0, "probability with which each image is mirrored, turned, shifted, made brighter, given contrast, as ADA does; samples show a little of it")
	fl.IntVar(&f.holdout, "holdout", 0, "images that are never trained on, for the loss and bits/dim of eval")
	fl.StringVar(&f.lengths, "ema-lengths", "", "further averages, by relative width, such as 0.05,0.10 (see ddpm-tui ema)")
	fl.Int64Var(&f.snapshots, "ema-snapshots", 0, "steps between two snapshots of the further averages")
	fl.BoolVar(&f.rawPreview, "raw-previews", false, "beside the previews of the average those of the weights themselves")
	f.evalFlags(fl)
}

// evalFlags are those of evaluations while training.
func (f *aidFlags) evalFlags(fl *pflag.FlagSet) {
	fl.Int64Var(&f.evalEvery, "eval-every", 0, "steps between evaluations: held-out loss and sliced Wasserstein distance; holds out 128 images unless --holdout says otherwise")
	fl.IntVar(&f.evalSamples, "eval-samples", 0, "samples of an evaluation while training (default 64)")
	fl.IntVar(&f.earlyStop, "early-stop", 0, "end after so many evaluations without a lower held-out loss; checkpoints/best-* is the best")
	fl.StringVar(&f.initFrom, "init-from", "", "begin with the averaged weights of a run, a checkpoint or a diffusers folder, and with its network: fine-tuning")
	fl.BoolVar(&f.tensorboard, "tensorboard", false, "also write TensorBoard's event files, in the run's folder tensorboard")
	fl.BoolVar(&f.csv, "csv", false, "also write metrics.csv in the run's folder")
}

// change makes a configuration what the flags say.
func (f *aidFlags) change(cfg *train.Config, changed func(string) bool) error {
	for name, set := range map[string]func(){
		"lr":            func() { cfg.Optimizer.LR = f.lr },
		"lr-schedule":   func() { cfg.Optimizer.Course = f.course },
		"lr-floor":      func() { cfg.Optimizer.Floor = f.floor },
		"warmup":        func() { cfg.Optimizer.Warmup = f.warmup },
		"weight-decay":  func() { cfg.Optimizer.Decay = f.decay },
		"dropout":       func() { cfg.UNet.Dropout = f.dropout },
		"min-snr":       func() { cfg.MinSNR = f.minSNR },
		"accumulate":    func() { cfg.Accumulate = f.accumulate },
		"flip":          func() { cfg.Flip = f.flip },
		"crop":          func() { cfg.Crop = f.crop },
		"augment":       func() { cfg.Augment = f.augment },
		"holdout":       func() { cfg.Holdout = f.holdout },
		"ema-snapshots": func() { cfg.EMA.SnapshotSteps = f.snapshots },
		"raw-previews":  func() { cfg.Preview.Raw = f.rawPreview },
		"tensorboard":   func() { cfg.Logs.TensorBoard = f.tensorboard },
		"csv":           func() { cfg.Logs.CSV = f.csv },
	} {
		if changed(name) {
			set()
		}
	}
	if err := f.changeEval(cfg, changed); err != nil {
		return err
	}
	if changed("ema-lengths") {
		cfg.EMA.Lengths = nil
		for _, s := range strings.Split(f.lengths, ",") {
			v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if err != nil {
				return fmt.Errorf("--ema-lengths %q: want numbers such as 0.05,0.10", f.lengths)
			}
			cfg.EMA.Lengths = append(cfg.EMA.Lengths, v)
		}
	}
	return nil
}

// changeEval makes the evaluations what the flags say.
func (f *aidFlags) changeEval(cfg *train.Config, changed func(string) bool) error {
	if changed("eval-every") {
		e := train.Eval{}
		if cfg.Eval != nil {
			e = *cfg.Eval
		}
		e.Steps = f.evalEvery
		cfg.Eval = &e
		if f.evalEvery == 0 {
			cfg.Eval = nil
		} else if cfg.Holdout == 0 && !changed("holdout") {
			cfg.Holdout = train.DefaultHoldout
		}
	}
	for name, set := range map[string]func(){
		"eval-samples": func() { cfg.Eval.Samples = f.evalSamples },
		"early-stop":   func() { cfg.Eval.Patience = f.earlyStop },
	} {
		if changed(name) {
			if cfg.Eval == nil {
				return fmt.Errorf("--%s is about evaluations: say with --eval-every when they are", name)
			}
			set()
		}
	}
	return nil
}
