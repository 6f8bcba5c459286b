package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// The buffers of a training step, besides the arena: flat state, what the host writes, what it reads.
const (
	bufParams  = nn.ParamsBuffer
	bufGrads   = "grads"
	bufM       = "m"
	bufV       = "v"
	bufEMA     = "ema"
	bufControl = "control"
	bufHyper   = "hyper"
	bufImages  = "images"
	bufTables  = "mix"     // [2 or 3,T]: sqrt(alphabar), sqrt(1-alphabar), and for v its negative
	bufOne     = "one"     // the gradient of the step's loss with respect to that of a micro-batch
	bufWeights = "weights" // [T,2C], for min-SNR: what a loss is multiplied with, see snrTable
	bufScale   = "scale"   // under loss scaling: its state, then the steps that were taken, see lossscale.go
	bufMetrics = "metrics" // loss, gradient norm, scalars, then each sample's loss and t
)

// Where the metrics lie in their buffer, in words.
const (
	metLoss    = 0
	metNorm    = 1
	metScale   = 8 // the loss scale's state after the step
	metScalars = 16
	metSamples = 32
)

// state is a value that is the whole of a buffer.
func state(name string, t graph.Type) *graph.Value { return graph.State(name, 0, t, name) }

// controlOf is the control buffer of a micro-batch: they differ in their first sample.
func controlOf(i int) *graph.Value {
	return graph.State(bufControl, i*backend.CtlWords*4, graph.U32(backend.CtlWords), bufControl)
}

// buildStep is a whole training step (Ho et al. 2020, algorithm 1) as one graph: for each micro-batch its images, t, eps, x_t, the
// network, the loss and the gradients; then AdamW, the averages, the step counter. images is the size of the data set, B the samples of
// each micro-batch that are computed here.
func buildStep(c *Config, params *nn.Params, images, B int) (*graph.Graph, error) {
	return graph.Build(func(g *graph.Graph) {
		var loss *graph.Value
		var sums []*graph.Value
		if c.micro() == 1 {
			loss, sums = buildMicro(g, c, params, images, B, 0)
		} else {
			loss, sums = accumulate(g, c, params, images, B)
		}
		grads := params.Bind(sums, bufGrads)
		g.Scope("loss.optimizer", func() {
			hyper, control := state(bufHyper, graph.F32(backend.HypWords)), controlOf(0)
			taken, norm := control, g.GlobalNorm(grads)
			var unscale *graph.Value
			if c.scaled() {
				taken, unscale = takenSteps(), scaleWord(backend.LscInverse)
				norm = g.Mul(norm, unscale)
			}
			// A loss that is not finite makes the norm NaN (0 times it is), so that AdamW leaves the weights alone.
			norm = g.Add(norm, g.Scale(loss, 0, 0))
			if !c.scaled() { // nor do the steps after it that are under way
				norm = g.Add(norm, g.Scale(graph.State(bufMetrics, 4*metNorm, graph.F32(1), bufMetrics), 0, 0))
			}
			scalars := g.Schedule(taken, hyper)
			g.AdamW(params.Flat(bufParams), params.Flat(bufM), params.Flat(bufV), params.Flat(bufEMA), grads, norm, hyper, scalars, unscale)
			for i, std := range c.EMA.Lengths {
				g.EMAPower(params.Flat(averageBuffer(i)), params.Flat(bufParams), taken, norm, float32(ddpm.EMAGamma(std)))
			}
			if c.scaled() {
				graph.Keep(g.LossScale(graph.State(bufScale, 0, graph.F32(backend.LscWords), bufScale), taken, norm, scaleGrowth), bufMetrics, 4*metScale)
			}
			for i := range c.micro() {
				g.Advance(controlOf(i))
			}
			graph.Keep(norm, bufMetrics, 4*metNorm)
			graph.Keep(scalars, bufMetrics, 4*metScalars)
		})
		graph.Keep(loss, bufMetrics, 4*metLoss)
	})
}

