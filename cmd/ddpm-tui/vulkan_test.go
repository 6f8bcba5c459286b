//go:build cgo && !novulkan && linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/vulkan"
)

// invokeWith runs this program with other variables.
func invokeWith(t *testing.T, dir string, env []string, args ...string) (out, errs string, code int) {
	t.Helper()
	c := program(t, dir, args...)
	c.Env = append(c.Env, env...)
	var o, e strings.Builder
	c.Stdout, c.Stderr = &o, &e
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), c.ProcessState.ExitCode()
}

// noDriver makes the loader find no driver.
func noDriver(t *testing.T) []string {
	none := filepath.Join(t.TempDir(), "none.json")
	return []string{"VK_ICD_FILENAMES=" + none, "VK_DRIVER_FILES=" + none}
}

// TestNoDriver takes the drivers away: whoever asks for Vulkan gets an error that says what to do, all others get the CPU and are told.
func TestNoDriver(t *testing.T) {
	long(t)
	dir := t.TempDir()
	env := noDriver(t)
	out, errs, code := invokeWith(t, dir, env, "devices")
	if code != 0 || !strings.Contains(out, "cpu ") || !strings.Contains(out, "vulkan: no ") {
		t.Errorf("devices: %d\n%s%s", code, out, errs)
	}
	_, errs, code = invokeWith(t, dir, env, "train", pictures(), "--preset", "tiny", "--steps", "1", "--json", "--backend", "vulkan", "--run", "a")
	if code == 0 || !strings.Contains(errs, "vulkan: no ") || !strings.Contains(errs, "install") {
		t.Errorf("train --backend vulkan: %d\n%s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "checkpoints", "latest")); err == nil {
		t.Error("a run that could not start has a checkpoint")
	}
	out, errs, code = invokeWith(t, dir, env, "train", pictures(), "--preset", "tiny", "--steps", "1", "--threads", "1", "--json", "--run", "b")
	if log := string(read(t, dir, "b", "events.jsonl")); code != 0 || !strings.Contains(log, "computing on the CPU: vulkan: no ") {
		t.Errorf("train: %d\n%s%s\n%s", code, out, errs, log)
	}
}

// TestForcedCPU never asks Vulkan: the note of the automatic choice is not there.
func TestForcedCPU(t *testing.T) {
	long(t)
	out, errs, code := invokeWith(t, t.TempDir(), nil, "train", pictures(), "--preset", "tiny", "--steps", "1", "--threads", "1", "--json", "--backend", "cpu", "--run", "r")
	if code != 0 || strings.Contains(out+errs, "ulkan") || !strings.Contains(out, `"backend":"cpu"`) {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

// TestNoSuchDevice names what there is.
func TestNoSuchDevice(t *testing.T) {
	long(t)
	list, err := vulkan.Devices()
	if err != nil {
		t.Skipf("no Vulkan device (Debian: apt install mesa-vulkan-drivers): %v", err)
	}
	for _, args := range [][]string{{"train", "--preset", "tiny"}, {"bench"}, {"devices"}} {
		_, errs, code := invokeWith(t, t.TempDir(), nil, append(args, "--device", "abacus")...)
		if code != exitUsage || !strings.Contains(errs, `"abacus"`) || !strings.Contains(errs, list[0].Name) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if _, errs, code := invokeWith(t, t.TempDir(), nil, "bench", "--backend", "cpu", "--device", "0"); code != exitUsage || !strings.Contains(errs, "--device") {
		t.Errorf("--device with the CPU: %d %s", code, errs)
	}
}

// TestBenchOnVulkan times the operations of a very small network's training step on the first device.
func TestBenchOnVulkan(t *testing.T) {
	long(t)
	if _, err := vulkan.Devices(); err != nil {
		t.Skipf("no Vulkan device (Debian: apt install mesa-vulkan-drivers): %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "net.json"), smallNet)
	out, errs, code := invokeWith(t, dir, nil, "bench", "--config", "net.json", "--batch", "1", "--iters", "1", "--mode", "op", "--backend", "vulkan", "--json")
	if code != 0 || !strings.Contains(out, `"backend":"vulkan"`) || !strings.Contains(out, `"op":"conv2d_weight"`) {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

// TestChoiceStays has auto time a software device and the CPU, which is faster, and a run that was begun on the device go on there, or,
// where it is not, on the CPU with a warning. A resume never times again.
func TestChoiceStays(t *testing.T) {
	long(t)
	if _, err := vulkan.Devices(); err != nil {
		t.Skipf("no Vulkan device (Debian: apt install mesa-vulkan-drivers): %v", err)
	}
	dir := t.TempDir()
	text, err := json.Marshal(smallConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "small.json"), string(text))
	cache := vulkan.CacheEnv + "=" + t.TempDir()
	software := []string{softwareEnv + "=1"}
	check := func(env []string, want, wantLog string, args ...string) {
		t.Helper()
		args = append(args, "--threads", "1", "--headless")
		out, errs, code := invokeWith(t, dir, append(env, cache), args...)
		if code != 0 || !strings.Contains(out, "\non "+want) || wantLog != "" && !strings.Contains(out+errs, wantLog) || wantLog == "" && strings.Contains(out, "what is faster") {
			t.Errorf("%v: %d, want %q and %q\n%s%s", args, code, want, wantLog, out, errs)
		}
	}
	new := func(name string, more ...string) []string {
		return append([]string{"train", pictures(), "--config", "small.json", "--steps", "1", "--run", name}, more...)
	}
	check(software, "cpu ", "info: computing on the CPU: a training step takes ", new("a")...)
	check(software, "cpu ", "", "resume", "a", "--steps", "2")
	check(nil, "vulkan ", "", new("b", "--backend", "vulkan")...)
	check(nil, "vulkan ", "", "resume", "b", "--steps", "2")
	check(noDriver(t), "cpu ", "warn: computing on the CPU: this run was begun on ", "resume", "b", "--steps", "3")
	for run, want := range map[string]string{"a": `"backend": "cpu"`, "b": `"backend": "vulkan"`} {
		if text := string(read(t, dir, run, "config.json")); !strings.Contains(text, want) {
			t.Errorf("%s: no %s in\n%s", run, want, text)
		}
	}
}
