package plan_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance/naive"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

// again is a planner that would rather compute some ops once more than keep what they made.
type again struct {
	naive.Planner
	ops []string
}

func (a again) Recomputes(op string) bool { return slices.Contains(a.ops, op) }

// Strided: every op but attention, which wants dense images, and the one that joins.
func (a again) Strided(op string, _ any, _ int) bool { return op != "attention" && op != "concat" }

func (a again) StridedAfter(string, string) bool { return true }

// teller is that with kernels that tell of what they make.
type teller struct {
	again
	backend.Tallier
}

// normLayers is a network of so many layers y = conv(silu(norm(x))), and the gradients of its weights.
func normLayers(t *testing.T, layers int) *graph.Graph {
	t.Helper()
	return build(t, func(g *graph.Graph) {
		at := 0
		param := func(shape ...int) *graph.Value {
			v := graph.State("params", at, graph.F32(shape...), "p")
			at += v.Bytes()
			return v
		}
		var params []*graph.Value
		x := g.Scale(graph.State("in", 0, graph.F32(1, 8, 8, 16), "x"), 1, 0)
		for range layers {
			p := []*graph.Value{param(16), param(16), param(16, 3, 3, 16)}
			params = append(params, p...)
			x = g.Conv2D(g.GroupNorm(x, p[0], p[1], 4, 1e-5, true), p[2], nil, 1, [4]int{1, 1, 1, 1})
		}
		loss, _ := g.MSE(x, g.Scale(x, 0, 0))
		grads := g.Grad(loss, graph.State("one", 0, graph.F32(1), "one"), params)
		for i, d := range grads {
			graph.Keep(d, "grads", params[i].Store.Offset)
		}
	})
}

// What is cheap is not kept for the backward pass: of the layer y = conv(silu(norm(x))) only x and the statistics are, and the norm's second
// pass stands right before the weight's gradient.
func TestCheapValuesAreMadeAgain(t *testing.T) {
	const layers = 6
	g := normLayers(t, layers)
	_, kept := compile(t, g, plan.Options{Planner: planner(), Reuse: true})
	p, stats := compile(t, g, plan.Options{Planner: again{planner(), []string{"group_norm_again"}}, Reuse: true})
	image := 4 * 8 * 8 * 16
	if saved := kept.Arena - stats.Arena; saved < (layers-2)*image {
		t.Errorf("%d bytes saved of %d, want about %d for each of %d layers", saved, kept.Arena, image, layers)
	}
	list := strings.Fields(ops(p))
	found := 0
	for i, op := range list {
		if op == "group_norm_again" {
			if found++; list[i+1] != "conv2d_weight" {
				t.Errorf("%s stands before %s", op, list[i+1])
			}
		}
	}
	if found < layers-2 {
		t.Errorf("%d norms of %d are made again: %v", found, layers, list)
	}
}

// The plan of four times as many layers, of which four times as many values are made again, allocates little more than four times as
// often: what is known of all values is not gathered anew for each.
func TestMakingAgainIsPlannedOnce(t *testing.T) {
	allocations := func(layers int) float64 {
		g := normLayers(t, layers)
		return testing.AllocsPerRun(1, func() {
			compile(t, g, plan.Options{Planner: again{planner(), []string{"group_norm_again"}}, Reuse: true})
		})
	}
	few, many := allocations(16), allocations(64)
	if many > 7*few {
		t.Errorf("%.0f allocations for 16 layers, %.0f for 64", few, many)
	}
	t.Logf("%.0f allocations for 16 layers, %.0f for 64: %.1f times", few, many, many/few)
}

// Random graphs, in which state changes between a value's making and its readers, leave the same bytes whether or not values are made
// again, nodes sink, channels are joined where they are made, and norms and sums read only what they are told, by one kernel or by those of all
// parts, in whatever order the steps between two barriers run.
func TestMadeAgainIsTheSame(t *testing.T) {
	more, joined, norms, tellers, told, parts := 0, 0, 0, 0, 0, 0
	for seed := range uint64(40) {
		g := randomGraph(t, seed)
		plain, kept := compile(t, g, plan.Options{Planner: planner()})
		again := again{planner(), []string{"scale", "silu", "concat", "upsample", "add", "add_row", "channels", "group_norm_again"}}
		remade, stats := compile(t, g, plan.Options{Planner: again, Reuse: true})
		left := strings.Count(ops(plain), "concat") - strings.Count(ops(remade), "concat")
		norms += strings.Count(ops(remade), "group_norm_again")
		if joined += left; stats.Steps+left > kept.Steps {
			more++
		}
		telling, _ := compile(t, g, plan.Options{Planner: teller{again, naive.Teller{}}, Reuse: true})
		telling.Steps(func(s *backend.Step) {
			if s.Tally {
				tellers++
			}
			if told += s.Tallied; s.Tallied > 1 {
				parts++
			}
		})
		want := execute(t, plain, &naive.Backend{Scratch: 200})
		for i, p := range []*backend.Program{remade, telling} {
			got := execute(t, p, &naive.Backend{Scratch: 200, Order: slices.Reverse[[]*backend.Step]})
			for name := range want {
				if !bytes.Equal(got[name], want[name]) {
					t.Fatalf("seed %d, told %v: %q differs", seed, i == 1, name)
				}
			}
		}
	}
	if tellers < 20 || told < tellers || parts < 3 {
		t.Errorf("%d kernels tell, %d others are told, %d of several parts", tellers, told, parts)
	}
	if more < 3 || joined < 5 || norms < 1 {
		t.Errorf("values were made again in %d graphs, %d norms among them, %d concats left out", more, norms, joined)
	}
}
