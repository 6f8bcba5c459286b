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
	lr, floor, decay, dropout, minSNR float64
	course, lengths                   string
	warmup, accumulate, crop, holdout int
	snapshots                         int64
	flip, rawPreview                  bool
}

// aidNames are their names: a run that exists keeps its configuration.
var aidNames = []string{
	"lr", "lr-schedule", "lr-floor", "warmup", "weight-decay", "dropout", "min-snr", "accumulate", "flip", "crop", "holdout", "ema-lengths",
	"ema-snapshots", "raw-previews",
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
	fl.IntVar(&f.holdout, "holdout", 0, "images that are never trained on, for the loss and bits/dim of eval")
	fl.StringVar(&f.lengths, "ema-lengths", "", "further averages, by relative width, such as 0.05,0.10 (see ddpm-tui ema)")
	fl.Int64Var(&f.snapshots, "ema-snapshots", 0, "steps between two snapshots of the further averages")
	fl.BoolVar(&f.rawPreview, "raw-previews", false, "beside the previews of the average those of the weights themselves")
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
		"holdout":       func() { cfg.Holdout = f.holdout },
		"ema-snapshots": func() { cfg.EMA.SnapshotSteps = f.snapshots },
		"raw-previews":  func() { cfg.Preview.Raw = f.rawPreview },
	} {
		if changed(name) {
			set()
		}
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
