package nn

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/nn/golden"
)

// A trainingStep is a graph of forward pass, loss and gradients, and with update the optimizer.
type trainingStep struct {
	*graph.Graph
	pred, loss, norm *graph.Value
}

// buildStep reads xt, noise: [N,H,W,C], t, class: [N] and table, and writes the flat "grads"; with update also the flat params,
// m, v, ema and the step in control.
func buildStep(t *testing.T, m *model, n int, update bool) *trainingStep {
	t.Helper()
	s := &trainingStep{}
	g, err := graph.Build(func(g *graph.Graph) {
		state := func(name string, t graph.Type) *graph.Value { return graph.State(name, 0, t, name) }
		size, c := m.cfg.SampleSize, m.cfg.InChannels
		table := state("table", graph.F32(m.T, m.cfg.BlockOutChannels[0]))
		var class *graph.Value
		if m.cfg.Classes() > 0 {
			class = state("class", graph.U32(n))
		}
		s.pred = UNet(g, m.params, m.cfg, state("xt", graph.F32(n, size, size, c)), state("t", graph.U32(n)), table, class)
		s.loss, _ = g.MSE(s.pred, state("noise", s.pred.Type))
		grads := m.params.Bind(g.Grad(s.loss, state("one", graph.F32(1)), m.params.Values()), "grads")
		s.norm = g.GlobalNorm(grads)
		if update {
			control, hyper := state("control", graph.U32(backend.CtlWords)), state("hyper", graph.F32(backend.HypWords))
			p := m.params
			g.AdamW(p.Flat(ParamsBuffer), p.Flat("m"), p.Flat("v"), p.Flat("ema"), grads, s.norm, hyper, g.Schedule(control, hyper), nil)
			g.Advance(control)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Graph = g
	return s
}

// named returns a parameter's part of a flat buffer in the file's order.
func named(p *Params, name string, flat []float64) []float64 {
	q := p.byName[name]
	out := make([]float64, q.Shape.Elems())
	q.each(func(file, at int) { out[file] = flat[q.Offset+at] })
	return out
}

func TestGradientGolden(t *testing.T) {
	t.Parallel()
	golden.Run(t, "grad_*", func(t *testing.T, f *golden.File) {
		t.Parallel()
		m := loadModel(t, beside(f, strings.Replace(f.Name, "grad_", "unet_", 1)), f.I64(t, "timesteps"))
		shape := f.Shape(t, "xt")
		n, c, h, w := shape[0], shape[1], shape[2], shape[3]
		step := buildStep(t, m, n, false)
		buffers := map[string][]float64{
			ParamsBuffer: m.weights, "grads": make([]float64, m.params.Elems()),
			"table": m.table, "t": widen(f.I64(t, "timesteps")), "one": {1},
			"xt": nhwc(f.F64(t, "xt"), n, c, h, w), "noise": nhwc(f.F64(t, "noise"), n, c, h, w),
		}
		if f.Has("class_labels") {
			buffers["class"] = widen(f.I64(t, "class_labels"))
		}
		start := time.Now()
		values := step.Eval(buffers)
		took := time.Since(start).Round(time.Millisecond)

		close := func(name string, got []float64, tol float64) {
			t.Helper()
			diff, _ := golden.Diff(got, f.F64(t, name))
			t.Logf("%s: largest difference %.3g", name, diff)
			if diff > tol {
				t.Errorf("%s: largest difference %g, want at most %g", name, diff, tol)
			}
		}
		close("pred", nchw(values[step.pred].Data, n, c, h, w), 1e-5)
		close("loss", values[step.loss].Data, 1e-6)
		close("grad_global_norm", values[step.norm].Data, 1e-5)

		worst, where, global := 0.0, "", f.F64(t, "grad_global_norm")[0]
		for _, q := range m.params.List() {
			ref := f.F64(t, "grad."+q.Name)
			off := make([]float64, len(ref))
			for i, v := range named(m.params, q.Name, buffers["grads"]) {
				off[i] = v - ref[i]
			}
			if d := l2(off) / max(l2(ref), 1e-4*global); d > worst || math.IsNaN(d) {
				worst, where = d, q.Name
			}
		}
		t.Logf("gradients: worst relative L2 %.3g, of %s; %d parameters, %v", worst, where, len(m.params.List()), took)
		if !(worst <= 1e-5) { // ten times tighter than what kernels are held to
			t.Errorf("gradients: worst relative L2 %g, of %s", worst, where)
		}
	})
}

func l2(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x * x
	}
	return math.Sqrt(s)
}

func TestAdamWGolden(t *testing.T) {
	t.Parallel()
	golden.Run(t, "adamw_*", func(t *testing.T, f *golden.File) {
		if testing.Short() {
			t.Skip("slow: several training steps in the float64 references")
		}
		t.Parallel()
		m := loadModel(t, beside(f, strings.Replace(f.Name, "adamw_", "unet_", 1)), f.I64(t, "timesteps"))
		shape := f.Shape(t, "x0")
		steps, n, c, h, w := shape[0], shape[1], shape[2], shape[3], shape[4]
		step := buildStep(t, m, n, true)
		elems, per := m.params.Elems(), n*c*h*w
		x0, noise, ts := f.F64(t, "x0"), f.F64(t, "noise"), f.I64(t, "timesteps")
		buffers := map[string][]float64{
			ParamsBuffer: m.weights, "ema": append([]float64(nil), m.weights...),
			"m": make([]float64, elems), "v": make([]float64, elems), "grads": make([]float64, elems),
			"table": m.table, "one": {1}, "control": make([]float64, backend.CtlWords), "hyper": make([]float64, backend.HypWords),
		}
		setHyper(t, f, buffers["hyper"])
		alphaBar := linearAlphaBar(1000, 1e-4, 0.02)

		start := time.Now()
		for k := range steps {
			xt := make([]float64, per)
			for i := range xt {
				a := alphaBar[ts[k*n+i/(c*h*w)]]
				xt[i] = math.Sqrt(a)*x0[k*per+i] + math.Sqrt(1-a)*noise[k*per+i]
			}
			buffers["xt"], buffers["noise"] = nhwc(xt, n, c, h, w), nhwc(noise[k*per:(k+1)*per], n, c, h, w)
			buffers["t"] = widen(ts[k*n : (k+1)*n])
			if f.Has("class_labels") {
				buffers["class"] = widen(f.I64(t, "class_labels")[k*n : (k+1)*n])
			}
			values := step.Eval(buffers)
			loss, norm := values[step.loss].Data[0], values[step.norm].Data[0]
			t.Logf("step %d: loss %.6f, off by %.2g; norm %.5f, off by %.2g", k+1, loss, loss-f.F64(t, "losses")[k], norm, norm-f.F64(t, "grad_norms_before_clip")[k])
			if math.Abs(loss-f.F64(t, "losses")[k]) > 1e-6 {
				t.Errorf("step %d: loss %g, want %g", k+1, loss, f.F64(t, "losses")[k])
			}
		}
		took := time.Since(start).Round(time.Millisecond)
		for prefix, flat := range map[string][]float64{"final.": buffers[ParamsBuffer], "ema.": buffers["ema"]} {
			worst, where := 0.0, ""
			for _, q := range m.params.List() {
				if d, _ := golden.Diff(named(m.params, q.Name, flat), f.F64(t, prefix+q.Name)); d > worst {
					worst, where = d, q.Name
				}
			}
			t.Logf("%s: largest difference %.3g, of %s; %d steps in %v", prefix, worst, where, steps, took)
			if worst > 1e-4 {
				t.Errorf("%s: largest difference %g, of %s", prefix, worst, where)
			}
		}
	})
}

// setHyper fills the hyper-parameters from the JSON beside a file, which holds PyTorch's as a Python literal. The average
// is that of diffusers' EMAModel with warm-up, power 3/4, in all such files.
func setHyper(t *testing.T, f *golden.File, hyper []float64) {
	t.Helper()
	var sidecar struct {
		AdamW string
		Clip  float64
	}
	f.Sidecar(t, &sidecar)
	var a struct {
		LR          float64
		Betas       [2]float64
		Eps         float64
		WeightDecay float64 `json:"weight_decay"`
	}
	literal := strings.NewReplacer("'", `"`, "(", "[", ")", "]").Replace(sidecar.AdamW)
	if err := json.Unmarshal([]byte(literal), &a); err != nil {
		t.Fatalf("adamw %s: %v", sidecar.AdamW, err)
	}
	hyper[backend.HypLR], hyper[backend.HypBeta1], hyper[backend.HypBeta2], hyper[backend.HypEps] = a.LR, a.Betas[0], a.Betas[1], a.Eps
	hyper[backend.HypDecay], hyper[backend.HypClip], hyper[backend.HypEMA], hyper[backend.HypEMAPower] = a.WeightDecay, sidecar.Clip, 0.9999, 0.75
}

// linearAlphaBar is the running product of 1 - beta with T betas from lo to hi.
func linearAlphaBar(T int, lo, hi float64) []float64 {
	table, product := make([]float64, T), 1.0
	for i := range table {
		product *= 1 - (lo + (hi-lo)*float64(i)/float64(T-1))
		table[i] = product
	}
	return table
}
