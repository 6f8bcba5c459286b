package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A run becomes a folder of diffusers, is sampled from there, becomes a run again, and is trained further.
func TestDiffusersRoundTrip(t *testing.T) {
	long(t)
	dir := t.TempDir()
	out := must(t, dir, "export", trained(), "out", "--vectors", "2", "--exact", "--threads", "1")
	if !strings.Contains(out, "2 inputs and outputs are in "+model.VectorsFile("out")) {
		t.Errorf("it says %q", out)
	}
	f, err := safetensors.ReadFile(filepath.Join(dir, model.VectorsFile("out")))
	if err != nil {
		t.Fatal(err)
	}
	if x, err := f.Tensor("y"); err != nil || !x.HasShape(2, 3, 16, 16) {
		t.Errorf("y: %v, %v", x, err)
	}
	must(t, dir, "import", "out", "back")
	sample := func(path, to string) []byte {
		must(t, dir, "sample", path, "--headless", "-n", "2", "--sampling-steps", "4", "--seed", "5", "-o", to, "--sampler", "ddim", "--threads", "1")
		return read(t, dir, to)
	}
	want := sample(trained(), "a.png")
	for _, path := range []string{"out", "back"} {
		if !bytes.Equal(want, sample(path, "b.png")) {
			t.Errorf("%s gives other images than the run", path)
		}
	}
	must(t, dir, "resume", "back", "--steps", "1", "--headless", "--threads", "1")
	if _, err := os.Stat(filepath.Join(dir, "back", "checkpoints", "step-00000001")); err != nil {
		t.Error(err)
	}
}
