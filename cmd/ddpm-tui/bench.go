package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"hash/fnv"
	"math"
	"path/filepath"
	"sort"
	"time"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// benchImages is the size of the made-up image set of a training bench.
const benchImages = 256

// benchResult is the JSON of a bench. FLOPs are 2 MACs an image for a forward pass and 6 for a training step.
type benchResult struct {
	Backend   string    `json:"backend"`
	Device    string    `json:"device"`
	ISA       string    `json:"isa"`
	Exact     bool      `json:"exact"`
	Precision string    `json:"precision"`
	Config    string    `json:"config"`
	Batch     int       `json:"batch"`
	Mode      string    `json:"mode"`
	Threads   int       `json:"threads"`
	Iters     int       `json:"iters"`
	Params    int       `json:"params"`
	BestS     float64   `json:"best_s"`
	MedianS   float64   `json:"median_s"`
	ImagesPS  float64   `json:"images_per_s"` // at the best time, as the peer counts
	MACs      int64     `json:"macs_per_image"`
	GFLOPS    float64   `json:"gflops"`
	PlanBytes int64     `json:"plan_bytes"`
	Checksum  string    `json:"checksum"`             // of the output, or of the weights after training
	PeakFLOPS float64   `json:"peak_flops,omitempty"` // with mode op: what the device reached in this run
	PeakBytes float64   `json:"peak_bytes_per_s,omitempty"`
	Ops       []*opTime `json:"ops,omitempty"`     // with mode op, the costliest first
	Kernels   []*opTime `json:"kernels,omitempty"` // with mode op, what of them multiplies matrices, by shape

	timed bool // the executable times its steps
}

func newBench() *cobra.Command {
	c := &cobra.Command{
		Use: "bench", Short: "Time training steps, forward passes or single operations", Args: args(0, 0),
		Example: `  ddpm-tui bench                                  the default preset's network
  ddpm-tui bench --config unet.json --batch 8 --mode fwd --json
  ddpm-tui bench --mode op                        where a training step's time goes
  ddpm-tui bench --mode replay                    what an operation costs that does nothing
  ddpm-tui bench --precision bf16                 the same with bf16 operands, on a CPU that has them
  ddpm-tui bench --profile step.json              a trace of the last step, for ui.perfetto.dev`,
	}
	f := c.Flags()
	config := f.String("config", "", "a unet's config.json (diffusers' UNet2DModel); left out: the preset "+train.DefaultPreset)
	batch := f.Int("batch", 0, "images a step (0: the preset's, 8 with --config)")
	mode := f.String("mode", "train", "train, fwd, op (a training step, by operation) or replay (what submitting, one by one and together, and an operation cost beside what they do)")
	iters := f.Int("iters", 8, "timed runs, after one that is not")
	profile := f.String("profile", "", "write a trace of the last timed run to this file, which ui.perfetto.dev opens")
	report := f.String("report", "", "run nothing: print a table of the JSON lines in this file, of this program's and of peer_torch.py's benches")
	asJSON := f.Bool("json", false, "print one JSON object")
	var on compute
	on.flags(f)
	exact := exactFlag(c)
	var precision string
	precisionFlag(f, &precision)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *report != "" {
			return printReport(c.OutOrStdout(), *report)
		}
		cfg, err := train.PresetConfig(train.DefaultPreset)
		if err != nil {
			return err
		}
		name := train.DefaultPreset
		if *config != "" {
			if cfg.UNet, err = nn.ReadConfig(*config); err != nil {
				return err
			}
			cfg.Batch, name = 8, filepath.Base(*config)
		}
		if *batch != 0 {
			cfg.Batch = *batch
		}
		if cfg.Batch < 1 || cfg.Batch > 1<<20 {
			return usageError{fmt.Errorf("--batch %d: want 1 to %d", cfg.Batch, 1<<20)}
		}
		if *iters < 1 {
			return usageError{fmt.Errorf("--iters %d: want at least 1", *iters)}
		}
		if cfg.Precision, err = parsePrecision(precision); err != nil {
			return usageError{err}
		}
		if err := cfg.Validate(); err != nil {
			return err
		}
		b, note, err := on.open(*exact)
		if err != nil {
			return err
		}
		defer b.Close()
		warn(c.ErrOrStderr(), note)
		if *mode == "replay" {
			return printReplay(c.Context(), c.OutOrStdout(), b, *iters, *asJSON)
		}
		r := benchResult{
			Backend: b.Info().Backend, Device: b.Info().Device, ISA: b.Info().ISA, Config: name, Batch: cfg.Batch, Mode: *mode, Exact: *exact, Precision: precision, Threads: b.Info().Threads,
			Iters: *iters, timed: *mode == "op" || *profile != "", Params: nn.ParamCount(cfg.UNet), MACs: nn.MACs(cfg.UNet),
		}
		var exec backend.Executable
		switch *mode {
		case "train", "op":
			exec, err = r.train(c.Context(), b, &cfg)
		case "fwd":
			exec, err = r.forward(c.Context(), b, &cfg)
		default:
			return usageError{fmt.Errorf("--mode %q is unknown, want train, fwd, op or replay", *mode)}
		}
		if err != nil {
			return err
		}
		if *profile != "" {
			if err := writeTrace(*profile, exec.Timings(), fmt.Sprintf("%s, batch %d, %s on %s", r.Config, r.Batch, r.Mode, r.Device)); err != nil {
				return fmt.Errorf("--profile: %w", err)
			}
		}
		out := c.OutOrStdout()
		switch {
		case *mode == "op":
			return printOps(out, exec, b, r, *asJSON)
		case *asJSON:
			return json.NewEncoder(out).Encode(r)
		}
		fmt.Fprintf(out, "%s, batch %d, %s in %s on %s\n", r.Config, r.Batch, r.Mode, precision, where(b.Info()))
		fmt.Fprintf(out, "best %.4f s, median %.4f s of %d; %.1f images/s, %.1f GFLOP/s; plan %s; checksum %s\n", r.BestS, r.MedianS, r.Iters, r.ImagesPS, r.GFLOPS, model.Bytes(r.PlanBytes), r.Checksum)
		return nil
	}
	return c
}

