package plan_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/conformance/naive"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

// deep is a graph of layers whose weights grow: gradients of params, of which one fills no whole line of the cache, in grads, and their
// norm in out.
func deep(t *testing.T) *graph.Graph {
	return build(t, func(g *graph.Graph) {
		at := 0
		var params []*graph.Value
		param := func(shape ...int) *graph.Value {
			v := graph.State("params", at, graph.F32(shape...), "p")
			at += (v.Bytes() + 63) / 64 * 64
			params = append(params, v)
			return v
		}
		x := g.Scale(graph.State("in", 0, graph.F32(1, 6, 6, 4), "x"), 1, 0)
		last := param(3)
		for _, c := range []int{16, 32, 8} {
			x = g.SiLU(g.Conv2D(x, param(c, 3, 3, x.Shape[3]), param(c), 1, [4]int{1, 1, 1, 1}))
		}
		x = g.Conv2D(x, param(3, 1, 1, 8), last, 1, [4]int{})
		loss, _ := g.MSE(x, g.Scale(x, 0.5, 0.25))
		for i, d := range g.Grad(loss, graph.State("one", 0, graph.F32(1), "one"), params) {
			graph.Keep(d, "grads", params[i].Store.Offset)
		}
		graph.Keep(g.GlobalNorm(graph.State("grads", 0, graph.F32(at/4), "grads")), "out", 0)
	})
}

// TestLending: with activations where the gradients will be, gradients and their norm are the same bytes on two runs, and what lies between two
// gradients stays zero; the arena is smaller.
func TestLending(t *testing.T) {
	g := deep(t)
	run := func(o plan.Options) (state map[string][]byte, arena int) {
		p, stats := compile(t, g, o)
		b := &naive.Backend{Scratch: 200}
		for i, slot := range p.Buffers {
			buf, err := b.NewBuffer(slot.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			r, content := rand.New(rand.NewPCG(uint64(len(slot.Name)), 3)), make([]byte, slot.Bytes)
			for at := 0; at+4 <= len(content) && slot.Name != "grads"; at += 4 {
				v := float32(r.NormFloat64() / 4)
				if i == 0 {
					v = float32(math.NaN())
				}
				binary.LittleEndian.PutUint32(content[at:], math.Float32bits(v))
			}
			if err := buf.Write(0, content); err != nil {
				t.Fatal(err)
			}
			if err := p.Bind(slot.Name, buf); err != nil {
				t.Fatal(err)
			}
		}
		exe, err := b.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := exe.Run(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
		state = map[string][]byte{}
		for _, slot := range p.Buffers[1:] {
			state[slot.Name] = make([]byte, slot.Bytes)
			if err := slot.Buffer.Read(0, state[slot.Name]); err != nil {
				t.Fatal(err)
			}
		}
		return state, stats.Arena
	}
	want, whole := run(plan.Options{Planner: planner(), Reuse: true})
	got, less := run(plan.Options{Planner: planner(), Reuse: true, Lend: "grads"})
	for _, name := range []string{"grads", "out", "params", "in"} {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%q differs", name)
		}
	}
	if norm := math.Float32frombits(binary.LittleEndian.Uint32(got["out"])); !(norm > 0) {
		t.Errorf("the norm of the gradients is %v", norm)
	}
	if less > whole*3/4 {
		t.Errorf("an arena of %d bytes, %d without a buffer to lie in", less, whole)
	}
	if _, same := run(plan.Options{Planner: planner(), Reuse: true, Lend: "params"}); same != whole {
		t.Errorf("values lie in a buffer that is read first: an arena of %d bytes, not %d", same, whole)
	}
}
