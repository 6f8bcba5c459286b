package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

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
	debug.FreeOSMemory() // what planning and drawing took, before the first step touches the arena
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
	if s.program, s.Stats, err = s.Memory.PlanLending("train", bufGrads, g, s.cuts(g, s.Params)...); err != nil {
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
