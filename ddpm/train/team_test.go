package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// follower is what a rank but the first does in a test.
type follower func(ctx context.Context, b backend.Backend, c *Config, o Options) error

// trainTogether trains a bench on n ranks, of which it is the first. The others follow with copies of its configuration, as they do
// in processes of their own. It returns each rank's error.
func (x *bench) trainTogether(n int, follow follower) []error {
	x.t.Helper()
	text, err := json.Marshal(x.config)
	if err != nil {
		x.t.Fatal(err)
	}
	return ranks(x.t, n, func(b backend.Backend, comm dist.Comm) error {
		if comm.Rank() == 0 {
			x.options.Comm = comm
			return x.train(x.t.Context(), b)
		}
		c := new(Config)
		if err := json.Unmarshal(text, c); err != nil {
			return err
		}
		return follow(x.t.Context(), b, c, Options{Comm: comm, Set: madeUp()})
	})
}

// losses are those of all steps in the events.
func (x *bench) losses() []float64 {
	var list []float64
	for _, e := range x.events {
		if e.Metrics != nil {
			list = append(list, float64(e.Metrics.Loss))
		}
	}
	return list
}

// A run of three ranks says the losses of one that is alone; saved by three it goes on with two, and with one.
func TestTeamTrains(t *testing.T) {
	alone := newBench(t, 36)
	alone.config.Batch = 8
	if err := alone.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	x := newBench(t, 12)
	x.config.Batch = 8
	x.options.Trace = filepath.Join(t.TempDir(), "trace.json")
	for _, n := range []int{3, 2} {
		if err := errors.Join(x.trainTogether(n, Follow)...); err != nil {
			t.Fatal(err)
		}
		x.config.Steps += 12
	}
	x.options.Comm = nil
	if err := x.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	var trace []struct {
		Name    string
		TS, Dur float64
	}
	if p, err := os.ReadFile(x.options.Trace); err != nil || json.Unmarshal(p, &trace) != nil || len(trace) < 4 || trace[0].Name != "segment 0" || !(trace[0].Dur > 0) {
		t.Errorf("the trace is %+v, %v", trace, err)
	}
	got, want := x.losses(), alone.losses()
	if len(got) != len(want) || len(want) != 36 {
		t.Fatalf("%d losses, want %d", len(got), len(want))
	}
	for i := range want {
		if math.Abs(got[i]/want[i]-1) > 1e-4 {
			t.Errorf("step %d: loss %v, alone %v", i+1, got[i], want[i])
		}
	}
	var starts []*run.Start
	figures := 0
	for _, e := range x.events {
		switch {
		case e.Start != nil:
			starts = append(starts, e.Start)
		case e.Metrics != nil && len(starts) < 3:
			ranks := 4 - len(starts)
			if e.Metrics.Ranks != ranks || !(e.Metrics.CommShare >= 0 && e.Metrics.CommShare <= 1) {
				t.Errorf("step %d of %d ranks says %+v", e.Step, ranks, e.Metrics)
			}
			if e.Metrics.PerRank != nil {
				figures++
				for r, w := range e.Metrics.PerRank {
					if len(e.Metrics.PerRank) != ranks || !(w.ImagesPerS > 0) || !(w.CommShare >= 0 && w.CommShare <= 1) || !(w.Hidden >= 0 && w.Hidden <= 1) {
						t.Errorf("step %d, rank %d: %+v", e.Step, r, w)
					}
				}
			}
		case e.Metrics != nil && (e.Metrics.Ranks != 0 || e.Metrics.CommShare != 0 || e.Metrics.PerRank != nil):
			t.Errorf("one process alone says %+v", e.Metrics)
		}
	}
	if len(starts) != 3 || len(starts[0].Ranks) != 3 || len(starts[1].Ranks) != 2 || starts[2].Ranks != nil || figures == 0 {
		t.Fatalf("%d starts, %d events with each rank's figures", len(starts), figures)
	}
	if r := starts[0].Ranks; r[0].Images != 3 || r[1].Images != 3 || r[2].Images != 2 || r[2].PlanBytes >= r[0].PlanBytes || r[0].Device == "" {
		t.Errorf("the ranks are %+v", r)
	}
}

