package nn

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/nn/golden"
)

// The golden vectors once more, in float32 on the CPU's kernels: planned, compiled and run as in a training.

// A cpuForm is a way for the CPU to compute, and how exact it is.
type cpuForm struct {
	level simd.Level
	exact bool   // direct convolutions only
	slow  bool   // plain Go
	dot   string // in bf16, with these kernels

	forward, gradient, weights, loss, norm float64 // largest differences; gradient and norm relative
}

// eachCPU runs f for each instruction set of this machine, the fastest first, as a subtest named after it, with the fast forms
// of convolutions and with the exact ones, and in bf16 with each of its kernels. The kernels in plain Go take ten to twenty times as long as the others: -short leaves
// them out, and slow says that they must do less.
func eachCPU(t *testing.T, f func(t *testing.T, form cpuForm)) {
	t.Helper()
	for i, level := range slices.Backward(simd.Supported()) {
		slow := level == simd.Generic
		forms := []cpuForm{
			{level: level, slow: slow, forward: 5e-5, gradient: 1e-3, weights: 5e-4, loss: 1e-5, norm: 1e-4},
			{level: level, slow: slow, exact: true, forward: 1e-5, gradient: 1e-4, weights: 1e-4, loss: 1e-6, norm: 1e-5},
		}
		if i == len(simd.Supported())-1 {
			for _, d := range simd.Dots() {
				forms = append(forms, cpuForm{level: level, slow: d.Name == simd.DotPlain.Name, dot: d.Name, forward: bf16Forward, gradient: bf16Gradient, weights: 2e-2, loss: 1e-2, norm: 5e-2})
			}
		}
		for _, form := range forms {
			name, slow := level.String(), form.slow
			if form.exact {
				name += " exact"
			}
			if form.dot != "" {
				name = "bf16 " + form.dot
			}
			t.Run(name, func(t *testing.T) {
				if slow && testing.Short() {
					t.Skip("slow: the kernels in plain Go")
				}
				f(t, form)
			})
		}
	}
}

// bf16 numbers have 8 bits: each product is off by up to 2^-8, and a network of many layers adds that up.
const bf16Forward, bf16Gradient = 3e-2, 5e-2

// otherThreads are the numbers of workers that must give what one gives, to the last bit.
func otherThreads(slow bool) []int {
	if slow {
		return []int{3}
	}
	return []int{2, 3}
}

// A device is a graph on the CPU, with its memory.
type device struct {
	t    *testing.T
	exec backend.Executable
	bufs map[string]backend.Buffer
	u32  map[string]bool // buffers of integers
}

// onCPU plans and compiles g. The buffers hold zeros, but for the arena: whatever it holds must not matter.
func onCPU(t *testing.T, form cpuForm, threads int, g *graph.Graph) *device {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: threads, Level: form.level.String(), Exact: form.exact, Dot: form.dot})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	precision := backend.FP32
	if form.dot != "" {
		precision = backend.BF16
	}
	p, _, err := plan.Compile(g, plan.Options{Name: t.Name(), Planner: b, Reuse: true, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, bufs: map[string]backend.Buffer{}, u32: map[string]bool{}}
	for _, slot := range p.Buffers {
		if d.bufs[slot.Name], err = b.NewBuffer(slot.Bytes); err != nil {
			t.Fatal(err)
		}
		if err := p.Bind(slot.Name, d.bufs[slot.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.bufs[plan.Arena].Write(0, bytes.Repeat([]byte{0xFF}, p.Buffers[0].Bytes)); err != nil { // NaNs
		t.Fatal(err)
	}
	p.Steps(func(s *backend.Step) {
		for _, v := range slices.Concat(s.In, s.Out) {
			if !v.Absent() && v.Buffer > 0 && v.DType == backend.U32 {
				d.u32[p.Buffers[v.Buffer].Name] = true
			}
		}
	})
	if d.exec, err = b.Compile(p); err != nil {
		t.Fatal(err)
	}
	return d
}

// write fills the buffer of that name from its start.
func (d *device) write(name string, v []float64) {
	d.t.Helper()
	b := d.bufs[name]
	if b == nil {
		d.t.Fatalf("the program has no buffer %q", name)
	}
	p := make([]byte, 0, 4*len(v))
	for _, x := range v {
		bits := math.Float32bits(float32(x))
		if d.u32[name] {
			bits = uint32(x)
		}
		p = binary.LittleEndian.AppendUint32(p, bits)
	}
	if err := b.Write(0, p); err != nil {
		d.t.Fatal(err)
	}
}

// read returns the n floats at a place in the buffer of that name.
func (d *device) read(name string, at, n int) []float64 {
	d.t.Helper()
	p := make([]byte, 4*n)
	if err := d.bufs[name].Read(4*at, p); err != nil {
		d.t.Fatal(err)
	}
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:])))
	}
	return v
}

// run replays the program once and says how long it took.
func (d *device) run() time.Duration {
	d.t.Helper()
	start := time.Now()
	if err := d.exec.Run(context.Background(), 1); err != nil {
		d.t.Fatal(err)
	}
	return time.Since(start).Round(10 * time.Microsecond)
}