// accumulate is the mean loss and gradient of all micro-batches, one after the other in the same memory.
func accumulate(g *graph.Graph, c *Config, params *nn.Params, images, B int) (loss *graph.Value, sums []*graph.Value) {
	for i := range c.micro() {
		g.Scope(fmt.Sprintf("micro%d", i), func() {
			part, grads := buildMicro(g, c, params, images, B, i)
			part = g.Scale(part, 1/float32(c.micro()), 0)
			if i == 0 {
				loss, sums = part, grads
				return
			}
			loss = g.Add(loss, part)
			for k := range sums {
				sums[k] = g.Add(sums[k], grads[k])
			}
		})
	}
	return loss, sums
}

// buildMicro is the i-th micro-batch of a step: its loss: [1] and the parameters' gradients.
func buildMicro(g *graph.Graph, c *Config, params *nn.Params, images, B, i int) (loss *graph.Value, grads []*graph.Value) {
	S, C := c.UNet.SampleSize, c.Channels()
	control := controlOf(i)
	var x0, t, each, class *graph.Value
	var drop *nn.LabelDrop
	g.Scope("batch", func() {
		index := g.BatchIndices(control, B, c.Batch, images)
		x0 = g.BatchImages(state(bufImages, graph.U8(images, S, S, C)), index, control, c.Flip, c.Crop)
		if c.Augment > 0 {
			x0 = g.Augment(x0, control, float32(c.Augment))
		}
		class, drop = buildLabels(g, c, control, index, B, images)
	})
	if c.masked() {
		loss, each, t = c.Lab.Objective(g, params, c.UNet, control, x0)
	} else {
		loss, each, t = buildDiffusion(g, c, params, control, x0, class, drop)
	}
	g.Scope("loss", func() {
		one := state(bufOne, graph.F32(1))
		if c.scaled() {
			one = g.Mul(one, scaleWord(backend.LscScale))
		}
		grads = g.Grad(loss, one, params.Values())
		graph.Keep(each, bufMetrics, 4*(metSamples+i*B))
		graph.Keep(t, bufMetrics, 4*(metSamples+c.micro()*B+i*B))
	})
	return loss, grads
}

// buildDiffusion draws t and eps for images x0: [B,S,S,C], and is the loss of what the network says of x_t: [1], that of each image, and
// t: [B]. class and drop are nil for a network that is not told the class.
func buildDiffusion(g *graph.Graph, c *Config, params *nn.Params, control, x0, class *graph.Value, drop *nn.LabelDrop) (loss, each, t *graph.Value) {
	B, T, S, C := x0.Shape[0], c.Schedule.T, x0.Shape[1], x0.Shape[3]
	table := func(i int) *graph.Value { return graph.State(bufTables, i*T*4, graph.F32(T), bufTables) }
	signal, noise, minusNoise := table(0), table(1), table(2)

	var eps, xt *graph.Value
	g.Scope("batch", func() {
		t = g.RandomTimesteps(control, B, T)
		eps = g.RandomNormal(control, rng.StreamNoise, B, S, S, C)
		xt = g.Mix(x0, eps, signal, noise, t) // x_t = sqrt(alphabar) x_0 + sqrt(1-alphabar) eps
	})
	in := xt
	if c.Lab != nil {
		in = c.Lab.NoiseInput(g, xt)
	}
	out := nn.UNetInTraining(g, params, c.UNet, in, t, state(model.TableBuffer, graph.F32(T, c.UNet.BlockOutChannels[0])), class, control, drop)
	g.Scope("loss", func() {
		target := eps
		switch c.Prediction {
		case ddpm.Sample0:
			target = x0
		case ddpm.VPrediction:
			target = g.Mix(eps, x0, signal, minusNoise, t) // v = sqrt(alphabar) eps - sqrt(1-alphabar) x_0
		}
		loss, each = g.MSE(out, target)
		if c.MinSNR > 0 { // what is reported of each sample stays the plain error
			root := g.Gather(state(bufWeights, graph.F32(T, 2*C)), t)
			loss, _ = g.MSE(g.Modulate(out, root), g.Modulate(target, root))
		}
	})
	return loss, each, t
}