// A network that is told classes learns the same on two ranks, in uneven parts, as on one.
func TestTeamLearnsClasses(t *testing.T) {
	alone, x := newBench(t, 20), newBench(t, 20)
	for _, y := range []*bench{alone, x} {
		y.config.Batch, y.config.ClassLabels = 5, true
	}
	if err := errors.Join(alone.train(t.Context(), processor(t, "", 1)), errors.Join(x.trainTogether(2, Follow)...)); err != nil {
		t.Fatal(err)
	}
	got, want := x.losses(), alone.losses()
	if len(got) != 20 || len(want) != 20 {
		t.Fatalf("%d losses, alone %d", len(got), len(want))
	}
	for i := range want {
		if math.Abs(got[i]/want[i]-1) > 1e-4 {
			t.Errorf("step %d: loss %v, alone %v", i+1, got[i], want[i])
		}
	}
}

// A rank that is asked to stop ends the run in order, with a checkpoint.
func TestTeamStops(t *testing.T) {
	x := newBench(t, 100000)
	ctx, cancel := context.WithCancel(t.Context())
	x.on = func(_ *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 5 {
			cancel()
		}
	}
	errs := x.trainTogether(2, func(_ context.Context, b backend.Backend, c *Config, o Options) error { return Follow(ctx, b, c, o) })
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	last := x.events[len(x.events)-1]
	if _, step := x.weights(); last.End == nil || last.End.Reason != run.Stopped || step < 5 || step > 8 {
		t.Errorf("it ends with %+v, saved at step %d", last.End, step)
	}
}

// An edit reaches all ranks: else their weights would differ, which the norm of the gradients shows.
func TestTeamIsEdited(t *testing.T) {
	x, alone := newBench(t, 12), newBench(t, 12)
	for _, y := range []*bench{x, alone} {
		y.on = editAfter(t, map[int64]run.Edit{3: {LR: ptr(0.1)}})
	}
	if err := errors.Join(x.trainTogether(2, Follow)...); err != nil {
		t.Fatal(err)
	}
	if err := alone.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	for i, want := range alone.losses() {
		if got := x.losses()[i]; math.Abs(got/want-1) > 1e-3 {
			t.Errorf("step %d: loss %v, alone %v", i+1, got, want)
		}
	}
}

// Ranks with other images are refused before step 1, by all.
func TestOtherImages(t *testing.T) {
	for name, change := range map[string]func(s *data.Set){
		"fewer":       func(s *data.Set) { s.N, s.Pixels = 6, s.Pixels[:6*8*8*3] },
		"another one": func(s *data.Set) { s.Pixels[100]++ },
	} {
		x := newBench(t, 10)
		errs := x.trainTogether(3, func(ctx context.Context, b backend.Backend, c *Config, o Options) error {
			if o.Comm.Rank() == 2 {
				change(o.Set)
			}
			return Follow(ctx, b, c, o)
		})
		for r, err := range errs {
			if !errors.As(err, new(*dist.AgreedError)) {
				t.Errorf("%s: rank %d: %v", name, r, err)
			}
		}
		if end := x.ended(&run.FaultDiffer); !strings.Contains(end.Error, "rank 2") || len(x.losses()) > 0 {
			t.Errorf("%s: after %d steps: %s", name, len(x.losses()), end.Error)
		}
	}
}

// scarce is a backend with little memory.
type scarce struct{ *cpu.Backend }

func (s scarce) Info() backend.Info {
	i := s.Backend.Info()
	i.Memory = 5000
	return i
}