// sameBits fails unless both are the same, NaN included.
func sameBits(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Fatalf("%s: element %d is %v, want %v to the last bit", what, i, got[i], want[i])
		}
	}
}

// atMost fails if a difference is larger than it may be, or no number.
func atMost(t *testing.T, what string, diff, tol float64) {
	t.Helper()
	if !(diff <= tol) {
		t.Errorf("%s: %g, want at most %g", what, diff, tol)
	}
}

func TestCPUForwardGolden(t *testing.T) { golden.Run(t, "unet_*.io", cpuForwardGolden) }

// The options that those files do not have: see testdata/README.md.
func TestCPUOptionsGolden(t *testing.T) { golden.Run(t, "option_*.io", cpuForwardGolden) }

func cpuForwardGolden(t *testing.T, f *golden.File) {
	m := loadModel(t, strings.TrimSuffix(f.Path, ".io.safetensors"), f.I64(t, "timestep"))
	shape := f.Shape(t, "x")
	n, c, h, w := shape[0], shape[1], shape[2], shape[3]
	run := func(t *testing.T, form cpuForm, threads, n int) ([]float64, time.Duration) {
		g, y, err := BuildUNet(m.params, m.cfg, n, m.T)
		if err != nil {
			t.Fatal(err)
		}
		graph.Keep(y, "y", 0)
		d := onCPU(t, form, threads, g)
		d.write(ParamsBuffer, m.weights)
		d.write("table", m.table)
		d.write("x", nhwc(f.F64(t, "x")[:n*c*h*w], n, c, h, w))
		d.write("t", widen(f.I64(t, "timestep")[:n]))
		if f.Has("class_labels") {
			d.write("class", widen(f.I64(t, "class_labels")[:n]))
		}
		took := d.run()
		return d.read("y", 0, y.Shape.Elems()), took
	}
	eachCPU(t, func(t *testing.T, form cpuForm) {
		n := n
		if form.slow {
			n = 1
		}
		y, took := run(t, form, 1, n)
		got := nchw(y, n, m.cfg.OutChannels, h, w)
		diff, scale := golden.Diff(got, f.F64(t, "y")[:len(got)])
		exact, _ := golden.Diff(got, f.F64(t, "y_f64")[:len(got)])
		t.Logf("largest difference to y %.3g of %.3g, to y_f64 %.3g; %d images in %v", diff, scale, exact, n, took)
		atMost(t, "y: largest difference", diff, form.forward)
		atMost(t, "y_f64: largest difference", exact, form.forward)
		for _, threads := range otherThreads(form.slow) {
			again, _ := run(t, form, threads, n)
			sameBits(t, fmt.Sprintf("%d threads", threads), again, y)
		}
	})
}

func TestCPUGradientGolden(t *testing.T) {
	golden.Run(t, "grad_*", func(t *testing.T, f *golden.File) {
		m := loadModel(t, beside(f, strings.Replace(f.Name, "grad_", "unet_", 1)), f.I64(t, "timesteps"))
		shape := f.Shape(t, "xt")
		n, c, h, w := shape[0], shape[1], shape[2], shape[3]
		per := n * m.cfg.OutChannels * h * w
		// results: the loss, the norm, then the prediction.
		run := func(t *testing.T, form cpuForm, threads int) (results, grads []float64, took time.Duration) {
			step := buildStep(t, m, n, false)
			graph.Keep(step.loss, "results", 0)
			graph.Keep(step.norm, "results", 4)
			graph.Keep(step.pred, "results", 8)
			d := onCPU(t, form, threads, step.Graph)
			for name, v := range map[string][]float64{
				ParamsBuffer: m.weights, "table": m.table, "t": widen(f.I64(t, "timesteps")), "one": {1},
				"xt": nhwc(f.F64(t, "xt"), n, c, h, w), "noise": nhwc(f.F64(t, "noise"), n, c, h, w),
			} {
				d.write(name, v)
			}
			if f.Has("class_labels") {
				d.write("class", widen(f.I64(t, "class_labels")))
			}
			took = d.run()
			return d.read("results", 0, 2+per), d.read("grads", 0, m.params.Elems()), took
		}
		eachCPU(t, func(t *testing.T, form cpuForm) {
			results, grads, took := run(t, form, 1)
			global := f.F64(t, "grad_global_norm")[0]
			loss := math.Abs(results[0] - f.F64(t, "loss")[0])
			norm := math.Abs(results[1]-global) / global
			pred, _ := golden.Diff(nchw(results[2:], n, m.cfg.OutChannels, h, w), f.F64(t, "pred"))
			worst, where := worstGradient(t, f, m.params, grads, global)
			t.Logf("gradients: worst relative L2 %.3g, of %s; loss off by %.2g, norm by %.2g relative, prediction by %.2g; %v",
				worst, where, loss, norm, pred, took)
			atMost(t, "worst relative L2, of "+where, worst, form.gradient)
			atMost(t, "loss: difference", loss, form.loss)
			atMost(t, "global norm: relative difference", norm, form.norm)
			atMost(t, "prediction: largest difference", pred, form.forward)
			for _, threads := range otherThreads(form.slow) {
				r, g, _ := run(t, form, threads)
				sameBits(t, fmt.Sprintf("results with %d threads", threads), r, results)
				sameBits(t, fmt.Sprintf("gradients with %d threads", threads), g, grads)
			}
		})
	})
}

