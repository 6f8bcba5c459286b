package cpu_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// resnet is a residual block, its loss and all gradients, laid out so that everything that can be fused is. The inputs lie in "in",
// loss and gradients in "out".
func resnet(t *testing.T, n, size, in, out, stride int) *graph.Graph {
	t.Helper()
	g, err := graph.Build(func(g *graph.Graph) {
		at := 0
		state := func(shape ...int) *graph.Value {
			v := graph.State("in", at, graph.F32(shape...), "")
			at += (v.Bytes() + 63) &^ 63
			return v
		}
		same := [4]int{1, 1, 1, 1}
		x, row := state(n, size, size, in), state(n, 1, 1, out)
		gamma, beta := state(in), state(in)
		w1, b1, w2, b2 := state(out, 3, 3, in), state(out), state(out, 3, 3, out), state(out)
		ws, bs := state(out, 1, 1, in), state(out)
		target, one := state(n, size/stride, size/stride, out), state(1)

		x0 := g.Scale(x, 1, 0)
		h := g.GroupNorm(x0, gamma, beta, 1, 1e-5, true)
		h = g.AddRow(g.Conv2D(h, w1, b1, stride, same), row)
		h = g.Conv2D(h, w2, b2, 1, same)
		y := g.Add(g.Conv2D(x0, ws, bs, stride, [4]int{}), h)
		loss, _ := g.MSE(y, target)
		to := 0
		keep := func(v *graph.Value) {
			graph.Keep(v, "out", to)
			to += (v.Bytes() + 63) &^ 63
		}
		keep(loss)
		for _, d := range g.Grad(loss, one, []*graph.Value{x, row, gamma, beta, w1, b1, w2, b2, ws, bs}) {
			keep(g.Scale(d, 1, 0))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// runResnet returns what a graph writes to "out", and its program. No sums are told, which are of other bytes than those that are not.
func runResnet(t *testing.T, b *cpu.Backend, g *graph.Graph, planner backend.Planner, precision backend.Precision) ([]byte, *backend.Program) {
	t.Helper()
	return runPlan(t, b, g, plan.Options{Planner: planner, Reuse: true, Precision: precision, Untold: true})
}

// runPlan is runResnet with any plan.
func runPlan(t *testing.T, b *cpu.Backend, g *graph.Graph, o plan.Options) ([]byte, *backend.Program) {
	t.Helper()
	o.Name = "resnet"
	p, _, err := plan.Compile(g, o)
	if err != nil {
		t.Fatal(err)
	}
	var out backend.Buffer
	for _, s := range p.Buffers {
		buf, err := b.NewBuffer(s.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Bind(s.Name, buf); err != nil {
			t.Fatal(err)
		}
		switch s.Name {
		case "in":
			v := make([]float32, s.Bytes/4)
			rng.Normals(v, 1, rng.StreamSample, 0, 0)
			raw := make([]byte, 0, s.Bytes)
			for _, f := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
			}
			if err := buf.Write(0, raw); err != nil {
				t.Fatal(err)
			}
		case "out":
			out = buf
		}
	}
	e, err := b.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, out.Size())
	if err := out.Read(0, raw); err != nil {
		t.Fatal(err)
	}
	return raw, p
}

// TestFused: a kernel that does its followers' work gives the same bytes as the kernels of the followers, for every op that takes
// one in, in Winograd's form and directly, with whole and partial vectors.
func TestFused(t *testing.T) {
	for _, c := range []struct{ n, size, in, out, stride int }{
		{2, 8, 32, 64, 1}, {3, 8, 24, 40, 2}, {1, 6, 5, 7, 1}, {2, 12, 48, 48, 1}, {5, 7, 16, 33, 1},
	} {
		for _, exact := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v exact=%v", c, exact), func(t *testing.T) {
				b, err := cpu.New(cpu.Options{Threads: 2, Exact: exact})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				got, p := runResnet(t, b, resnet(t, c.n, c.size, c.in, c.out, c.stride), b, backend.FP32)
				want, q := runResnet(t, b, resnet(t, c.n, c.size, c.in, c.out, c.stride), struct{ backend.Planner }{b}, backend.FP32)
				if !bytes.Equal(got, want) {
					t.Error("the results differ from those of separate kernels")
				}
				fused, separate := map[string]int{}, 0
				p.Steps(func(s *backend.Step) {
					for _, a := range s.After {
						fused[s.Op+" "+a.Op]++
					}
				})
				q.Steps(func(s *backend.Step) { separate += len(s.After) })
				if fused["conv2d add_row"] != 1 || fused["conv2d add"] != 1 || fused["conv2d_data add"]+fused["group_norm_grad add"] != 1 || separate != 0 {
					t.Errorf("fused: %v, and %d without a backend.Fuser", fused, separate)
				}
			})
		}
	}
}
