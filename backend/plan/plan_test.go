package plan_test

import (
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance/naive"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

func build(t *testing.T, f func(g *graph.Graph)) *graph.Graph {
	t.Helper()
	g, err := graph.Build(f)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func compile(t *testing.T, g *graph.Graph, o plan.Options) (*backend.Program, plan.Stats) {
	t.Helper()
	p, stats, err := plan.Compile(g, o)
	if err != nil {
		t.Fatal(err)
	}
	return p, stats
}

func ops(p *backend.Program) string {
	var names []string
	p.Steps(func(s *backend.Step) { names = append(names, s.Op) })
	return strings.Join(names, " ")
}

func image(shape ...int) *graph.Value { return graph.State("in", 0, graph.F32(shape...), "x") }

func TestDeadNodesAreLeftOut(t *testing.T) {
	g := build(t, func(g *graph.Graph) {
		x := image(1, 2, 2, 4)
		g.SiLU(g.Scale(x, 2, 0)) // nobody reads it
		y := g.Scale(x, 3, 0)
		g.SiLU(y) // nor this
		graph.Keep(g.Add(y, y), "out", 0)
		g.Advance(graph.State("control", 0, graph.U32(backend.CtlWords), "control")) // changes state
	})
	p, stats := compile(t, g, plan.Options{})
	if got := ops(p); got != "scale add advance" || stats.Steps != 3 {
		t.Errorf("steps %q of %d, want scale add advance", got, stats.Steps)
	}
}

func TestStateInPlace(t *testing.T) {
	const n = 10
	g := build(t, func(g *graph.Graph) {
		flat := func(b string) *graph.Value { return graph.State(b, 8, graph.F32(n), b) }
		h := graph.State("hyper", 0, graph.F32(16), "hyper")
		before := g.GlobalNorm(flat("p"))
		graph.Keep(before, "out", 0)
		g.AdamW(flat("p"), flat("m"), flat("v"), flat("ema"), flat("grads"), before, h, graph.State("hyper", 64, graph.F32(8), "scalars"), nil)
		graph.Keep(g.GlobalNorm(flat("p")), "out", 4)
	})
	p, stats := compile(t, g, plan.Options{Reuse: true})
	var list []*backend.Step
	p.Steps(func(s *backend.Step) { list = append(list, s) })
	for i := range 4 {
		in, out := list[1].In[i], list[1].Out[i]
		if in.Buffer != out.Buffer || in.Offset != 8 || out.Offset != 8 {
			t.Errorf("input %d is at %+v, its update at %+v", i, in, out)
		}
	}
	if list[0].Barrier || !list[1].Barrier || !list[2].Barrier || stats.Barriers != 2 {
		t.Errorf("barriers %v %v %v: reading what is updated later and what was updated before needs two", list[0].Barrier, list[1].Barrier, list[2].Barrier)
	}
	if stats.Arena != 0 || stats.Buffers["p"] != 8+4*n || stats.Buffers["out"] != 8 {
		t.Errorf("%+v", stats)
	}
}

func TestStats(t *testing.T) {
	g := build(t, func(g *graph.Graph) {
		x := image(1, 4, 4, 2)
		w := graph.State("w", 0, graph.F32(3, 3, 3, 2), "w")
		graph.Keep(g.Conv2D(g.Scale(x, 1, 0), w, nil, 1, [4]int{1, 1, 1, 1}), "out", 0)
	})
	_, s := compile(t, g, plan.Options{Planner: naive.Planner{Backend: &naive.Backend{Scratch: 70}}})
	want := plan.Stats{
		Steps: 2, Arena: 64*5 + 2*128, Values: 6 * 6 * 2 * 4, Scratch: 70, Halo: (36 - 16) * 2 * 4, Barriers: 1,
		FLOPs: 2*32 + 2*16*18*3, Bytes: 4 * (32 + 32 + 32 + 54 + 48),
	}
	if s.Arena != want.Arena || s.Values != want.Values || s.Scratch != want.Scratch || s.Halo != want.Halo || s.Steps != want.Steps ||
		s.Barriers != want.Barriers || s.FLOPs != want.FLOPs || s.Bytes != want.Bytes {
		t.Errorf("%+v, want %+v", s, want)
	}
}

func TestCompileErrors(t *testing.T) {
	var foreign *graph.Value
	build(t, func(g *graph.Graph) { foreign = g.Scale(image(1, 2, 2, 4), 1, 0) })
	g := build(t, func(g *graph.Graph) {
		g.Scope("mid", func() { graph.Keep(g.SiLU(foreign), "out", 0) })
	})
	if _, _, err := plan.Compile(g, plan.Options{}); err == nil || !strings.Contains(err.Error(), `silu at "mid"`) {
		t.Errorf("reading a value of another graph: %v", err)
	}
	g = build(t, func(g *graph.Graph) { graph.Keep(g.Scale(image(1, 2, 2, 4), 1, 0), plan.Arena, 0) })
	if _, _, err := plan.Compile(g, plan.Options{}); err == nil {
		t.Error("state in the arena, where the plan puts other values, is accepted")
	}
	g = build(t, func(g *graph.Graph) { graph.Keep(g.Scale(image(1, 2, 2, 4), 1, 0), "out", 6) })
	if _, _, err := plan.Compile(g, plan.Options{}); err == nil {
		t.Error("floats at an odd offset are accepted")
	}
}

func TestBind(t *testing.T) {
	g := build(t, func(g *graph.Graph) { graph.Keep(g.Scale(image(1, 2, 2, 4), 1, 0), "out", 64) })
	p, _ := compile(t, g, plan.Options{Name: "step"})
	b := &naive.Backend{}
	buffer := func(n int) backend.Buffer {
		buf, err := b.NewBuffer(n)
		if err != nil {
			t.Fatal(err)
		}
		return buf
	}
	if err := p.Bind("out", buffer(64+4*16-1)); err == nil || !strings.Contains(err.Error(), `program step needs 128 bytes of "out", the buffer has 127`) {
		t.Errorf("a buffer too small: %v", err)
	}
	if err := p.Bind("weights", buffer(1)); err == nil || !strings.Contains(err.Error(), "weights") {
		t.Errorf("a buffer that the program has not: %v", err)
	}
	if err := p.Bind("out", buffer(128)); err != nil {
		t.Error(err)
	}
	if _, err := b.Compile(p); err == nil || !strings.Contains(err.Error(), "not bound") {
		t.Errorf("compiled with unbound buffers: %v", err)
	}
}

// A program that is cut is the same steps in segments, each waiting for what was before it; a cut that cannot be made is an error.
func TestCuts(t *testing.T) {
	var nodes []*graph.Node
	g := build(t, func(g *graph.Graph) {
		x := image(1, 2, 2, 4)
		graph.Keep(g.Scale(x, 3, 0), "a", 0)
		graph.Keep(g.Scale(x, 4, 0), "b", 0) // depends on nothing that was written
		graph.Keep(g.Scale(x, 5, 0), "c", 0)
		g.Scale(x, 6, 0) // nobody reads it
		nodes = g.Nodes
	})
	p, _ := compile(t, g, plan.Options{Name: "p", Cuts: []*graph.Node{nodes[0], nodes[1]}})
	parts := p.Split()
	if len(parts) != 3 || len(p.Segments) != 3 || p.Segments[2].Name != "p.2" {
		t.Fatalf("%d segments, %d programs", len(p.Segments), len(parts))
	}
	for i, part := range parts {
		if got := ops(part); got != "scale" || len(part.Buffers) != len(p.Buffers) {
			t.Errorf("part %d: steps %q, %d buffers", i, got, len(part.Buffers))
		}
		if s := part.Segments[0].Steps[0]; s.Barrier != (i > 0) || s.Attrs.(backend.Linear).A != float32(3+i) {
			t.Errorf("part %d begins with %+v", i, s)
		}
	}
	for _, cuts := range [][]*graph.Node{{nodes[3]}, {nodes[2]}, {nodes[1], nodes[0]}} {
		if _, _, err := plan.Compile(g, plan.Options{Cuts: cuts}); err == nil {
			t.Errorf("cuts %v were made", cuts)
		}
	}
}
