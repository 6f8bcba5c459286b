package graph_test

import (
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

func state(name string, shape ...int) *graph.Value {
	return graph.State(name, 0, graph.F32(shape...), name)
}

func mustBuild(t *testing.T, f func(g *graph.Graph)) *graph.Graph {
	t.Helper()
	g, err := graph.Build(f)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Wrong shapes must come back as errors that name the op, where it stands, and the shapes.
func TestShapeErrors(t *testing.T) {
	x := state("x", 2, 4, 4, 6)
	tests := []struct {
		name string
		f    func(g *graph.Graph)
		want []string
	}{
		{"add", func(g *graph.Graph) { g.Add(x, state("y", 2, 4, 4, 7)) }, []string{"add", "2x4x4x6", "2x4x4x7"}},
		{"add nothing", func(g *graph.Graph) { g.Add(nil, nil) }, []string{"add"}},
		{"silu nothing", func(g *graph.Graph) { g.SiLU(nil) }, []string{"silu"}},
		{"conv channels", func(g *graph.Graph) { g.Conv2D(x, state("w", 8, 3, 3, 5), nil, 1, [4]int{1, 1, 1, 1}) }, []string{"conv2d", "8x3x3x5"}},
		{"conv axes", func(g *graph.Graph) { g.Conv2D(x, state("w", 8, 6), nil, 1, [4]int{}) }, []string{"conv2d", "8x6"}},
		{"conv bias", func(g *graph.Graph) { g.Conv2D(x, state("w", 8, 1, 1, 6), state("b", 7), 1, [4]int{}) }, []string{"conv2d", "f32[7]"}},
		{"conv too large", func(g *graph.Graph) { g.Conv2D(x, state("w", 8, 5, 5, 6), nil, 1, [4]int{}) }, []string{"conv2d", "smaller"}},
		{"conv stride", func(g *graph.Graph) { g.Conv2D(x, state("w", 8, 3, 3, 6), nil, 0, [4]int{}) }, []string{"conv2d", "stride"}},
		{"conv too large, strided", func(g *graph.Graph) { g.Conv2D(x, state("w", 8, 5, 4, 6), nil, 2, [4]int{}) }, []string{"conv2d", "smaller"}},
		{"groups", func(g *graph.Graph) { g.GroupNorm(x, state("g", 6), state("b", 6), 4, 1e-5, true) }, []string{"group_norm", "6 channels in 4 groups"}},
		{"heads", func(g *graph.Graph) { g.Attention(x, x, x, 4) }, []string{"attention", "6 channels in 4 heads"}},
		{"odd pool", func(g *graph.Graph) { g.AvgPool(state("x", 1, 3, 4, 2)) }, []string{"downsample", "3x4"}},
		{"slice", func(g *graph.Graph) { g.Channels(x, 4, 7) }, []string{"channels", "4 to 7 of 6"}},
		{"index", func(g *graph.Graph) { g.Gather(state("t", 10, 4), state("i", 2)) }, []string{"gather", "f32[2]", "u32"}},
		{"modulate", func(g *graph.Graph) { g.Modulate(x, state("st", 2, 1, 1, 6)) }, []string{"modulate", "2x1x1x12"}},
		{"in place", func(g *graph.Graph) {
			s := state("s", 4)
			g.AdamW(g.Scale(s, 1, 0), s, s, s, s, state("n", 1), state("h", backend.HypWords), state("c", backend.SclWords), nil)
		}, []string{"adamw", "input 0", "no state"}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			_, err := graph.Build(func(g *graph.Graph) {
				g.Scope("down", func() { g.Scope("1", func() { c.f(g) }) })
			})
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range append(c.want, `"down.1"`) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %s: %v", want, err)
				}
			}
		})
	}
}

func TestBuildPassesOnOtherPanics(t *testing.T) {
	defer func() {
		if recover() != "mine" {
			t.Error("a panic that is no graph.Error was swallowed")
		}
	}()
	graph.Build(func(*graph.Graph) { panic("mine") })
}

func TestScopesAndNames(t *testing.T) {
	g := mustBuild(t, func(g *graph.Graph) {
		g.Scope("a", func() {
			g.Scope("b", func() { g.SiLU(state("x", 2)) })
			g.SiLU(state("x", 2))
		})
		if g.Label() != "" {
			t.Errorf("label %q after the scopes", g.Label())
		}
	})
	if a, b := g.Nodes[0].Label, g.Nodes[1].Label; a != "a.b" || b != "a" {
		t.Errorf("labels %q and %q, want a.b and a", a, b)
	}
	if y := g.Nodes[0].Out[0]; y.Name != "a.b/silu.0" || y.Producer != g.Nodes[0] {
		t.Errorf("output %+v", y)
	}
}

func TestKeepTwice(t *testing.T) {
	_, err := graph.Build(func(g *graph.Graph) {
		y := graph.Keep(g.SiLU(state("x", 2)), "out", 0)
		graph.Keep(y, "other", 0)
	})
	if err == nil || !strings.Contains(err.Error(), "already lives in out") {
		t.Errorf("%v", err)
	}
}

// Eval runs the nodes in order: a read sees what the writes before it left in the state, and none after.
func TestEvalState(t *testing.T) {
	var before, after *graph.Value
	control := graph.State("control", 0, graph.U32(backend.CtlWords), "control")
	g := mustBuild(t, func(g *graph.Graph) {
		before = g.RandomTimesteps(control, 4, 1000)
		g.Advance(control)
		after = g.RandomTimesteps(control, 4, 1000)

		half := graph.State("s", 4*2, graph.F32(2), "half") // elements 2 and 3
		graph.Keep(g.Scale(graph.State("s", 0, graph.F32(2), "first"), 10, 0), "s", 4*2)
		graph.Keep(g.Add(half, half), "s", 4*4)
	})
	buffers := map[string][]float64{"control": {41, 0, 7, 0, 0, 0, 0, 0}, "s": {1, 2, 3, 4, 5, 6}}
	values := g.Eval(buffers)
	if buffers["control"][0] != 42 {
		t.Errorf("the step is %v, want 42", buffers["control"][0])
	}
	want := []float64{1, 2, 10, 20, 20, 40}
	for i, w := range want {
		if buffers["s"][i] != w {
			t.Errorf("state %v, want %v", buffers["s"], want)
			break
		}
	}
	a, b := values[before].Data, values[after].Data
	if a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] {
		t.Errorf("the same timesteps %v before and after the step was counted", a)
	}
	again := map[string][]float64{"control": {42, 0, 7, 0, 0, 0, 0, 0}, "s": make([]float64, 6)}
	if c := g.Eval(again)[before].Data; c[0] != b[0] || c[3] != b[3] {
		t.Errorf("timesteps %v of a step begun at 42, %v after counting to it", c, b)
	}
}