// A Step is the training step on a device: compiled, with its state.
type Step struct {
	Config   *Config
	Params   *nn.Params
	Schedule *ddpm.Schedule
	Memory   *model.Memory
	Preview  *model.Forward // of the EMA weights
	Raw      *model.Forward // of the weights themselves, nil until it is wanted
	Stats    plan.Stats
	Bytes    int64          // planned, all buffers
	need     map[string]int // Bytes by buffer
	program  *backend.Program
	exec     backend.Executable
	metrics  []float32
	ring     [][]float32     // metrics of steps that the device has done and Next has not taken
	Done     int64           // steps, as the control buffer has it
	scaling  run.LossScaling // as the device has it
	shard
}

// NewStep plans and compiles the step and the preview, and writes what does not change: tables, hyper-parameters, pixels
// (images: [N,S,S,C]). The weights are drawn from the seed. The ranks of comm share each batch.
func NewStep(b backend.Backend, c *Config, pixels []byte, images int, comm dist.Comm) (*Step, error) {
	s, err := planStep(b, c, images, comm)
	if err != nil {
		return nil, err
	}
	es, err := s.Memory.Compile(s.programs()...)
	if err != nil {
		return nil, errors.Join(fits(b, c, images, comm, err), s.Close())
	}
	parts := len(s.program.Segments)
	s.bind(es[:parts])
	s.Preview.Bind(es[parts])
	if s.Raw != nil {
		s.Raw.Bind(es[parts+1])
	}

	if err := s.writeConstants(pixels); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, s.begin()
}