// worstGradient is the largest |g - ref| / max(|ref|, 1e-4 global norm) over the parameters, in L2 norms: a gradient that is
// zero but for rounding is measured by what it would do to the whole.
func worstGradient(t *testing.T, f *golden.File, p *Params, grads []float64, global float64) (worst float64, where string) {
	for _, q := range p.List() {
		ref := f.F64(t, "grad."+q.Name)
		off := make([]float64, len(ref))
		for i, v := range named(p, q.Name, grads) {
			off[i] = v - ref[i]
		}
		if d := l2(off) / max(l2(ref), 1e-4*global); d > worst || math.IsNaN(d) {
			worst, where = d, q.Name
		}
		if math.IsNaN(worst) {
			break
		}
	}
	return worst, where
}

func TestCPUAdamWGolden(t *testing.T) {
	golden.Run(t, "adamw_*", func(t *testing.T, f *golden.File) {
		m := loadModel(t, beside(f, strings.Replace(f.Name, "adamw_", "unet_", 1)), f.I64(t, "timesteps"))
		shape := f.Shape(t, "x0")
		steps, n, c, h, w := shape[0], shape[1], shape[2], shape[3], shape[4]
		per, x0, noise, ts := n*c*h*w, f.F64(t, "x0"), f.F64(t, "noise"), f.I64(t, "timesteps")
		losses, norms := f.F64(t, "losses"), f.F64(t, "grad_norms_before_clip")
		hyper, alphaBar := make([]float64, backend.HypWords), linearAlphaBar(1000, 1e-4, 0.02)
		setHyper(t, f, hyper)

		run := func(t *testing.T, form cpuForm, threads int) (weights, average, loss, norm []float64, took time.Duration) {
			step := buildStep(t, m, n, true)
			graph.Keep(step.loss, "results", 0)
			graph.Keep(step.norm, "results", 4)
			d := onCPU(t, form, threads, step.Graph)
			for name, v := range map[string][]float64{
				ParamsBuffer: m.weights, "ema": m.weights, "table": m.table, "one": {1}, "hyper": hyper,
			} {
				d.write(name, v)
			}
			for k := range steps {
				xt := make([]float64, per)
				for i := range xt {
					a := alphaBar[ts[k*n+i/(c*h*w)]]
					xt[i] = math.Sqrt(a)*x0[k*per+i] + math.Sqrt(1-a)*noise[k*per+i]
				}
				d.write("xt", nhwc(xt, n, c, h, w))
				d.write("noise", nhwc(noise[k*per:(k+1)*per], n, c, h, w))
				d.write("t", widen(ts[k*n:(k+1)*n]))
				if f.Has("class_labels") {
					d.write("class", widen(f.I64(t, "class_labels")[k*n:(k+1)*n]))
				}
				took += d.run()
				r := d.read("results", 0, 2)
				loss, norm = append(loss, r[0]), append(norm, r[1])
			}
			return d.read(ParamsBuffer, 0, m.params.Elems()), d.read("ema", 0, m.params.Elems()), loss, norm, took
		}
		eachCPU(t, func(t *testing.T, form cpuForm) {
			weights, average, loss, norm, took := run(t, form, 2)
			for k := range steps {
				t.Logf("step %d: loss %.6f, off by %.2g; norm %.5f, off by %.2g relative", k+1, loss[k], loss[k]-losses[k], norm[k], norm[k]/norms[k]-1)
				atMost(t, fmt.Sprintf("step %d: loss: difference", k+1), math.Abs(loss[k]-losses[k]), form.loss)
				atMost(t, fmt.Sprintf("step %d: norm: relative difference", k+1), math.Abs(norm[k]/norms[k]-1), form.norm)
			}
			for prefix, flat := range map[string][]float64{"final.": weights, "ema.": average} {
				worst, where := 0.0, ""
				for _, q := range m.params.List() {
					if d, _ := golden.Diff(named(m.params, q.Name, flat), f.F64(t, prefix+q.Name)); d > worst {
						worst, where = d, q.Name
					}
				}
				t.Logf("%s: largest difference %.3g, of %s; %d steps in %v", prefix, worst, where, steps, took)
				atMost(t, prefix+": largest difference, of "+where, worst, form.weights)
			}
			if form.slow {
				return // the gradients have shown that the number of workers changes nothing
			}
			again, ema, l, _, _ := run(t, form, 3)
			sameBits(t, "losses with 3 threads", l, loss)
			sameBits(t, "weights with 3 threads", again, weights)
			sameBits(t, "average with 3 threads", ema, average)
		})
	})
}
