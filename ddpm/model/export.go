package model

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/nn"
	"github.com/ddpm-tui/ddpm-tui/nn/durable"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// diffusersVersion is the version whose files these are.
const diffusersVersion = "0.30.3"

// Export writes the model as a folder that diffusers' DDPMPipeline.from_pretrained opens. The folder must be empty or not
// there yet; model_index.json comes last, so that a folder that has it is whole.
func (t *Trained) Export(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose a folder that does not exist yet", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	scheduler, err := ddpm.DiffusersScheduler(t.Schedule.Config, t.Prediction)
	if err != nil {
		return err
	}
	scheduler["_diffusers_version"] = diffusersVersion
	unet, err := json.Marshal(t.UNet)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(unet, &config); err != nil {
		return err
	}
	config["_diffusers_version"] = diffusersVersion
	for _, d := range []string{unetFolder, "scheduler"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(dir, "scheduler", schedulerFile), scheduler); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, unetFolder, nn.ConfigFile), config); err != nil {
		return err
	}
	weights := t.Params.Encode(t.Weights)
	if err := safetensors.WriteFile(filepath.Join(dir, unetFolder, nn.WeightsFile), weights, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	if t.Classes != nil {
		if err := writeJSON(filepath.Join(dir, classesFile), t.Classes); err != nil {
			return err
		}
	}
	return writeJSON(filepath.Join(dir, pipelineFile), map[string]any{
		"_class_name": "DDPMPipeline", "_diffusers_version": diffusersVersion,
		"scheduler": []string{"diffusers", "DDPMScheduler"}, "unet": []string{"diffusers", "UNet2DModel"},
	})
}

func writeJSON(path string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return durable.File(path, 0o666, func(w io.Writer) error {
		_, err := w.Write(b.Bytes())
		return err
	})
}

// VectorsFile is where WriteVectors writes in an exported folder.
func VectorsFile(dir string) string { return filepath.Join(dir, unetFolder, "vectors.io.safetensors") }

// WriteVectors writes n inputs and the network's outputs, so that another program can check itself: x [n,C,H,W] drawn from
// the seed, timestep [n] from the first to the last, class_labels [n] where there are classes, y [n,C,H,W].
func (t *Trained) WriteVectors(ctx context.Context, path string, b backend.Backend, n int, seed uint64) error {
	f, mem, err := t.Forward(b, 1)
	if err != nil {
		return err
	}
	defer mem.Close()
	S, T := t.UNet.SampleSize, t.Schedule.T()
	in, out := S*S*t.UNet.InChannels, S*S*t.UNet.OutChannels
	x, y := make([]float32, n*in), make([]float32, n*out)
	steps, labels := make([]int64, n), make([]int64, n)
	first := 0
	if t.UNet.Fourier() { // which has no timestep 0
		first = 1
	}
	for i := range n {
		steps[i] = int64(T - 1)
		if n > 1 {
			steps[i] = int64(first + i*(T-1-first)/(n-1))
		}
		image := x[i*in : (i+1)*in]
		rng.Normals(image, seed, rng.StreamSample, uint32(i), 0)
		var class []uint32
		if classes := t.UNet.Classes(); classes > 0 {
			labels[i] = int64(i % min(classes, T))
			class = []uint32{uint32(labels[i])}
		}
		if err := f.Run(ctx, image, []int{int(steps[i])}, class, y[i*out:(i+1)*out]); err != nil {
			return err
		}
	}
	tensors := []safetensors.Tensor{
		safetensors.Float32("x", []int{n, t.UNet.InChannels, S, S}, channelsFirst(x, n, S*S, t.UNet.InChannels)),
		safetensors.Int64("timestep", []int{n}, steps),
		safetensors.Float32("y", []int{n, t.UNet.OutChannels, S, S}, channelsFirst(y, n, S*S, t.UNet.OutChannels)),
	}
	if t.UNet.Classes() > 0 {
		tensors = append(tensors, safetensors.Int64("class_labels", []int{n}, labels))
	}
	return safetensors.WriteFile(path, tensors, map[string]string{"format": "pt"})
}

// channelsFirst turns [n,pixels,C] into [n,C,pixels].
func channelsFirst(v []float32, n, pixels, C int) []float32 {
	out := make([]float32, len(v))
	for i := range n {
		for p := range pixels {
			for c := range C {
				out[(i*C+c)*pixels+p] = v[(i*pixels+p)*C+c]
			}
		}
	}
	return out
}
