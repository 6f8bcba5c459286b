package plan_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance/naive"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

// planner asks for halos around convolutions and some scratch memory for every other op.
func planner() naive.Planner { return naive.Planner{Backend: &naive.Backend{Scratch: 200}} }

// Buffers of a random graph: state of floats, results, and the control words.
const (
	stateFloats = 4096
	outFloats   = 1 << 16
)

// randomGraph chains ops on images of a few sizes at random: some values are read many times and late, some never, some are
// kept; state is read in slices that overlap, and updated in place in between.
func randomGraph(t *testing.T, seed uint64) *graph.Graph {
	r := rand.New(rand.NewPCG(seed, 1))
	kept := 0
	keep := func(v *graph.Value) {
		if v.Store == nil && kept+v.Shape.Elems() <= outFloats {
			graph.Keep(v, "out", 4*kept)
			kept += v.Shape.Elems()
		}
	}
	state := func(shape ...int) *graph.Value {
		n := backend.Shape(shape).Elems()
		return graph.State("state", 4*r.IntN(stateFloats-n), graph.F32(shape...), "state")
	}
	control := graph.State("control", 0, graph.U32(backend.CtlWords), "control")
	g, err := graph.Build(func(g *graph.Graph) {
		images := []*graph.Value{state(2, 4, 6, 4), g.RandomNormal(control, 1, 2, 4, 6, 4), state(2, 8, 12, 4)}
		for range 6 + r.IntN(30) {
			x := images[r.IntN(len(images))]
			if r.IntN(2) == 0 {
				x = images[len(images)-1]
			}
			var y *graph.Value
			switch c := x.Shape[3]; r.IntN(12) {
			case 0, 1:
				k := 1 + 2*r.IntN(3)
				w, b := state(4+4*r.IntN(2), k, k, c), (*graph.Value)(nil)
				if r.IntN(2) == 0 {
					b = state(w.Shape[0])
				}
				y = g.Conv2D(x, w, b, 1, [4]int{k / 2, k / 2, k / 2, k / 2})
				y = g.Scale(y, 1/float32(k*k*c), 0) // or numbers grow beyond float32
			case 2:
				y = g.GroupNorm(x, state(c), state(c), 2, 1e-5, r.IntN(2) == 0)
			case 3:
				y = g.Add(x, x)
			case 4:
				y = g.Concat(x, g.SiLU(x))
				y = g.Channels(y, 0, min(8, y.Shape[3])) // keeps it small
			case 5:
				y = g.AddRow(x, state(x.Shape[0], 1, 1, c))
			case 6:
				if x.Shape[1] > 4 {
					y = g.AvgPool(x)
				} else {
					y = g.Upsample(x)
				}
			case 7:
				g.Advance(control)
				y = g.RandomNormal(control, 1, x.Shape...)
			case 8: // an optimizer on a corner of the state, whose moments are elsewhere
				n := 1 + r.IntN(40)
				flat := func(buffer string, at int) *graph.Value {
					return graph.State(buffer, 4*at, graph.F32(n), buffer)
				}
				at := r.IntN(stateFloats - n)
				g.AdamW(flat("state", at), flat("m", at), flat("v", at), flat("ema", at), state(n), state(1),
					graph.State("hyper", 0, graph.F32(backend.HypWords), "hyper"), graph.State("hyper", 0, graph.F32(backend.SclWords), "scalars"), nil)
				continue
			case 9:
				loss, each := g.MSE(x, g.Scale(x, 0.5, 0.1))
				keep([]*graph.Value{loss, each}[r.IntN(2)])
				continue
			case 10:
				y = g.Attention(x, x, g.Scale(x, 0.5, 0), 2)
			default:
				y = g.Scale(x, 0.5, -0.25)
			}
			images = append(images, y)
			if r.IntN(6) == 0 {
				keep(y)
			}
		}
		keep(images[len(images)-1])
	})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return g
}

// start is the content of all buffers before a random graph runs.
func start() map[string][]float64 {
	r := rand.New(rand.NewPCG(5, 5))
	buffers := map[string][]float64{"out": make([]float64, outFloats), "control": {0, 0, 7, 0, 0, 0, 0, 0}}
	for _, name := range []string{"state", "m", "v", "ema", "hyper"} {
		buffers[name] = make([]float64, stateFloats)
		for i := range buffers[name] {
			buffers[name][i] = float64(float32(0.1 + 0.8*r.Float64()))
		}
	}
	return buffers
}

// eachRandom calls f with plans of random graphs, with and without shared memory and halos.
func eachRandom(t *testing.T, n uint64, f func(t *testing.T, g *graph.Graph, p *backend.Program, o plan.Options)) {
	t.Helper()
	for seed := range n {
		g := randomGraph(t, seed)
		for _, o := range []plan.Options{{}, {Reuse: true}, {Planner: planner()}, {Planner: planner(), Reuse: true}} {
			p, _, err := plan.Compile(g, o)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			f(t, g, p, o)
			if t.Failed() {
				t.Fatalf("seed %d, shared %v, planner %v", seed, o.Reuse, o.Planner != nil)
			}
		}
	}
}

// liveNodes are the nodes whose results reach state, found by following them backwards.
func liveNodes(g *graph.Graph) []*graph.Node {
	live := map[*graph.Node]bool{}
	var visit func(n *graph.Node)
	visit = func(n *graph.Node) {
		if n == nil || live[n] {
			return
		}
		live[n] = true
		for _, v := range n.In {
			if v != nil {
				visit(v.Producer)
			}
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if v.Store != nil {
				visit(n)
			}
		}
	}
	var nodes []*graph.Node
	for _, n := range g.Nodes {
		if live[n] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// steps are the steps of a program, after a look whether they are the graph's live nodes in order.
func steps(t *testing.T, g *graph.Graph, p *backend.Program) []*backend.Step {
	t.Helper()
	var list []*backend.Step
	p.Steps(func(s *backend.Step) { list = append(list, s) })
	nodes := liveNodes(g)
	if len(list) != len(nodes) {
		t.Fatalf("%d steps for %d live nodes", len(list), len(nodes))
	}
	for i, n := range nodes {
		if s := list[i]; s.Op != n.Op.Name || len(s.In) != len(n.In) || len(s.Out) != len(n.Out) {
			t.Fatalf("step %d is %s, the node %s", i, s.Op, n.Op.Name)
		}
	}
	return list
}

func describe(i int, s *backend.Step) string { return fmt.Sprintf("step %d (%s)", i, s.Op) }
