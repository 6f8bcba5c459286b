package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/lab/experiment"
)

// The lab without a screen: the list, an experiment without a network with its pictures, one with a run folder, which is no diffusion model.
func TestLab(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if got := invoke(t, dir, "lab", "--headless"); got.code != exitOK || strings.Count(got.stdout, "\n") != len(experiment.All()) {
		t.Errorf("lab: code %d, %q %q", got.code, got.stdout, got.stderr)
	}
	last := func(args ...string) map[string]any {
		t.Helper()
		got := invoke(t, dir, args...)
		if got.code != exitOK {
			t.Fatalf("%q: code %d: %s", args, got.code, got.stderr)
		}
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
		var v map[string]any
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil {
			t.Fatalf("%q: %v", lines[len(lines)-1], err)
		}
		return v
	}
	v := last("lab", "schedule", "--json", "--out", ".")
	if found, ok := v["printed_betas_found"].([]any); !ok || len(found) == 0 || v["done"] != true {
		t.Errorf("schedule: %v", v["printed_betas_found"])
	}
	if _, err := os.Stat(filepath.Join(dir, "schedule-alphabar.png")); err != nil {
		t.Error(err)
	}
	v = last("lab", "oneshot", "--json", "--size", "8", "--steps", "5", "--batch", "4", "--run", "blur")
	if rmse, ok := v["rmse_to_mean"].(float64); !ok || rmse <= 0 || v["run"] != "blur" {
		t.Errorf("oneshot: %v", v)
	}
	refusal{"sample of a network of the lab", []string{"sample", filepath.Join(dir, "blur"), "--headless"}, exitFail, []string{"blur", "ddpm-tui lab"}}.check(t)
	for _, r := range []refusal{
		{"lab: an experiment that there is not", []string{"lab", "spiral"}, exitUsage, []string{"lab", "--help"}},
		{"lab: a group that does not fit", []string{"lab", "blocks", "--headless", "--group", "5"}, exitUsage, []string{"--group", "5"}},
		{"lab: a head that cannot be drawn from", []string{"lab", "pixel", "--headless", "--head", "mse"}, exitUsage, []string{"--head", "mse", "mixture"}},
		{"lab: images that there are not", []string{"lab", "oneshot", "--headless", "--data", "nowhere"}, exitUsage, []string{"nowhere"}},
		{"lab: a folder that there is not", []string{"lab", "gaussian", "--headless", "--out", "nowhere"}, exitUsage, []string{"nowhere"}},
	} {
		r.check(t)
	}
}