// begin draws the weights in place of a state: buffers are new, so moments are zero, and the averages are the weights.
func (s *Step) begin() error {
	averages := []string{bufParams, bufEMA}
	for i := range s.Config.EMA.Lengths {
		averages = append(averages, averageBuffer(i))
	}
	err := s.Params.Draw(s.Config.Seed, func(offset int, values []float32) error {
		for _, name := range averages {
			if err := model.Write(s.Memory, name, 4*offset, values); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, s.setDone(0), s.restoreScaling(nil))
}

// planStep plans without taking memory.
func planStep(b backend.Backend, c *Config, images int, comm dist.Comm) (*Step, error) {
	s := &Step{Config: c, Memory: model.NewMemory(b)}
	s.Memory.Precision = c.Precision
	var err error
	if s.shard, err = newShard(c, comm); err != nil {
		return nil, err
	}
	if s.Params, err = nn.UNetParams(c.UNet); err != nil {
		return nil, err
	}
	if s.Schedule, err = ddpm.NewSchedule(c.Schedule); err != nil {
		return nil, err
	}
	g, err := buildStep(c, s.Params, images, s.n)
	if err != nil {
		return nil, err
	}
	if s.program, s.Stats, err = s.Memory.Plan("train", g, s.cuts(g, s.Params)...); err != nil {
		return nil, err
	}
	if s.Preview, err = model.PlanForward(s.Memory, s.Params, c.UNet, c.Preview.Images, c.Schedule.T, bufEMA, false); err != nil {
		return nil, err
	}
	if c.Preview.Raw {
		if s.Raw, err = model.PlanForward(s.Memory, s.Params, c.UNet, c.Preview.Images, c.Schedule.T, bufParams, false); err != nil {
			return nil, err
		}
	}
	if c.ClassLabels {
		s.Preview.Named = len(c.Classes)
		if s.Raw != nil {
			s.Raw.Named = len(c.Classes)
		}
	}
	s.Bytes, s.need = s.Memory.Need(s.programs()...)
	return s, nil
}

// programs are all that run with the step's memory.
func (s *Step) programs() []*backend.Program {
	list := append(s.program.Split(), s.Preview.Program)
	if s.Raw != nil {
		list = append(list, s.Raw.Program)
	}
	return list
}

// fits adds to an error that says that the plan does not fit what would: the largest batch of those that halving gives.
func fits(b backend.Backend, c *Config, images int, comm dist.Comm, err error) error {
	var no *model.NoMemoryError
	if !errors.As(err, &no) {
		return err
	}
	for try := *c; try.Batch > comm.Size(); {
		try.Batch /= 2
		try.Accumulate = 0
		if s, err := planStep(b, &try, images, comm); err == nil && s.Bytes <= no.Free {
			no.Fits, no.FitsNeed = try.Batch, s.Bytes
			break
		}
	}
	return err
}

func (s *Step) writeConstants(pixels []byte) error {
	c, T := s.Config, s.Config.Schedule.T
	signal, noise, minusNoise := make([]float32, T), make([]float32, T), make([]float32, T)
	for t := range T {
		signal[t] = float32(s.Schedule.SqrtAlphasCumprod[t])
		noise[t] = float32(s.Schedule.SqrtOneMinusAlphasCumprod[t])
		minusNoise[t] = -noise[t]
	}
	mix := slices.Concat(signal, noise)
	if c.Prediction == ddpm.VPrediction {
		mix = append(mix, minusNoise...)
	}
	embedding := model.Table(c.UNet, T)
	if c.Lab != nil {
		if err := s.writeLab(embedding); err != nil {
			return err
		}
	}
	if !c.masked() {
		if err := model.Write(s.Memory, bufTables, 0, mix); err != nil {
			return err
		}
	}
	for _, err := range []error{
		model.Write(s.Memory, bufImages, 0, pixels),
		model.Write(s.Memory, model.TableBuffer, 0, embedding),
		model.Write(s.Memory, bufOne, 0, []float32{s.weight() / float32(c.micro())}),
		s.setHyper(),
	} {
		if err != nil {
			return err
		}
	}
	if c.MinSNR > 0 {
		return model.Write(s.Memory, bufWeights, 0, snrTable(c, s.Schedule))
	}
	return nil
}

// setHyper gives the device the configuration's hyper-parameters anew.
func (s *Step) setHyper() error { return model.Write(s.Memory, bufHyper, 0, s.Config.hyper()) }

// State is what a checkpoint holds of a step: flat buffers, and the number of steps done. Nil moments are zero, a nil EMA
// is the weights.
type State struct {
	Params, EMA, M, V []float32
	Averages          [][]float32 // of EMA.Lengths; nil: each is the weights
	Steps             int64
	Scaling           *run.LossScaling // nil: as a run begins
}

// averageBuffer is the buffer of the i-th of EMA.Lengths.
func averageBuffer(i int) string { return fmt.Sprintf("%s.%d", bufEMA, i) }

// Restore puts the step into a state.
func (s *Step) Restore(st State) error {
	if st.EMA == nil {
		st.EMA = st.Params
	}
	for name, v := range map[string][]float32{bufParams: st.Params, bufEMA: st.EMA, bufM: st.M, bufV: st.V} {
		if err := s.write(name, v); err != nil {
			return err
		}
	}
	for i := range s.Config.EMA.Lengths {
		average := st.Params
		if st.Averages != nil {
			average = st.Averages[i]
		}
		if err := s.write(averageBuffer(i), average); err != nil {
			return err
		}
	}
	if err := s.setDone(st.Steps); err != nil {
		return err
	}
	return s.restoreScaling(st.Scaling)
}

// write puts v, or zeros if it is nil, into a flat buffer.
func (s *Step) write(name string, v []float32) error {
	if v != nil {
		return model.Write(s.Memory, name, 0, v)
	}
	zeros := make([]float32, min(s.Params.Elems(), 1<<16)) // large models: not all at once
	for at := 0; at < s.Params.Elems(); at += len(zeros) {
		if err := model.Write(s.Memory, name, 4*at, zeros[:min(len(zeros), s.Params.Elems()-at)]); err != nil {
			return err
		}
	}
	return nil
}

// setDone says how many steps are done, and so which the next one is.
func (s *Step) setDone(steps int64) error {
	var all []uint32
	for i := range s.Config.micro() {
		control := make([]uint32, backend.CtlWords)
		control[backend.CtlStep], control[backend.CtlStepHi] = uint32(steps), uint32(steps>>32)
		control[backend.CtlSeed], control[backend.CtlSeedHi] = uint32(s.Config.Seed), uint32(s.Config.Seed>>32)
		control[backend.CtlSample] = uint32(i*(s.Config.Batch/s.Config.micro()) + s.first)
		all = append(all, control...)
	}
	s.Done, s.ring = steps, nil
	return errors.Join(model.Write(s.Memory, bufControl, 0, all), model.Write(s.Memory, bufMetrics, 4*metNorm, []float32{0}))
}

// Snapshot reads the state back.
func (s *Step) Snapshot() (State, error) {
	n := s.Params.Elems()
	st := State{Params: make([]float32, n), EMA: make([]float32, n), M: make([]float32, n), V: make([]float32, n), Steps: s.Done}
	for name, v := range map[string][]float32{bufParams: st.Params, bufEMA: st.EMA, bufM: st.M, bufV: st.V} {
		if err := model.Read(s.Memory, name, 0, v); err != nil {
			return st, err
		}
	}
	if s.Config.scaled() {
		scaling := s.scaling
		st.Scaling = &scaling
	}
	for i := range s.Config.EMA.Lengths {
		average := make([]float32, n)
		if err := model.Read(s.Memory, averageBuffer(i), 0, average); err != nil {
			return st, err
		}
		st.Averages = append(st.Averages, average)
	}
	return st, nil
}

// A Result is what one step reports.
type Result struct {
	Loss, GradNorm, LR, EMADecay float64
	Clipped                      bool
	Scale                        float64   // of the loss's gradient, 0 where there is none
	SampleLoss                   []float32 // [B]
	T                            []int     // [B], each sample's timestep
	Stop                         bool      // a rank was asked to stop
	Reports                      []float32 // [ranks,rankFloats], of the step before
}

// Bad reports whether the step met a number that is not finite; the weights are then as before it.
func (r *Result) Bad() bool {
	sum := r.Loss + r.GradNorm
	return math.IsNaN(sum) || math.IsInf(sum, 0)
}

// Run does one training step.
func (s *Step) Run(ctx context.Context) (*Result, error) {
	if s.parts != nil {
		return s.runShared(ctx)
	}
	if err := s.exec.Run(ctx, 1); err != nil {
		return nil, err
	}
	if err := model.Read(s.Memory, bufMetrics, 0, s.metrics); err != nil {
		return nil, err
	}
	return s.next(), nil
}

// next is the result of one more step that the device has done, from its metrics.
func (s *Step) next() *Result {
	s.Done++
	r, B := s.result(), s.Config.Batch
	r.SampleLoss, r.T = s.metrics[metSamples:metSamples+B], make([]int, B)
	for i, t := range s.metrics[metSamples+B:] {
		r.T[i] = int(math.Float32bits(t))
	}
	return r
}

// result is what the metrics say, but for the samples.
func (s *Step) result() *Result {
	m := s.metrics
	r := &Result{
		Loss: float64(m[metLoss]), GradNorm: float64(m[metNorm]),
		LR: float64(m[metScalars+backend.SclLR]), EMADecay: float64(m[metScalars+backend.SclEMA]),
	}
	r.Clipped = s.Config.Optimizer.Clip > 0 && r.GradNorm > s.Config.Optimizer.Clip
	if s.Config.scaled() {
		r.Scale = s.scaling.Scale
		s.scaling = scalingOf(m[metScale:])
	}
	return r
}

// Executable is the compiled step, for timings; nil where ranks share it.
func (s *Step) Executable() backend.Executable { return s.exec }

// Close frees the device's memory.
func (s *Step) Close() error { return s.Memory.Close() }
