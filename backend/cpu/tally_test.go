package cpu_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

// normed is convolutions and norms that read their sums, with means that are about shift, large beside the deviations: x is a convolution of an
// image, y = conv(norm(x)) + x, and z the norm of joined x and y. z and the statistics are kept. The weights lie at the same place whatever n is,
// and so does the first image.
func normed(t *testing.T, n, size, in, out, k, stride int, shift float32) (g *graph.Graph, kept []*graph.Value) {
	t.Helper()
	g, err := graph.Build(func(g *graph.Graph) {
		const row, image = 2 << 20, 3 << 20 // offsets
		at := 0
		state := func(shape ...int) *graph.Value {
			v := graph.State("in", at, graph.F32(shape...), "")
			at += (v.Bytes() + 63) &^ 63
			return v
		}
		to := 0
		keep := func(v *graph.Value) {
			graph.Keep(v, "out", to)
			to += (v.Bytes() + 63) &^ 63
			kept = append(kept, v)
		}
		conv := func(x *graph.Value, k, stride int) *graph.Value {
			w := g.Scale(state(out, k, k, x.Shape[3]), float32(1/math.Sqrt(float64(k*k*x.Shape[3]))), 0)
			return g.Conv2D(x, w, state(out), stride, [4]int{k / 2, k / 2, k / 2, k / 2})
		}
		norm := func(x *graph.Value) *graph.Value {
			y := g.GroupNorm(x, state(x.Shape[3]), state(x.Shape[3]), x.Shape[3]/4, 1e-5, false)
			keep(y.Producer.Out[1])
			return y
		}
		x := conv(graph.State("in", image, graph.F32(n, size, size, in), ""), k, stride)
		x = g.AddRow(x, g.Scale(graph.State("in", row, graph.F32(n, 1, 1, out), ""), 1, shift))
		y := g.Add(conv(norm(x), 1, 1), x)
		keep(norm(g.Concat(x, y)))
		if at > row {
			t.Fatalf("weights of %d bytes", at)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, kept
}

func floatsOf(raw []byte) []float32 {
	v := make([]float32, len(raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v
}

// TestTold: norms that are told of their input by the kernels that make it, among them those of joined parts, have the statistics that they
// find themselves, though means are large beside the deviations; so do the gradients of a block, among them sums that are told. The number of
// workers changes nothing, nor do other images.
func TestTold(t *testing.T) {
	for _, c := range []struct{ n, size, in, out, k, stride int }{
		{4, 16, 32, 64, 3, 1}, {2, 24, 32, 32, 3, 1}, {2, 64, 32, 16, 3, 1}, {3, 8, 64, 40, 3, 1}, {2, 20, 5, 12, 3, 2}, {2, 12, 24, 36, 1, 1}, {9, 8, 128, 128, 3, 1},
	} {
		for _, o := range forms() {
			precision, tol := backend.FP32, 2e-6
			if o.Dot != "" {
				precision, tol = backend.BF16, 1e-4 // the last bit may decide how an operand is rounded
			}
			run := func(threads int, g *graph.Graph, untold bool) ([]byte, map[string]int) {
				o.Threads = threads
				b, err := cpu.New(o)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				raw, p := runPlan(t, b, g, plan.Options{Planner: b, Reuse: true, Precision: precision, Untold: untold})
				told := map[string]int{}
				p.Steps(func(s *backend.Step) { told[s.Op] += s.Tallied })
				return raw, told
			}
			for _, name := range []string{"norms", "gradients"} {
				if name == "gradients" && c.size > 32 {
					continue
				}
				t.Run(fmt.Sprintf("%+v %+v %s", c, o, name), func(t *testing.T) {
					g, kept := resnet(t, c.n, c.size, c.in, c.out, c.stride), []*graph.Value(nil)
					if name == "norms" {
						g, kept = normed(t, c.n, c.size, c.in, c.out, c.k, c.stride, 100)
					} else if o.Dot != "" {
						t.Skip("rounded operands differ by more in a loss")
					}
					raw, told := run(2, g, false)
					untold, none := run(2, g, true)
					if one, _ := run(1, g, false); !bytes.Equal(raw, one) {
						t.Error("one worker has other results than two")
					}
					if none["group_norm"]+none["sum_rows"]+none["sum_space"] != 0 {
						t.Errorf("told, though not asked: %v", none)
					}
					pixels := c.size / c.stride * c.size / c.stride // in bf16, units of a product of matrices, 256 pixels, may end anywhere in images
					odd := o.Dot != "" && c.stride == 1 && pixels%256 != 0 && 256%pixels != 0
					if name == "norms" && (told["group_norm"] == 3) == odd || name == "gradients" && c.stride == 1 && told["sum_rows"]+told["sum_space"] < 2 {
						t.Errorf("told: %v", told)
					}
					got, want, scale := floatsOf(raw), floatsOf(untold), 0.0
					for _, v := range want {
						scale = max(scale, math.Abs(float64(v)))
					}
					for i, v := range got {
						if d := math.Abs(float64(v - want[i])); !(d <= tol*scale) {
							t.Fatalf("number %d is %v where it is told of, else %v (largest %.3g)", i, v, want[i], scale)
						}
					}
					if kept == nil {
						return
					}
					g, first := normed(t, 1, c.size, c.in, c.out, c.k, c.stride, 100)
					alone, _ := run(2, g, false)
					for i, v := range first {
						if from := kept[i].Store.Offset; !bytes.Equal(alone[v.Store.Offset:][:v.Bytes()], raw[from:][:v.Bytes()]) {
							t.Errorf("result %d of one image is another alone than among %d", i, c.n)
						}
					}
				})
			}
		}
	}
}

// TestNormOfHugeNumbers: where squares leave float32's range, a norm makes zeros of what it divides, and no NaN.
func TestNormOfHugeNumbers(t *testing.T) {
	g, err := graph.Build(func(g *graph.Graph) {
		at := 0
		state := func(shape ...int) *graph.Value {
			v := graph.State("in", at, graph.F32(shape...), "")
			at += (v.Bytes() + 63) &^ 63
			return v
		}
		x := g.Conv2D(g.Scale(state(2, 16, 16, 32), 1e25, 0), state(32, 3, 3, 32), state(32), 1, [4]int{1, 1, 1, 1})
		graph.Keep(g.GroupNorm(x, state(32), state(32), 8, 1e-5, false), "out", 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range forms() {
		for _, untold := range []bool{false, true} {
			b, err := cpu.New(o)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := runPlan(t, b, g, plan.Options{Planner: b, Reuse: true, Untold: untold})
			b.Close()
			for i, v := range floatsOf(raw) {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					t.Fatalf("%+v, untold %v: number %d is %v", o, untold, i, v)
				}
			}
		}
	}
}
