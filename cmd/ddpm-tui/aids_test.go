package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// Every training aid can be asked for, lands in the run's configuration, and the run trains, evaluates itself, writes the other tools'
// files and gives an average of another width.
func TestTrainingAids(t *testing.T) {
	long(t)
	dir := t.TempDir()
	out := must(t, dir, strings.Fields(`train --preset tiny --steps 6 --run run --headless --threads 1 --lr 0.001 --lr-schedule cosine --lr-floor 0.1
		--warmup 2 --dropout 0.1 --min-snr 5 --accumulate 2 --flip --crop 2 --ema-lengths 0.05,0.10 --ema-snapshots 2 --raw-previews
		--eval-every 3 --eval-samples 16 --early-stop 9 --tensorboard --csv`)...)
	if !strings.Contains(out, "step 3: loss ") || !strings.Contains(out, "step 6: swd ") {
		t.Errorf("no evaluations in\n%s", out)
	}
	var c train.Config
	if err := json.Unmarshal(read(t, filepath.Join(dir, "run"), "config.json"), &c); err != nil {
		t.Fatal(err)
	}
	if c.Optimizer.Course != "cosine" || c.UNet.Dropout != 0.1 || c.MinSNR != 5 || c.Accumulate != 2 || !c.Flip || c.Crop != 2 || c.Holdout != 128 || c.Eval.Patience != 9 || len(c.EMA.Lengths) != 2 {
		t.Errorf("%+v", c)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "run", "tensorboard", "events.out.tfevents.*")); len(files) != 1 {
		t.Errorf("event files: %v", files)
	}
	must(t, dir, "logs", "run", "--csv", "again.csv")
	if string(read(t, dir, "again.csv")) != string(read(t, filepath.Join(dir, "run"), "metrics.csv")) {
		t.Error("the table written while training is not that of the log")
	}
	must(t, dir, "ema", "run", "average", "--std", "0.075")
	must(t, dir, "sample", "average", "-n", "1", "--sampling-steps", "2", "--headless", "--threads", "1")

	// Fine-tuning begins at step 0 with those weights.
	must(t, dir, "train", "--init-from", "average", "--preset", "tiny", "--steps", "1", "--lr", "0", "--run", "tuned", "--headless", "--threads", "1")
	weights := func(name string) string { return string(read(t, filepath.Join(dir, name), "model.safetensors")) }
	if weights("average/checkpoints/step-00000006") != weights("tuned/checkpoints/step-00000000") {
		t.Error("it does not begin with the weights that it was given")
	}
	if _, err := os.Stat(filepath.Join(dir, "tuned", "checkpoints", "step-00000001")); err != nil {
		t.Error(err)
	}
	events, _, err := run.ReadEvents(filepath.Join(dir, "tuned"), 0)
	if err != nil || len(events) == 0 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for args, want := range map[string]string{
		"--early-stop 3":                    "--early-stop is about evaluations",
		"--lr-schedule up":                  `optimizer.lr_schedule is "up", want constant, cosine or linear`,
		"--accumulate 5":                    "batch 16 is not a multiple of accumulate 5",
		"--ema-lengths a":                   `--ema-lengths "a"`,
		"--ema-lengths 0.9":                 "ema.lengths has 0.9, want 0.01 to 0.2886",
		"--ema-snapshots 5":                 "ema.snapshot_steps says when ema.lengths are kept",
		"--dropout 1":                       "dropout is 1",
		"--crop 16":                         "crop is 16",
		"--init-from none":                  "--init-from: there is no run or checkpoint none",
		"--holdout 3000":                    "nothing would be left to train on",
		"--metrics-addr 0.0.0.0:1":          "not of this machine alone",
		"--run run --resume-nothing --crop": "unknown flag",
		"--run run --crop 1":                "leave --crop out",
	} {
		r := invoke(t, dir, append([]string{"train", "--preset", "tiny", "--headless"}, strings.Fields(args)...)...)
		if strings.Contains(args, "--run") {
			r = invoke(t, dir, append([]string{"train", "--headless"}, strings.Fields(args)...)...)
		}
		if r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %q", args, r.code, r.stderr, want)
		}
	}
}
