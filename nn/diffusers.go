package nn

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// The names that diffusers gives a model's files.
const (
	ConfigFile  = "config.json"
	WeightsFile = "diffusion_pytorch_model.safetensors"
)

// ReadModel reads a folder that diffusers' UNet2DModel.from_pretrained reads: config.json and weights, in one file or in
// shards, in F32, F16 or BF16. The result's Path is the file of the weights, or their index.
func ReadModel(dir string) (*UNetConfig, *safetensors.File, error) {
	cfg, err := ReadConfig(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, nil, err
	}
	path, err := findWeights(dir)
	if err != nil {
		return nil, nil, err
	}
	read := safetensors.ReadFile
	if strings.HasSuffix(path, ".json") {
		read = safetensors.ReadSharded
	}
	f, err := read(path)
	return cfg, f, err
}

// findWeights chooses the weights of a folder: the plain ones before those of a variant (fp16), whole files before shards.
func findWeights(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var whole, index, pickled []string
	for _, e := range entries {
		name := e.Name()
		model, ok := strings.CutPrefix(name, "diffusion_pytorch_model.")
		switch {
		case !ok || strings.Contains(model, "-of-"):
		case strings.HasSuffix(model, "safetensors"):
			whole = append(whole, name)
		case strings.HasPrefix(model, "safetensors.index.") && strings.HasSuffix(model, "json"):
			index = append(index, name)
		case strings.HasSuffix(model, "bin"):
			pickled = append(pickled, name)
		}
	}
	for _, c := range []struct {
		plain string
		found []string
	}{{WeightsFile, whole}, {WeightsFile + ".index.json", index}} {
		switch {
		case slices.Contains(c.found, c.plain):
			return filepath.Join(dir, c.plain), nil
		case len(c.found) == 1:
			return filepath.Join(dir, c.found[0]), nil
		case len(c.found) > 1:
			return "", fmt.Errorf("%s has %s, and no %s: leave only one of them", dir, strings.Join(c.found, " and "), c.plain)
		}
	}
	if pickled != nil {
		return "", fmt.Errorf("%s has its weights as a pickle, %s, which may run any code when it is read: convert it to %s first", dir, pickled[0], WeightsFile)
	}
	return "", fmt.Errorf("%s has no %s", dir, WeightsFile)
}
