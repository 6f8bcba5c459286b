package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// precisionFlags are the flags of train that say in what it computes.
type precisionFlags struct{ precision, lossScale string }

func (f *precisionFlags) flags(fl *pflag.FlagSet) {
	precisionFlag(fl, &f.precision)
	fl.StringVar(&f.lossScale, "loss-scale", "", "where dynamic loss scaling begins, a power of two, or off (default: 65536 with fp16, else off)")
}

// change makes a configuration what the flags say.
func (f *precisionFlags) change(cfg *train.Config, changed func(string) bool) error {
	if changed("precision") {
		p, err := parsePrecision(f.precision)
		if err != nil {
			return err
		}
		if cfg.Precision = p; p == backend.FP32 {
			cfg.Precision = ""
		}
	}
	if !changed("loss-scale") {
		return nil
	}
	if cfg.LossScale = -1; f.lossScale != "off" {
		v, err := strconv.ParseFloat(f.lossScale, 64)
		if err != nil || v < 1 {
			return fmt.Errorf("--loss-scale %q: want a power of two such as 65536, or off", f.lossScale)
		}
		cfg.LossScale = v
	}
	return nil
}

func precisionFlag(fl *pflag.FlagSet, to *string) {
	fl.StringVar(to, "precision", string(backend.FP32), "what activations are held in: fp32, fp16 (Vulkan) or bf16 (CPUs that have it); parameters stay fp32")
}

// parsePrecision reads the flag.
func parsePrecision(s string) (backend.Precision, error) {
	if p := backend.Precision(s); slices.Contains(backend.Known, p) {
		return p, nil
	}
	return "", fmt.Errorf("--precision %q: want fp32, fp16 or bf16", s)
}