// train times whole training steps on made-up images. With mode op the steps are timed by operation.
func (r *benchResult) train(ctx context.Context, b backend.Backend, c *train.Config) (backend.Executable, error) {
	size := c.UNet.SampleSize
	pixels := make([]byte, benchImages*size*size*c.UNet.InChannels)
	for i := range pixels {
		pixels[i] = byte(rng.Uint32(1, rng.StreamInit, uint32(i), 0, 0))
	}
	c.Preview.Images = 1
	s, err := train.NewStep(b, c, pixels, benchImages, dist.Alone)
	if err != nil {
		return nil, err
	}
	r.PlanBytes = s.Bytes
	step := func() error {
		result, err := s.Run(ctx)
		if err == nil && result.Bad() {
			err = fmt.Errorf("loss %v, gradient norm %v", result.Loss, result.GradNorm)
		}
		return err
	}
	if err := r.time(ctx, step, 6, s.Executable()); err != nil {
		return nil, err
	}
	h := fnv.New64a()
	piece := make([]float32, 1<<16) // not all at once: the peak of the process is the training step's
	for left, at := s.Params.Elems(), 0; left > 0; left, at = left-len(piece), at+len(piece) {
		piece = piece[:min(left, len(piece))]
		if err := model.Read(s.Memory, nn.ParamsBuffer, 4*at, piece); err != nil {
			return nil, err
		}
		digest(h, piece)
	}
	r.Checksum = fmt.Sprintf("%016x", h.Sum64())
	return s.Executable(), nil
}

// forward times forward passes of noise.
func (r *benchResult) forward(ctx context.Context, b backend.Backend, c *train.Config) (backend.Executable, error) {
	m := model.NewMemory(b)
	m.Precision = c.Precision
	params, err := nn.UNetParams(c.UNet)
	if err != nil {
		return nil, err
	}
	f, err := model.PlanForward(m, params, c.UNet, c.Batch, c.Schedule.T, nn.ParamsBuffer, true)
	if err != nil {
		return nil, err
	}
	r.PlanBytes, _ = m.Need(f.Program)
	es, err := m.Compile(f.Programs()...)
	if err != nil {
		return nil, err
	}
	f.Bind(es...)
	draw := func(offset int, values []float32) error { return model.Write(m, nn.ParamsBuffer, 4*offset, values) }
	if err := params.Draw(1, draw); err != nil {
		return nil, err
	}
	if err := model.Write(m, model.TableBuffer, 0, model.Table(c.UNet, c.Schedule.T)); err != nil {
		return nil, err
	}
	x := make([]float32, c.Batch*c.UNet.SampleSize*c.UNet.SampleSize*c.UNet.InChannels)
	rng.Normals(x, 1, rng.StreamSample, 0, 0)
	y, t := make([]float32, len(x)), make([]int, c.Batch)
	for i := range t {
		t[i] = i * c.Schedule.T / c.Batch
	}
	if err := r.time(ctx, func() error { return f.Run(ctx, x, t, nil, y) }, 2, f.Executable()); err != nil {
		return nil, err
	}
	h := fnv.New64a()
	digest(h, y)
	r.Checksum = fmt.Sprintf("%016x", h.Sum64())
	return f.Executable(), nil
}

// time runs step once, then Iters times, and works out the figures.
func (r *benchResult) time(ctx context.Context, step func() error, perMAC int64, e backend.Executable) error {
	if err := step(); err != nil {
		return err
	}
	if timer, ok := e.(backend.Timer); ok && r.timed {
		timer.SetTiming(true)
	}
	var times []float64
	for range r.Iters {
		start := time.Now()
		if err := step(); err != nil {
			return err
		}
		times = append(times, time.Since(start).Seconds())
	}
	sort.Float64s(times)
	r.BestS, r.MedianS = times[0], times[len(times)/2]
	r.ImagesPS = float64(r.Batch) / r.BestS
	r.GFLOPS = float64(perMAC*r.MACs*int64(r.Batch)) / r.BestS / 1e9
	return ctx.Err()
}

// digest adds the bits of v to a checksum.
func digest(h hash.Hash64, v []float32) {
	var b [4]byte
	for _, f := range v {
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(f))
		_, _ = h.Write(b[:]) // it returns no error
	}
}
