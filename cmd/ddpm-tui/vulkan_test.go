//go:build cgo && !novulkan && linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/vulkan"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
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

// TestNoVulkan takes the drivers away, or the loader: whoever asks for Vulkan gets an error that says what to do, all others get the CPU
// and are told.
func TestNoVulkan(t *testing.T) {
	long(t)
	for name, env := range map[string][]string{"no driver": noDriver(t), "no loader": {vulkan.LoaderEnv + "=" + filepath.Join(t.TempDir(), "none.so")}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			want := "vulkan: no " // driver, or device, as the loader has it
			if name == "no loader" {
				want = "vulkan: no Vulkan loader ("
			}
			out, errs, code := invokeWith(t, dir, env, "devices")
			if code != 0 || !strings.Contains(out, "cpu ") || !strings.Contains(out, want) {
				t.Errorf("devices: %d\n%s%s", code, out, errs)
			}
			_, errs, code = invokeWith(t, dir, env, "train", pictures(), "--preset", "tiny", "--steps", "1", "--json", "--backend", "vulkan", "--run", "a")
			if code == 0 || !strings.Contains(errs, want) || !strings.Contains(errs, "install") {
				t.Errorf("train --backend vulkan: %d\n%s", code, errs)
			}
			if _, err := os.Stat(filepath.Join(dir, "a", "checkpoints", "latest")); err == nil {
				t.Error("a run that could not start has a checkpoint")
			}
			out, errs, code = invokeWith(t, dir, env, "train", pictures(), "--preset", "tiny", "--steps", "1", "--threads", "1", "--json", "--run", "b")
			if log := string(read(t, dir, "b", "events.jsonl")); code != 0 || !strings.Contains(log, "computing on the CPU: "+want) {
				t.Errorf("train: %d\n%s%s\n%s", code, out, errs, log)
			}
		})
	}
}

// smallFile writes a small configuration.
func smallFile(t *testing.T, dir string) string {
	t.Helper()
	text, err := json.Marshal(smallConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "small.json"), string(text))
	return "small.json"
}

// TestVulkanLost takes the device away in the middle of a run, which ends as the table of faults says and goes on, on the CPU, from its
// last checkpoint.
func TestVulkanLost(t *testing.T) {
	long(t)
	if _, err := vulkan.Devices(); err != nil {
		t.Skipf("no Vulkan device (Debian: apt install mesa-vulkan-drivers): %v", err)
	}
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone")
	tr := background(t, dir, func(c *exec.Cmd) {
		c.Env = append(c.Env, vulkan.LoseEnv+"="+gone, vulkan.CacheEnv+"="+t.TempDir())
	}, pictures(), "--config", smallFile(t, dir), "--run", "r", "--steps", "1000000", "--checkpoint-every", "4", "--backend", "vulkan")
	tr.until(6)
	write(t, gone, "")
	code := tr.wait()
	if says := tr.stderr.String(); code != run.FaultDevice.Exit || !strings.Contains(says, "the device was lost") || !strings.Contains(says, "--backend cpu") {
		t.Errorf("exit code %d\n%s", code, says)
	}
	var saved int64
	for _, e := range events(t, filepath.Join(dir, "r")) {
		if e.Checkpoint != nil {
			saved = e.Step
		}
		if e.End != nil && (e.End.Fault != run.FaultDevice.Name || e.End.Reason != run.Failed) {
			t.Errorf("the log ends with %+v", e.End)
		}
	}
	if saved < 4 || saved%4 != 0 {
		t.Errorf("the last checkpoint is of step %d", saved)
	}
	out, errs, code := invokeWith(t, dir, nil, "resume", "r", "--backend", "cpu", "--threads", "1", "--headless", "--steps", strconv.FormatInt(saved+2, 10))
	if code != 0 || !strings.Contains(out, "on cpu ") {
		t.Errorf("resume --backend cpu: %d\n%s%s", code, out, errs)
	}
	checkRun(t, filepath.Join(dir, "r"), saved+2, "done")
}

// TestVulkanMemory asks for more than any machine has: it is refused before there is a run, with what would fit.
func TestVulkanMemory(t *testing.T) {
	long(t)
	if _, err := vulkan.Devices(); err != nil {
		t.Skipf("no Vulkan device (Debian: apt install mesa-vulkan-drivers): %v", err)
	}
	dir := t.TempDir()
	_, errs, code := invokeWith(t, dir, nil, "train", pictures(), "--config", smallFile(t, dir), "--batch", "1048576", "--headless", "--backend", "vulkan", "--run", "r")
	if code != run.FaultMemory.Exit || !strings.Contains(errs, "not enough memory") || !strings.Contains(errs, "would fit") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}

// TestTurn gives the ranks of a host its devices by turns; a software device only where any will do.
func TestTurn(t *testing.T) {
	list := []vulkan.DeviceInfo{{Index: 0, Kind: "cpu"}, {Index: 1, Kind: "discrete"}, {Index: 2, Kind: "discrete", Usable: "too old"}, {Index: 3, Kind: "discrete"}}
	for n, want := range []string{"1", "3", "1"} {
		if got := turnOf(list, n, false); got != want {
			t.Errorf("rank %d has device %q, want %q", n, got, want)
		}
	}
	if got := turnOf(list, 2, true) + turnOf(list[:1], 5, true) + turnOf(list[:1], 0, false) + turnOf(nil, 1, true); got != "30" {
		t.Errorf("got %q", got)
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

// TestBenchOnVulkan times the operations of a very small network's training step on the first device, and what a replay costs.
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
	out, errs, code = invokeWith(t, dir, nil, "bench", "--iters", "1", "--mode", "replay", "--backend", "vulkan", "--json")
	var line benchLine
	if err := json.Unmarshal([]byte(out), &line); code != 0 || err != nil || line.Replay == nil || line.Replay.Apart <= 0 || line.Replay.Together <= 0 {
		t.Errorf("%d %v\n%s%s", code, err, out, errs)
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
	smallFile(t, dir)
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