// A rank that has too little memory is named, with what all have.
func TestUnequalMemory(t *testing.T) {
	x := newBench(t, 10)
	errs := x.trainTogether(3, func(ctx context.Context, b backend.Backend, c *Config, o Options) error {
		if o.Comm.Rank() == 1 {
			b = scarce{b.(*cpu.Backend)}
		}
		return Follow(ctx, b, c, o)
	})
	end := x.ended(&run.FaultMemory)
	for _, want := range []string{"memory on rank 1 ", "rank 0 needs", "rank 1 needs", "of 4.9 KiB free"} {
		if !strings.Contains(end.Error, want) {
			t.Errorf("%q lacks %q", end.Error, want)
		}
	}
	for r, err := range errs {
		if !errors.As(err, new(*dist.AgreedError)) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
}

// A rank that fails ends the others, the log says which, and the last checkpoint is whole.
func TestTeamLosesARank(t *testing.T) {
	x := newBench(t, 100000)
	x.config.CheckpointSteps = 2
	errs := x.trainTogether(3, func(ctx context.Context, b backend.Backend, c *Config, o Options) error {
		if o.Comm.Rank() == 1 {
			b = &failing{Backend: b.(*cpu.Backend), left: 30}
		}
		return Follow(ctx, b, c, o)
	})
	if end := x.ended(&run.FaultRank); !strings.Contains(end.Error, "rank 1 failed: it fell off the bus") {
		t.Errorf("it ends with %s", end.Error)
	}
	if errs[1] == nil || strings.Contains(errs[1].Error(), "rank 1") {
		t.Errorf("rank 1 says %v", errs[1])
	}
	if _, step := x.weights(); step < 2 {
		t.Errorf("saved at step %d", step)
	}
}

// failing is a backend that can do so many programs and no more.
type failing struct {
	*cpu.Backend
	left int
}

func (f *failing) Compile(p *backend.Program) (backend.Executable, error) {
	e, err := f.Backend.Compile(p)
	return failingProgram{e, f}, err
}

type failingProgram struct {
	backend.Executable
	of *failing
}

func (p failingProgram) Run(ctx context.Context, times int) error {
	if p.of.left--; p.of.left < 0 {
		return errors.New("it fell off the bus")
	}
	return p.Executable.Run(ctx, times)
}

// A bad value in one rank's part is found there, and the state before the step is saved.
func TestTeamNotFinite(t *testing.T) {
	x := newBench(t, 10)
	x.config.CheckpointSteps = 3
	errs := x.trainTogether(2, func(ctx context.Context, b backend.Backend, c *Config, o Options) error {
		return Follow(ctx, &poisoned{Backend: b.(*cpu.Backend), at: 4}, c, o)
	})
	end := x.ended(&run.FaultNotFinite)
	if !strings.Contains(end.Error, "step 4:") || !strings.Contains(end.Error, "on rank 1") {
		t.Errorf("it ends with %s", end.Error)
	}
	for r, err := range errs {
		if !errors.As(err, new(*dist.AgreedError)) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
	if _, step := x.weights(); step != 3 {
		t.Errorf("saved at step %d, want 3", step)
	}
}

// poisoned is a backend whose tables go bad at a step.
type poisoned struct {
	*cpu.Backend
	at     int
	tables backend.Buffer
}

func (p *poisoned) Compile(prog *backend.Program) (backend.Executable, error) {
	for _, s := range prog.Buffers {
		if s.Name == bufTables {
			p.tables = s.Buffer
		}
	}
	e, err := p.Backend.Compile(prog)
	if prog.Name != "train.0" {
		return e, err
	}
	return &poisonedProgram{Executable: e, of: p}, err
}

type poisonedProgram struct {
	backend.Executable
	of   *poisoned
	runs int
}

func (p *poisonedProgram) Run(ctx context.Context, times int) error {
	if p.runs++; p.runs == p.of.at {
		bad := make([]float32, p.of.tables.Size()/4)
		for i := range bad {
			bad[i] = float32(math.Inf(1))
		}
		if err := p.of.tables.Write(0, model.BytesOf(bad)); err != nil {
			return err
		}
	}
	return p.Executable.Run(ctx, times)
}

func (p *poisonedProgram) Inspect(look func(*backend.Step) error) error {
	return p.Executable.(backend.Inspector).Inspect(look)
}

// Weights that differ show in the norm of the gradients.
func TestDiverged(t *testing.T) {
	reports := make([]float32, 3*rankFloats)
	for r := range 3 {
		reports[rankFloats*r+4] = 0.5
	}
	if err := diverged(7, reports); err != nil {
		t.Error(err)
	}
	reports[rankFloats+4] = 0.51
	err := diverged(7, reports)
	if run.FaultOf(err) != &run.FaultRank || !strings.Contains(fmt.Sprint(err), "rank 1") {
		t.Errorf("%v", err)
	}
}
