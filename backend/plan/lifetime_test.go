package plan_test

import (
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
)

// owner says who wrote a byte of the arena last: an output of a step, or its scratch memory.
type owner struct {
	value   *graph.Value
	scratch int // step + 1
}

// TestLivesDoNotOverlap follows the owner of every byte of the arena through the program: whatever reads a value finds all of
// its bytes, halo included, as its producer left them.
func TestLivesDoNotOverlap(t *testing.T) {
	eachRandom(t, 80, func(t *testing.T, g *graph.Graph, p *backend.Program, _ plan.Options) {
		nodes := liveNodes(g)
		arena := make([]owner, p.Buffers[0].Bytes)
		for i, s := range steps(t, g, p) {
			for j, v := range s.In {
				if v.Buffer != 0 {
					continue
				}
				for k, o := range storage(t, arena, v) {
					if o.value != nodes[i].In[j] {
						t.Fatalf("%s: byte %d of input %d was overwritten", describe(i, s), k, j)
					}
				}
			}
			claim := func(v backend.View, o owner) {
				bytes := storage(t, arena, v)
				for k := range bytes {
					bytes[k] = o
				}
			}
			// A kernel may write outputs and scratch before it has read all inputs, and in any order.
			all := append(append([]backend.View{s.Scratch}, s.Out...), s.In...)
			for a := range len(s.Out) + 1 {
				for b := a + 1; b < len(all); b++ {
					if all[a].Buffer == 0 && all[b].Buffer == 0 && overlap(all[a], all[b]) {
						t.Fatalf("%s: views %d and %d of scratch, outputs and inputs share memory", describe(i, s), a, b)
					}
				}
			}
			if !s.Scratch.Absent() {
				claim(s.Scratch, owner{scratch: i + 1})
			}
			for j, v := range s.Out {
				if v.Buffer == 0 {
					claim(v, owner{value: nodes[i].Out[j]})
				}
			}
		}
	})
}

func storage(t *testing.T, arena []owner, v backend.View) []owner {
	t.Helper()
	from, n := v.Span()
	if from < 0 || from+n > len(arena) {
		t.Fatalf("view %+v covers bytes %d to %d of an arena of %d", v, from, from+n, len(arena))
	}
	return arena[from : from+n]
}

func overlap(a, b backend.View) bool {
	if a.Buffer != b.Buffer {
		return false
	}
	af, an := a.Span()
	bf, bn := b.Span()
	return af < bf+bn && bf < af+an
}

// TestLayout looks at each view of the arena: aligned, its storage just large enough for a halo that all its elements lie in.
func TestLayout(t *testing.T) {
	halos := 0
	eachRandom(t, 40, func(t *testing.T, g *graph.Graph, p *backend.Program, o plan.Options) {
		nodes := liveNodes(g)
		for i, s := range steps(t, g, p) {
			values := append(append([]*graph.Value(nil), nodes[i].In...), nodes[i].Out...)
			for j, v := range append(append([]backend.View(nil), s.In...), s.Out...) {
				if v.Absent() {
					if values[j] != nil {
						t.Fatalf("%s: view %d is absent, its value is not", describe(i, s), j)
					}
					continue
				}
				if v.DType != values[j].DType || !v.Shape.Equal(values[j].Shape) {
					t.Fatalf("%s: view %d is %v[%v], its value %v", describe(i, s), j, v.DType, v.Shape, values[j].Type)
				}
				from, n := v.Span()
				if v.Buffer == 0 && from%64 != 0 {
					t.Fatalf("%s: view %d begins at byte %d, not at a multiple of 64", describe(i, s), j, from)
				}
				if v.Buffer != 0 && (v.Offset != values[j].Store.Offset || v.Halo != 0) {
					t.Fatalf("%s: state moved: %+v", describe(i, s), v)
				}
				if v.Halo > 0 {
					halos++
					checkHalo(t, v, from, n)
				}
				if o.Planner == nil && (v.Halo > 0 || !s.Scratch.Absent()) {
					t.Fatalf("%s: a halo or scratch that nobody asked for", describe(i, s))
				}
			}
			if o.Planner != nil {
				if _, n := s.Scratch.Span(); n != o.Planner.Scratch(s) || s.Scratch.Offset%64 != 0 {
					t.Fatalf("%s: scratch %+v", describe(i, s), s.Scratch)
				}
				for j, v := range s.In {
					if v.Buffer == 0 && len(v.Shape) == 4 && v.Shape[1]*v.Shape[2] > 1 && s.Op == "conv2d" && !readByAttention(g, nodes[i].In[j]) &&
						v.Halo < o.Planner.Halo(s.Op, s.Attrs, j, nil) {
						t.Fatalf("%s: input %d has a halo of %d", describe(i, s), j, v.Halo)
					}
				}
			}
		}
	})
	if halos == 0 {
		t.Error("no view had a halo")
	}
}

// readByAttention says whether v is made or read by a live op that takes no halos (see naive.Planner.Dense).
func readByAttention(g *graph.Graph, v *graph.Value) bool {
	if v.Producer != nil && v.Producer.Op.Name == "attention" {
		return true
	}
	for _, n := range liveNodes(g) {
		for _, in := range n.In {
			if in == v && n.Op.Name == "attention" {
				return true
			}
		}
	}
	return false
}

// checkHalo marks the elements of a view in its storage: they are all inside, all different, and as far from the edges of
// each image's storage as the halo is wide.
func checkHalo(t *testing.T, v backend.View, from, n int) {
	t.Helper()
	N, H, W, C, h := v.Shape[0], v.Shape[1], v.Shape[2], v.Shape[3], v.Halo
	used := make([]bool, n/4)
	for b := range N {
		for y := range H {
			for x := range W {
				for c := range C {
					at := (v.Offset-from)/4 + b*v.Strides[0] + y*v.Strides[1] + x*v.Strides[2] + c*v.Strides[3]
					want := ((b*(H+2*h)+y+h)*(W+2*h)+x+h)*C + c
					if at != want || used[at] {
						t.Fatalf("element [%d %d %d %d] of %+v lies at %d of its storage, want %d", b, y, x, c, v, at, want)
					}
					used[at] = true
				}
			}
		}
	}
	if want := N * (H + 2*h) * (W + 2*h) * C * 4; n != want {
		t.Fatalf("%+v has %d bytes of storage, want %d", v, n, want)
	}
}

// TestSharingSavesMemory compares the arena with and without.
func TestSharingSavesMemory(t *testing.T) {
	saved := false
	for seed := range uint64(50) {
		g := randomGraph(t, seed)
		_, without, err := plan.Compile(g, plan.Options{Planner: planner()})
		if err != nil {
			t.Fatal(err)
		}
		p, with, err := plan.Compile(g, plan.Options{Planner: planner(), Reuse: true})
		if err != nil {
			t.Fatal(err)
		}
		if with.Arena > without.Arena || with.Arena != p.Buffers[0].Bytes || with.Values != without.Values {
			t.Errorf("seed %d: arena %d of slot %d with sharing, %d without", seed, with.Arena, p.Buffers[0].Bytes, without.Arena)
		}
		if without.Arena < without.Values {
			t.Errorf("seed %d: an arena of %d without sharing for %d bytes of values", seed, without.Arena, without.Values)
		}
		saved = saved || with.Arena < without.Arena/2
	}
	if !saved {
		t.Error("no graph's arena was halved")
	}
}
