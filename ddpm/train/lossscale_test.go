package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A scale is a power of two, so that in fp32 it changes nothing at all: weights, moments and averages are the same bytes.
func TestLossScaleIsExact(t *testing.T) {
	eachLevel(t, func(t *testing.T, b *cpu.Backend) {
		var states []State
		for _, scale := range []float64{0, 65536, 1} {
			c := smallConfig()
			c.LossScale, c.EMA.Lengths = scale, []float64{0.1}
			s := newStep(t, b, c, pictures(7), 7)
			for _, r := range steps(t, s, 5) {
				if r.Scale != scale || r.Bad() || !r.Clipped && r.GradNorm > c.Optimizer.Clip {
					t.Errorf("scale %v: %+v", scale, r)
				}
			}
			states = append(states, snapshot(t, s))
			sameState(t, "with a scale", states[len(states)-1], states[0])
			if i := firstDifferent(states[len(states)-1].Averages[0], states[0].Averages[0]); i >= 0 {
				t.Errorf("scale %v: element %d of the further average differs", scale, i)
			}
		}
		if l := states[1].Scaling; l == nil || *l != (run.LossScaling{Scale: 65536, Good: 5}) || states[0].Scaling != nil {
			t.Errorf("the scaling is %+v", l)
		}
	})
}

// lossScales are the events of changes of the scale.
func (x *bench) lossScales() (list []run.Event) {
	for _, e := range x.events {
		if e.LossScale != nil {
			list = append(list, e)
		}
	}
	return list
}

// A scale that overflows in fp32 is halved until it does not. The steps are skipped: nothing of them stays, the optimizer's own counters
// included, so the run's weights are those of an optimizer that has only seen the good steps.
func TestOverflow(t *testing.T) {
	const start = 1 << 70
	x := newBench(t, 16)
	x.config.LossScale = start
	b := processor(t, "", 1)
	var before State
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics == nil {
			return
		}
		now, err := tr.Step.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if e.Metrics.Skipped {
			zeros := make([]float32, len(now.M))
			sameState(t, "a skipped step", now, State{Params: now.Params, EMA: now.Params, M: zeros, V: zeros})
			if before.Params != nil {
				sameState(t, "a skipped step", now, before)
			}
		} else if before.Params != nil && firstDifferent(now.Params, before.Params) < 0 {
			t.Errorf("step %d is good, and changed nothing", e.Step)
		}
		before = now
	}
	if err := x.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	list := x.lossScales()
	if len(list) < 3 || len(list) > 12 {
		t.Fatalf("the scale changed %d times in 16 steps", len(list))
	}
	for i, e := range list {
		l, old := e.LossScale, start/math.Exp2(float64(i))
		if e.Step != int64(i+1) || !l.Skipped || float64(l.Old) != old || float64(l.New) != old/2 || l.InARow != int64(i+1) || l.All != int64(i+1) {
			t.Errorf("at step %d: %+v", e.Step, l)
		}
		if !strings.Contains(l.String(), "skipped") || !strings.Contains(l.String(), "halved from 2^") {
			t.Errorf("it says %q", l)
		}
	}
	s, _, err := x.folder.Load("")
	if err != nil {
		t.Fatal(err)
	}
	skipped := int64(len(list))
	if want := (run.LossScaling{Scale: float64(list[len(list)-1].LossScale.New), Good: 16 - skipped, Skipped: skipped}); s.State.LossScaling == nil || *s.State.LossScaling != want {
		t.Errorf("the checkpoint has %+v, want %+v", s.State.LossScaling, want)
	}
	var good int64
	for _, e := range x.events {
		if m := e.Metrics; m != nil && !m.Skipped { // the warm-up of the learning rate counts good steps
			good++
			if want := x.config.Optimizer.LR * math.Min(1, float64(good)/3); math.Abs(float64(m.LR)/want-1) > 1e-6 || !(m.GradNorm < 1e6) {
				t.Errorf("step %d has learning rate %v, want %v; gradient norm %v", e.Step, m.LR, want, m.GradNorm)
			}
		}
	}
	if good != 16-skipped {
		t.Errorf("%d good steps of 16, %d skipped", good, skipped)
	}
}

