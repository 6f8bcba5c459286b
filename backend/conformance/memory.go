package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// modelTol is how far the loss and the gradients of a whole model may be from the references, relative to the largest. It is
// loose: errors of float32 add up over the layers, and any wrong kernel is off by far more.
const modelTol = 1e-4

// Memory trains small models for a few steps on b. The loss and the first gradients must be those of the references, and every
// byte of the state the same whether or not values share memory, and whether the steps run one by one or in one call.
func Memory(b backend.Backend) []Result { return MemoryIn(b, backend.FP32) }

// MemoryIn is Memory in programs of a precision.
func MemoryIn(b backend.Backend, precision backend.Precision) []Result {
	var results []Result
	for _, build := range []func() (*model, error){residualModel, unetModel} {
		m, err := build()
		if err != nil {
			return append(results, Result{Op: "program", Err: err})
		}
		m.precision = precision
		results = append(results, m.check(context.Background(), b)...)
	}
	return results
}

func (m *model) check(ctx context.Context, b backend.Backend) []Result {
	var plain map[string][]byte // the state after three steps, no memory shared
	checks := []struct {
		variant string
		tol     float64
		f       func() (float64, error)
	}{
		{"against the references", modelTol + m.slack(b), func() (float64, error) { return m.against(ctx, b, false) }},
		{"against the references, shared memory", modelTol + m.slack(b), func() (float64, error) { return m.against(ctx, b, true) }},
		{"three steps", 0, func() (_ float64, err error) {
			plain, err = m.train(ctx, b, false, true, 1, 1, 1)
			return 0, err
		}},
		{"shared memory", 0, func() (float64, error) { return m.same(ctx, b, plain, true, 1, 1, 1) }},
		{"shared memory, three steps in one call", 0, func() (float64, error) { return m.same(ctx, b, plain, true, 3) }},
	}
	var results []Result
	for _, c := range checks {
		r := Result{Op: "program", Case: m.name, Variant: c.variant, Tol: c.tol}
		r.Diff, r.Err = guarded(c.f)
		results = append(results, r)
		if r.Err != nil {
			break // what follows compares with this
		}
	}
	return results
}

// slack is that of the model's convolutions, or of values in halfs, whose roundings add up over its layers.
func (m *model) slack(b backend.Backend) float64 {
	s := 4 * slack(b, "conv2d", m.precision)
	if m.precision == backend.FP16 && halver(b) != nil {
		s = max(s, 16*halfRounding)
	}
	return s
}

// train runs the model from its start, with sums told (plan.Options.Untold) or not, calling Run with each of times, and returns the content of all state.
func (m *model) train(ctx context.Context, b backend.Backend, reuse, untold bool, times ...int) (map[string][]byte, error) {
	d, err := compile(b, m.g, m.precision, reuse, untold, false, nil)
	if err != nil {
		return nil, err
	}
	defer d.close()
	for name, t := range m.state {
		if err := d.bufs[name].Write(0, encode(t)); err != nil {
			return nil, err
		}
	}
	if err := d.soil(unset); err != nil {
		return nil, err
	}
	for _, n := range times {
		if err := d.exe.Run(ctx, n); err != nil {
			return nil, err
		}
	}
	if err := d.arenaGuard(unset, true); err != nil {
		return nil, err
	}
	state := map[string][]byte{}
	for name := range m.state {
		if state[name], err = d.read(name); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// against compares one step with the references.
func (m *model) against(ctx context.Context, b backend.Backend, reuse bool) (diff float64, err error) {
	state, err := m.train(ctx, b, reuse, false, 1)
	if err != nil {
		return 0, err
	}
	want := map[string][]float64{}
	for name, t := range m.state {
		want[name] = slices.Clone(t.Data)
	}
	m.g.Eval(want)
	for _, name := range []string{"out", "grads", "control"} {
		w := &graph.Tensor{Type: m.state[name].Type, Data: want[name]}
		d, err := compare(decode(w.Type, state[name]), w, modelTol+m.slack(b), scale(w))
		if err == nil && slices.ContainsFunc(w.Data, func(v float64) bool { return !finite(v) }) {
			err = errors.New("the reference is not finite")
		}
		if diff = max(diff, d); err != nil {
			return diff, fmt.Errorf("%s after one step: %w", name, err)
		}
	}
	return diff, nil
}

// same trains and compares all state with that of another run.
func (m *model) same(ctx context.Context, b backend.Backend, want map[string][]byte, reuse bool, times ...int) (float64, error) {
	got, err := m.train(ctx, b, reuse, true, times...)
	if err != nil {
		return 0, err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if i := firstDifference(got[name], want[name]); i >= 0 {
			return 0, fmt.Errorf("byte %d of %q is %#02x, without sharing %#02x", i, name, got[name][i], want[name][i])
		}
	}
	return 0, nil
}
