package graph_test

import (
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// gradients evaluates a graph whose state buffers hold the values given, one buffer a value.
func gradients(t *testing.T, buffers map[string][]float64, f func(g *graph.Graph) (y *graph.Value, wrt []*graph.Value)) [][]float64 {
	t.Helper()
	buffers["seed"] = []float64{1, 1, 1, 1}
	var grads []*graph.Value
	g := mustBuild(t, func(g *graph.Graph) {
		y, wrt := f(g)
		grads = g.Grad(y, state("seed", y.Shape...), wrt)
	})
	values := g.Eval(buffers)
	var out [][]float64
	for _, d := range grads {
		if d.Store != nil {
			out = append(out, buffers[d.Store.Buffer][:d.Shape.Elems()])
		} else {
			out = append(out, values[d].Data)
		}
	}
	return out
}

func TestGradAccumulates(t *testing.T) {
	x, y := state("x", 2), state("y", 2)
	values := func() map[string][]float64 { return map[string][]float64{"x": {3, -2}, "y": {5, 7}} }
	check := func(what string, got []float64, want ...float64) {
		t.Helper()
		for i, w := range want {
			if got[i] != w {
				t.Errorf("%s: gradient %v, want %v", what, got, want)
				return
			}
		}
	}
	d := gradients(t, values(), func(g *graph.Graph) (*graph.Value, []*graph.Value) {
		return g.Add(g.Mul(x, y), g.Mul(x, x)), []*graph.Value{x, y}
	})
	check("xy + xx by x", d[0], 5+2*3, 7-2*2)
	check("xy + xx by y", d[1], 3, -2)

	d = gradients(t, values(), func(g *graph.Graph) (*graph.Value, []*graph.Value) {
		h := g.Scale(x, 2, 1) // used three times, once of them in both places of one node
		return g.Add(g.Add(h, h), g.Mul(h, y)), []*graph.Value{h, x}
	})
	check("2h + hy by h", d[0], 2+5, 2+7)
	check("2h + hy by x", d[1], 14, 18)

	d = gradients(t, values(), func(g *graph.Graph) (*graph.Value, []*graph.Value) {
		return x, []*graph.Value{x}
	})
	check("x by x", d[0], 1, 1)

	// What y feeds besides does not matter, nor does what comes after it.
	d = gradients(t, values(), func(g *graph.Graph) (*graph.Value, []*graph.Value) {
		h := g.Mul(x, y)
		g.Mul(h, h)
		return h, []*graph.Value{x}
	})
	check("xy by x", d[0], 5, 7)
}

func TestGradWithoutAPath(t *testing.T) {
	tests := map[string]func(g *graph.Graph) (y, wrt *graph.Value){
		"unused": func(g *graph.Graph) (y, wrt *graph.Value) {
			return g.SiLU(state("x", 2)), state("unused", 2)
		},
		"behind an op without gradient": func(g *graph.Graph) (y, wrt *graph.Value) {
			x := state("unused", 1, 1, 1, 4)
			return g.Channels(x, 0, 2), x
		},
		"only used later": func(g *graph.Graph) (y, wrt *graph.Value) {
			y, wrt = g.SiLU(state("x", 2)), state("unused", 2)
			g.Add(y, wrt)
			return y, wrt
		},
	}
	for name, f := range tests {
		_, err := graph.Build(func(g *graph.Graph) {
			y, wrt := f(g)
			g.Grad(y, state("seed", y.Shape...), []*graph.Value{wrt})
		})
		if err == nil || !strings.Contains(err.Error(), "unused does not reach the loss") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Only what leads to the values asked for is computed, late layers first, under the labels of the forward nodes.
func TestGradMakesFewNodes(t *testing.T) {
	var forward int
	g := mustBuild(t, func(g *graph.Graph) {
		x, w1, w2 := state("x", 1, 4, 4, 3), state("w1", 5, 3, 3, 3), state("w2", 2, 1, 1, 5)
		var h, y *graph.Value
		g.Scope("first", func() { h = g.Conv2D(x, w1, nil, 1, [4]int{1, 1, 1, 1}) })
		g.Scope("second", func() { y = g.Conv2D(h, w2, nil, 1, [4]int{}) })
		forward = len(g.Nodes)
		g.Grad(y, state("seed", y.Shape...), []*graph.Value{w1, w2})
	})
	var got []string
	for _, n := range g.Nodes[forward:] {
		got = append(got, n.Label+" "+n.Op.Name)
	}
	want := "second conv2d_data, second conv2d_weight, first conv2d_weight"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("backward nodes: %s, want %s", s, want)
	}
}

// What depends on none of the values asked for, or only through an op without gradient, gets no gradient nodes.
func TestGradLeavesTheRestAlone(t *testing.T) {
	var forward int
	g := mustBuild(t, func(g *graph.Graph) {
		data, x, w := state("data", 1, 2, 2, 2), state("x", 1, 2, 2, 2), state("w", 1, 2, 2, 2)
		y := g.Add(g.Add(g.SiLU(data), data), data)
		y = g.Add(y, g.Mul(g.Channels(x, 0, 2), w))
		y = g.Add(y, x)
		forward = len(g.Nodes)
		g.Grad(y, state("seed", y.Shape...), []*graph.Value{x, w})
	})
	var got []string
	for _, n := range g.Nodes[forward:] {
		got = append(got, n.Op.Name)
	}
	if s := strings.Join(got, " "); s != "mul" {
		t.Errorf("backward nodes: %s, want one mul for w", s)
	}
}
