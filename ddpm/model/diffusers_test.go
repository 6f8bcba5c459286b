package model

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/nn"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// exported is the little model in a folder of diffusers, and the model.
func exported(t *testing.T) (dir string, m *Trained) {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m, _ = little(t, b, 1)
	m.Prediction = ddpm.VPrediction
	dir = filepath.Join(t.TempDir(), "out")
	if err := m.Export(dir); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestExportRoundTrip(t *testing.T) {
	dir, m := exported(t)
	if !IsDiffusers(dir) || !IsDiffusers(filepath.Join(dir, "unet")) || IsDiffusers(filepath.Join(dir, "scheduler")) {
		t.Error("what is a folder of diffusers is not known")
	}
	got, warnings, err := Load(dir, false)
	if err != nil || warnings != nil {
		t.Fatal(warnings, err)
	}
	if !slices.Equal(got.Weights, m.Weights) || got.Prediction != m.Prediction || !slices.Equal(got.Schedule.AlphasCumprod, m.Schedule.AlphasCumprod) || got.UNet.SampleSize != 8 {
		t.Errorf("another model came back: %+v", got)
	}
	if got.Scheduler == nil || got.Scheduler.Class != "DDPMScheduler" {
		t.Errorf("scheduler %+v", got.Scheduler)
	}
	if err := m.Export(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second export: %v", err)
	}
}

func TestExportOfEverySchedule(t *testing.T) {
	for _, kind := range ddpm.Kinds() {
		for _, c := range []ddpm.ScheduleConfig{{Kind: kind, T: 50}, {Kind: kind, T: 50, ZeroTerminalSNR: true}} {
			for _, change := range []func(*ddpm.ScheduleConfig){nil, func(c *ddpm.ScheduleConfig) { c.S, c.BetaStart, c.Tau = 0.02, 2e-4, 0.9 }} {
				if change != nil {
					change(&c)
				}
				m, err := ddpm.DiffusersScheduler(c, ddpm.VPrediction)
				if err != nil {
					t.Fatal(err)
				}
				b, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				back, err := ddpm.ParseScheduler(b)
				if err != nil {
					t.Fatalf("%s: %v", b, err)
				}
				want, _ := ddpm.NewSchedule(c)
				got, err := ddpm.NewSchedule(back.Schedule)
				if err != nil || got.T() != want.T() || back.Options.Prediction != ddpm.VPrediction {
					t.Fatalf("%+v became %+v, %v", c, back, err)
				}
				for i, v := range want.AlphasCumprod {
					if math.Abs(got.AlphasCumprod[i]-v) > 1e-12 {
						t.Errorf("%+v: alphabar %d is %g, was %g", c, i, got.AlphasCumprod[i], v)
						break
					}
				}
			}
		}
	}
}

func TestVectors(t *testing.T) {
	dir, m := exported(t)
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	path := VectorsFile(dir)
	if err := m.WriteVectors(context.Background(), path, b, 3, 7); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string, shape ...int) []float32 {
		x, err := f.Tensor(name)
		if err != nil || !x.HasShape(shape...) {
			t.Fatalf("%s: %v, %v", name, x, err)
		}
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	x, y := read("x", 3, 3, 8, 8), read("y", 3, 3, 8, 8)
	steps, err := f.Tensor("timestep")
	if err != nil {
		t.Fatal(err)
	}
	ts, err := steps.Int64s()
	if err != nil || !slices.Equal(ts, []int64{0, 49, 99}) {
		t.Errorf("timesteps %v, %v", ts, err)
	}
	// The middle one again, from the file's layout to the network's.
	fw, mem, err := m.Forward(b, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	in, out := make([]float32, 192), make([]float32, 192)
	for p := range 64 {
		for c := range 3 {
			in[p*3+c] = x[192+c*64+p]
		}
	}
	if err := fw.Run(context.Background(), in, []int{49}, nil, out); err != nil {
		t.Fatal(err)
	}
	for p := range 64 {
		for c := range 3 {
			if out[p*3+c] != y[192+c*64+p] {
				t.Fatalf("pixel %d, channel %d is %g, the file has %g", p, c, out[p*3+c], y[192+c*64+p])
			}
		}
	}
}

// weightsOf returns the tensors of an exported folder.
func weightsOf(t *testing.T, dir string) []safetensors.Tensor {
	t.Helper()
	f, err := safetensors.ReadFile(filepath.Join(dir, "unet", nn.WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	var list []safetensors.Tensor
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, *x)
	}
	return list
}

// brain is a tensor in BF16, its values cut off.
func brain(x safetensors.Tensor) safetensors.Tensor {
	var data []byte
	for i := 2; i < len(x.Data); i += 4 {
		data = append(data, x.Data[i], x.Data[i+1])
	}
	return safetensors.Tensor{Name: x.Name, DType: "BF16", Shape: x.Shape, Data: data}
}

// half is a tensor in F16, its values cut off; those of the model are neither large nor very small.
func half(x safetensors.Tensor) safetensors.Tensor {
	var data []byte
	for i := 0; i < len(x.Data); i += 4 {
		bits := binary.LittleEndian.Uint32(x.Data[i:])
		exp := int(bits>>23&0xff) - 127 + 15
		h := uint16(bits >> 16 & 0x8000)
		if exp > 0 {
			h |= uint16(exp)<<10 | uint16(bits>>13&0x3ff)
		}
		data = binary.LittleEndian.AppendUint16(data, h)
	}
	return safetensors.Tensor{Name: x.Name, DType: "F16", Shape: x.Shape, Data: data}
}

// Files of other kinds and layouts give the same model, as far as they can hold it.
func TestLoadDiffusersFiles(t *testing.T) {
	write := func(t *testing.T, path string, tensors []safetensors.Tensor) {
		t.Helper()
		if err := safetensors.WriteFile(path, tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	each := func(list []safetensors.Tensor, f func(safetensors.Tensor) safetensors.Tensor) (out []safetensors.Tensor) {
		for _, x := range list {
			out = append(out, f(x))
		}
		return out
	}
	shard := func(t *testing.T, unet, ending string, list []safetensors.Tensor) {
		first, second := "diffusion_pytorch_model"+ending+"-00001-of-00002.safetensors", "diffusion_pytorch_model"+ending+"-00002-of-00002.safetensors"
		where := map[string]string{}
		for i, x := range list {
			where[x.Name] = first
			if i >= len(list)/2 {
				where[x.Name] = second
			}
		}
		write(t, filepath.Join(unet, first), list[:len(list)/2])
		write(t, filepath.Join(unet, second), list[len(list)/2:])
		b, err := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": 1}, "weight_map": where})
		if err != nil {
			t.Fatal(err)
		}
		name := "diffusion_pytorch_model.safetensors.index" + ending + ".json"
		if err := os.WriteFile(filepath.Join(unet, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	old := strings.NewReplacer(".to_q.", ".query.", ".to_k.", ".key.", ".to_v.", ".value.", ".to_out.0.", ".proj_attn.")
	for _, c := range []struct {
		name   string
		tol    float64 // relative
		change func(t *testing.T, dir, unet string, list []safetensors.Tensor)
	}{
		{"fp16 variant", 1e-3, func(t *testing.T, _, unet string, list []safetensors.Tensor) {
			write(t, filepath.Join(unet, "diffusion_pytorch_model.fp16.safetensors"), each(list, half))
		}},
		{"bf16", 1e-2, func(t *testing.T, _, unet string, list []safetensors.Tensor) {
			write(t, filepath.Join(unet, nn.WeightsFile), each(list, brain))
		}},
		{"sharded", 0, func(t *testing.T, _, unet string, list []safetensors.Tensor) { shard(t, unet, "", list) }},
		{"sharded fp16 variant", 1e-3, func(t *testing.T, _, unet string, list []safetensors.Tensor) {
			shard(t, unet, ".fp16", each(list, half))
		}},
		{"old names", 0, func(t *testing.T, _, unet string, list []safetensors.Tensor) {
			write(t, filepath.Join(unet, nn.WeightsFile), each(list, func(x safetensors.Tensor) safetensors.Tensor {
				x.Name = old.Replace(x.Name)
				return x
			}))
		}},
		{"side by side", 0, func(t *testing.T, dir, unet string, list []safetensors.Tensor) {
			write(t, filepath.Join(dir, nn.WeightsFile), list)
			for from, to := range map[string]string{"unet/config.json": "config.json", "scheduler/scheduler_config.json": "scheduler_config.json"} {
				if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
					t.Fatal(err)
				}
			}
			for _, d := range []string{"unet", "scheduler"} {
				if err := os.RemoveAll(filepath.Join(dir, d)); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, m := exported(t)
			unet := filepath.Join(dir, "unet")
			list := weightsOf(t, dir)
			if err := os.Remove(filepath.Join(unet, nn.WeightsFile)); err != nil {
				t.Fatal(err)
			}
			c.change(t, dir, unet, list)
			got, _, err := LoadDiffusers(dir)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range got.Weights {
				if want := m.Weights[i]; math.Abs(float64(v-want)) > c.tol*math.Abs(float64(want))+c.tol*0.1 {
					t.Fatalf("weight %d is %g, was %g", i, v, want)
				}
			}
		})
	}
}

// What cannot be read is an error that says what it is, and where.
func TestLoadDiffusersErrors(t *testing.T) {
	edit := func(file, from, to string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, file)
			b, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(b), from) {
				t.Fatalf("%s, %v: no %s", b, err, from)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	weights := "unet/" + nn.WeightsFile
	for _, c := range []struct {
		name, want string
		change     func(t *testing.T, dir string)
	}{
		{"option", `unknown field "attention_bias"`, edit("unet/config.json", "{", `{"attention_bias": true,`)},
		{"value", `act_fn "mish" is not supported`, edit("unet/config.json", `"silu"`, `"mish"`)},
		{"class", `UNet2DConditionModel`, edit("unet/config.json", `"UNet2DModel"`, `"UNet2DConditionModel"`)},
		{"pipeline", `a pipeline with vae (AutoencoderKL)`, edit("model_index.json", "{", `{"vae": ["diffusers", "AutoencoderKL"],`)},
		{"unet of a pipeline", `UNet2DConditionModel`, edit("model_index.json", `"UNet2DModel"`, `"UNet2DConditionModel"`)},
		{"scheduler", `_class_name "PNDMScheduler" is not supported`, edit("scheduler/scheduler_config.json", `"DDPMScheduler"`, `"PNDMScheduler"`)},
		{"scheduler option", `unknown field "use_magic"`, edit("scheduler/scheduler_config.json", "{", `{"use_magic": true,`)},
		{"scheduler value", `use_lu_lambdas true is not supported`, edit("scheduler/scheduler_config.json", "{", `{"use_lu_lambdas": true,`)},
		{"variance", `variance_type "learned_range" is not supported`, edit("scheduler/scheduler_config.json", `"fixed_small"`, `"learned_range"`)},
		{"spacing", `"log"`, edit("scheduler/scheduler_config.json", `"leading"`, `"log"`)},
		{"huge", `block_out_channels[0] is 800000000`, edit("unet/config.json", "[\n    8\n  ]", "[800000000]")},
		{"other shape", `the config wants`, edit("unet/config.json", "[\n    8\n  ]", "[16]")},
		{"more layers", `missing`, edit("unet/config.json", `"layers_per_block": 1`, `"layers_per_block": 2`)},
		{"pickle", `pickle`, func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, weights), filepath.Join(dir, "unet/diffusion_pytorch_model.bin")); err != nil {
				t.Fatal(err)
			}
		}},
		{"two variants", `leave only one`, func(t *testing.T, dir string) {
			for _, v := range []string{"fp16", "bf16"} {
				if err := safetensors.WriteFile(filepath.Join(dir, "unet/diffusion_pytorch_model."+v+".safetensors"), nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(filepath.Join(dir, weights)); err != nil {
				t.Fatal(err)
			}
		}},
		{"no weights", "has no " + nn.WeightsFile, func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, weights)); err != nil {
				t.Fatal(err)
			}
		}},
		{"cut short", nn.WeightsFile, func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, weights), 20000); err != nil {
				t.Fatal(err)
			}
		}},
		{"not a number", `tensor "conv_in.bias" has the value NaN`, func(t *testing.T, dir string) {
			list := weightsOf(t, dir)
			for i := range list {
				if list[i].Name == "conv_in.bias" {
					list[i] = safetensors.Float32("conv_in.bias", list[i].Shape, []float32{0, 0, 0, float32(math.NaN()), 0, 0, 0, 0})
				}
			}
			if err := safetensors.WriteFile(filepath.Join(dir, weights), list, nil); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := exported(t)
			c.change(t, dir)
			_, _, err := LoadDiffusers(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%v, want an error with %q and the folder", err, c.want)
			}
		})
	}
}

func TestLoadDiffusersWithoutScheduler(t *testing.T) {
	dir, _ := exported(t)
	m, warnings, err := Load(filepath.Join(dir, "unet"), false)
	if err != nil || len(warnings) != 1 || m.Schedule.Config.Kind != ddpm.Linear || m.Prediction != ddpm.Epsilon {
		t.Errorf("%+v, %q, %v", m, warnings, err)
	}
}
