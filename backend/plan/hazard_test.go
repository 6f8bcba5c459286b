package plan_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance/naive"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

// TestBarriers looks at every pair of steps that no barrier parts: neither writes what the other touches. And no barrier is idle:
// each parts its step from one since the barrier before.
func TestBarriers(t *testing.T) {
	eachRandom(t, 60, func(t *testing.T, g *graph.Graph, p *backend.Program, _ plan.Options) {
		var batch []*backend.Step
		for i, s := range steps(t, g, p) {
			conflict := slices.IndexFunc(batch, func(before *backend.Step) bool { return hazard(before, s) })
			if conflict >= 0 != s.Barrier {
				t.Fatalf("%s: barrier is %v, conflicts with one of the steps since the last: %v", describe(i, s), s.Barrier, conflict >= 0)
			}
			if s.Barrier {
				batch = batch[:0]
			}
			batch = append(batch, s)
		}
	})
}

func hazard(a, b *backend.Step) bool {
	touches := func(writes, all []backend.View) bool {
		for _, w := range writes {
			for _, v := range all {
				if !w.Absent() && !v.Absent() && overlap(w, v) {
					return true
				}
			}
		}
		return false
	}
	writes := func(s *backend.Step) []backend.View { return append([]backend.View{s.Scratch}, s.Out...) }
	return touches(writes(a), append(writes(b), b.In...)) || touches(writes(b), a.In)
}

// TestAnyOrderBetweenBarriers runs random graphs with the steps between barriers shuffled: the bytes of all state must be those
// of the order in which they were written, and close to the graph's own evaluation.
func TestAnyOrderBetweenBarriers(t *testing.T) {
	shuffled := 0
	for seed := range uint64(50) {
		g := randomGraph(t, seed)
		// Scratch in shared memory puts a barrier between almost any two steps; so one or the other.
		scratch, reuse := 0, true
		if seed%2 == 1 {
			scratch, reuse = 200, false
		}
		p, _, err := plan.Compile(g, plan.Options{Planner: naive.Planner{Backend: &naive.Backend{Scratch: scratch}}, Reuse: reuse})
		if err != nil {
			t.Fatal(err)
		}
		want := execute(t, p, &naive.Backend{Scratch: scratch})
		checkAgainstEval(t, g, want)
		for try := range uint64(4) {
			r := rand.New(rand.NewPCG(seed, try))
			got := execute(t, p, &naive.Backend{Scratch: scratch, Order: func(batch []*backend.Step) {
				shuffled += len(batch) - 1
				r.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			}})
			for name := range want {
				if !bytes.Equal(got[name], want[name]) {
					t.Fatalf("seed %d, order %d: %q differs", seed, try, name)
				}
			}
		}
	}
	if shuffled < 100 {
		t.Errorf("only %d steps followed another without a barrier", shuffled)
	}
}

// execute runs a program once from the start of all buffers, on an arena of rubbish, and returns what they hold.
func execute(t *testing.T, p *backend.Program, b *naive.Backend) map[string][]byte {
	t.Helper()
	content, bufs := start(), map[string]backend.Buffer{}
	for _, slot := range p.Buffers {
		bytes := bytes.Repeat([]byte{0xFF}, slot.Bytes)
		if slot.Name != plan.Arena {
			bytes = floats(slot.Name, content[slot.Name])
		}
		buf, err := b.NewBuffer(len(bytes))
		if err != nil {
			t.Fatal(err)
		}
		if err := buf.Write(0, bytes); err != nil {
			t.Fatal(err)
		}
		if err := p.Bind(slot.Name, buf); err != nil {
			t.Fatal(err)
		}
		bufs[slot.Name] = buf
	}
	e, err := b.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for name, buf := range bufs {
		if name != plan.Arena {
			got[name] = make([]byte, buf.Size())
			if err := buf.Read(0, got[name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return got
}

// floats encodes a buffer: control words are integers, everything else is float32.
func floats(name string, v []float64) []byte {
	var p []byte
	for _, f := range v {
		if name == "control" {
			p = binary.LittleEndian.AppendUint32(p, uint32(f))
		} else {
			p = binary.LittleEndian.AppendUint32(p, math.Float32bits(float32(f)))
		}
	}
	return p
}

func checkAgainstEval(t *testing.T, g *graph.Graph, got map[string][]byte) {
	t.Helper()
	want := start()
	g.Eval(want)
	for name, p := range got {
		for i, w := range want[name] {
			bits := binary.LittleEndian.Uint32(p[4*i:])
			v := float64(math.Float32frombits(bits))
			if name == "control" {
				v = float64(bits)
			}
			if !(math.Abs(v-w) <= 1e-3*max(1, math.Abs(w))) {
				t.Fatalf("%q element %d is %v, by evaluation of the graph %v", name, i, v, w)
			}
		}
	}
}