// The scale grows after so many good steps, and all of it goes on after a resume as if there had been none, byte for byte.
func TestLossScaleResumes(t *testing.T) {
	b := processor(t, "", 2)
	train := func(parts ...int64) (files [4][]byte, x *bench) {
		x = newBench(t, 0)
		x.config.LossScale = 1 << 70
		for _, steps := range parts {
			x.config.Steps = steps
			if err := x.train(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		w, _ := x.weights()
		state, err := os.ReadFile(filepath.Join(x.folder.Dir(), "checkpoints", "latest", "state.json"))
		if err != nil {
			t.Fatal(err)
		}
		return [4][]byte{w[0], w[1], w[2], state}, x
	}
	whole, _ := train(14)
	broken, x := train(2, 3, 14) // while steps are skipped, too
	if len(x.lossScales()) < 3 {
		t.Errorf("%d changes of the scale: the test sees nothing", len(x.lossScales()))
	}
	for i := range whole {
		if !bytes.Equal(whole[i], broken[i]) {
			t.Errorf("file %d of the run that was resumed differs", i)
		}
	}
}

// The growth of the scale, on the device: after 2000 good steps it doubles, and the count begins anew.
func TestLossScaleGrows(t *testing.T) {
	c := smallConfig()
	c.LossScale = 4
	s := newStep(t, processor(t, "", 1), c, pictures(7), 7)
	st := snapshot(t, s)
	st.Steps, st.Scaling = 5000, &run.LossScaling{Scale: 4, Good: scaleGrowth - 2, Skipped: 7}
	restore(t, s, st)
	rs := steps(t, s, 3)
	if rs[0].Scale != 4 || rs[1].Scale != 4 || rs[2].Scale != 8 || *snapshot(t, s).Scaling != (run.LossScaling{Scale: 8, Good: 1, Skipped: 7}) {
		t.Errorf("scales %v, %v, %v, then %+v", rs[0].Scale, rs[1].Scale, rs[2].Scale, snapshot(t, s).Scaling)
	}
}

// What is not finite whatever the scale stops the run, with the place where it comes from; a resume begins with the scale anew.
func TestOverflowStops(t *testing.T) {
	b := processor(t, "", 2)
	good := newBench(t, 3)
	good.config.LossScale = 4
	if err := good.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want, _ := good.weights()

	x := newBench(t, 100)
	x.config.LossScale = 4
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 3 {
			if err := model.Write(tr.Step.Memory, bufTables, 0, slices.Repeat([]float32{inf}, 100)); err != nil { // as a device that begins to fail would
				t.Error(err)
			}
		}
	}
	err := x.train(t.Context(), b)
	var bad *OverflowError
	if !errors.As(err, &bad) || bad.Step != 20 || bad.InARow != 17 || bad.Scale != leastScale || bad.First == nil || bad.First.Op != "mix" {
		t.Fatalf("%v, %+v", err, bad)
	}
	end := x.ended(&run.FaultOverflow)
	for _, want := range []string{"step 20:", "17 steps in a row", "of mix at batch", "below 2^-14", "--lr", "fp32"} {
		if !strings.Contains(end.Error, want) {
			t.Errorf("%q does not say %q", end.Error, want)
		}
	}
	if n := len(x.lossScales()); n != 17 {
		t.Errorf("%d changes of the scale", n)
	}
	if got, step := x.weights(); step != 20 || !sameFiles(got, want) {
		t.Errorf("the checkpoint of step %d is not what a run that ends before the fault has", step)
	}
	x.config.Steps, x.on = 22, nil
	if err := x.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s, _, err := x.folder.Load("")
	if err != nil || *s.State.LossScaling != (run.LossScaling{Scale: 4, Good: 2, Skipped: 17}) {
		t.Errorf("after the resume: %+v, %v", s.State.LossScaling, err)
	}
}

// Ranks decide alike, for they look at the same sums: the steps of one rank's overflow are skipped by all, and a resume of them, alone,
// goes on with their scale. What keeps falling stops all.
func TestTeamOverflows(t *testing.T) {
	alone, x := newBench(t, 14), newBench(t, 14)
	for _, y := range []*bench{alone, x} {
		y.config.LossScale, y.config.Batch = 1<<68, 4
	}
	if err := alone.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.trainTogether(3, Follow)...); err != nil {
		t.Fatal(err)
	}
	if a, b := len(alone.lossScales()), len(x.lossScales()); a < 2 || b < 2 || max(a, b)-min(a, b) > 1 { // rounding may decide one step
		t.Fatalf("alone the scale changes %d times, on three ranks %d times", a, b)
	}
	x.options.Comm, x.config.Steps = nil, 16
	if err := x.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	s, _, err := x.folder.Load("")
	if n := int64(len(x.lossScales())); err != nil || s.State.LossScaling.Skipped != n || s.State.LossScaling.Good != 16-n {
		t.Errorf("after %d changes: %+v, %v", n, s.State.LossScaling, err)
	}

	// One rank's part of the sums is not finite: all skip, and in the end all stop, for the same reason.
	y := newBench(t, 100)
	y.config.LossScale, y.config.Batch = 1, 4
	errs := y.trainTogether(3, func(ctx context.Context, b backend.Backend, c *Config, o Options) error {
		if o.Comm.Rank() == 2 {
			b = &poisoned{Backend: b.(*cpu.Backend), at: 4}
		}
		return Follow(ctx, b, c, o)
	})
	end := y.ended(&run.FaultOverflow)
	if !strings.Contains(end.Error, "step 18:") || !strings.Contains(end.Error, "on rank 2") || len(y.lossScales()) != 15 {
		t.Errorf("after %d changes of the scale: %s", len(y.lossScales()), end.Error)
	}
	for r, err := range errs {
		if !errors.As(err, new(*OverflowError)) || !errors.As(err, new(*dist.AgreedError)) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
}

// The configuration says what a scale can be, and what a device has.
func TestPrecisionConfig(t *testing.T) {
	for text, want := range map[string]string{
		`{"precision": "fp8"}`: "fp32, fp16 or bf16", `{"loss_scale": 3}`: "power of two", `{"loss_scale": 0.5}`: "power of two", `{"loss_scale": 1e300}`: "power of two",
		`{"precision": "fp16", "loss_scale": -1}`: "", `{"precision": "fp32", "loss_scale": 65536}`: "",
	} {
		c := smallConfig()
		if err := json.Unmarshal([]byte(text), c); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, c := range []struct {
		Config
		want float64
	}{{Config{}, 0}, {Config{Precision: backend.FP16}, startScale}, {Config{Precision: backend.BF16}, 0}, {Config{Precision: backend.FP16, LossScale: -1}, 0}, {Config{LossScale: 2}, 2}} {
		if got := c.scale(); got != c.want {
			t.Errorf("%+v begins with %v, want %v", c.Config, got, c.want)
		}
	}
	x := newBench(t, 1)
	x.config.Precision = backend.FP16
	err := x.train(t.Context(), processor(t, "", 1))
	if !errors.As(err, new(*model.PrecisionError)) || !strings.Contains(err.Error(), "fp16") || !strings.Contains(err.Error(), "--backend vulkan") {
		t.Errorf("fp16 on a CPU: %v", err)
	}
}
