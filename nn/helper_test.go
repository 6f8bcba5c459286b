package nn

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/golden"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A model is a golden network: its config, parameters and start weights.
type model struct {
	cfg     *UNetConfig
	params  *Params
	weights []float64 // flat
	T       int
	table   []float64 // as TimeTable has it
}

// loadModel reads PREFIX.config.json and PREFIX.weights.safetensors and makes a table for these timesteps.
func loadModel(t *testing.T, prefix string, timesteps []int64) *model {
	t.Helper()
	cfg, err := ReadConfig(prefix + ".config.json")
	if err != nil {
		t.Fatal(err)
	}
	params, err := UNetParams(cfg)
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.ReadFile(prefix + ".weights.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	flat := make([]float32, params.Elems())
	if err := params.Decode(flat, file); err != nil {
		t.Fatal(err)
	}
	T := int(slices.Max(timesteps)) + 1
	if cfg.classIsTime() {
		T = max(T, 1000)
	}
	table := TimeTable(cfg, T, params, flat)
	return &model{cfg, params, widen(flat), T, widen(table)}
}

// beside is the path prefix of another golden file's neighbour.
func beside(f *golden.File, name string) string { return filepath.Join(filepath.Dir(f.Path), name) }

func widen[E float32 | int64](v []E) []float64 {
	w := make([]float64, len(v))
	for i := range v {
		w[i] = float64(v[i])
	}
	return w
}

// nhwc turns images [n,c,h,w] into [n,h,w,c], nchw the other way.
func nhwc(v []float64, n, c, h, w int) []float64 { return transpose(v, n, c, h*w) }
func nchw(v []float64, n, c, h, w int) []float64 { return transpose(v, n, h*w, c) }

func transpose(v []float64, n, rows, cols int) []float64 {
	out := make([]float64, len(v))
	for b := range n {
		for r := range rows {
			for c := range cols {
				out[(b*cols+c)*rows+r] = v[(b*rows+r)*cols+c]
			}
		}
	}
	return out
}
