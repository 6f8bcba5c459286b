package cpu_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// skip is two convolutions whose outputs are joined; the second one's is read besides by every op that takes images whose pixels lie apart,
// and by a convolution that wants zeros around them. Inputs lie in "in", loss and gradients in "out".
func skip(t *testing.T, n, size, in, first, second int) *graph.Graph {
	t.Helper()
	g, err := graph.Build(func(g *graph.Graph) {
		at, same := 0, [4]int{1, 1, 1, 1}
		var params []*graph.Value
		state := func(shape ...int) *graph.Value {
			v := graph.State("in", at, graph.F32(shape...), "")
			at += (v.Bytes() + 63) &^ 63
			params = append(params, v)
			return v
		}
		conv := func(x *graph.Value, k, out, stride int) *graph.Value {
			pad := [4]int{}
			if k == 3 {
				pad = same
			}
			return g.Conv2D(x, state(out, k, k, x.Shape[3]), state(out), stride, pad)
		}
		norm := func(x *graph.Value) *graph.Value {
			return g.GroupNorm(x, state(x.Shape[3]), state(x.Shape[3]), 1, 1e-5, true)
		}
		x := state(n, size, size, in)
		b := conv(x, 3, second, 1)
		below := conv(b, 3, second, 2)
		h := g.Add(conv(norm(b), 3, second, 1), b)
		h = g.Add(h, g.Upsample(below))
		h = g.Add(h, conv(b, 1, second, 1))
		joined := g.Concat(conv(h, 3, first, 1), b)
		y := g.Add(conv(norm(joined), 3, first, 1), conv(joined, 1, first, 1))
		wrt := params
		loss, _ := g.MSE(y, state(n, size, size, first))
		to := 0
		keep := func(v *graph.Value) {
			graph.Keep(v, "out", to)
			to += (v.Bytes() + 63) &^ 63
		}
		keep(loss)
		for _, d := range g.Grad(loss, state(1), wrt) {
			keep(g.Scale(d, 1, 0))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestJoined: channels that are written where they are joined give the same bytes as channels that are copied, in every form of a convolution.
func TestJoined(t *testing.T) {
	again := 0
	for _, c := range []struct{ n, size, in, first, second int }{{4, 16, 32, 64, 32}, {8, 10, 96, 96, 64}, {3, 10, 24, 40, 56}, {1, 6, 5, 7, 9}} {
		for _, form := range []string{"default", "exact", "bf16"} {
			t.Run(fmt.Sprintf("%+v %s", c, form), func(t *testing.T) {
				b, err := cpu.New(cpu.Options{Threads: 2, Exact: form == "exact", Dot: map[string]string{"bf16": "go"}[form]})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				precision := map[string]backend.Precision{"bf16": backend.BF16}[form]
				g := skip(t, c.n, c.size, c.in, c.first, c.second)
				got, p := runResnet(t, b, g, b, precision)
				want, q := runResnet(t, b, g, struct{ backend.Planner }{b}, precision)
				if !bytes.Equal(got, want) {
					t.Error("the results differ from those of joined copies")
				}
				if l, m := strings.Count(steps(p), "concat"), strings.Count(steps(q), "concat"); l != 0 || m != 1 {
					t.Errorf("%d concats, %d without a backend.Strider", l, m)
				}
				again += strings.Count(steps(p), "group_norm_again")
			})
		}
	}
	if again == 0 {
		t.Error("no norm is made again from joined channels")
	}
}

// TestAddOfAPart: an add that no kernel before it does goes over whole rows, so what it reads is no part of joined channels.
func TestAddOfAPart(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g, err := graph.Build(func(g *graph.Graph) {
		at := 0
		state := func(shape ...int) *graph.Value {
			v := graph.State("in", at, graph.F32(shape...), "")
			at += (v.Bytes() + 63) &^ 63
			return v
		}
		conv := func(x *graph.Value, out int) *graph.Value {
			return g.Conv2D(x, state(out, 1, 1, x.Shape[3]), nil, 1, [4]int{})
		}
		x := state(2, 7, 7, 16)
		a, c := conv(x, 24), conv(x, 16)
		sum := g.Add(g.SiLU(x), c)
		graph.Keep(g.Add(conv(g.Concat(a, c), 16), g.Scale(sum, 0.5, 1)), "out", 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	got, p := runResnet(t, b, g, b, backend.FP32)
	want, _ := runResnet(t, b, g, struct{ backend.Planner }{b}, backend.FP32)
	if !bytes.Equal(got, want) {
		t.Error("the results differ from those of joined copies")
	}
	if list := steps(p); !strings.Contains(list, "add") {
		t.Errorf("no add stands alone: %s", list)
	}
}

func steps(p *backend.Program) (list string) {
	p.Steps(func(s *backend.Step) { list += s.Op + " " })
	return list
}
