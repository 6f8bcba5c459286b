package conformance_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance/naive"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// correct is a backend that keeps every promise, wants halos and uses scratch memory.
func correct() naive.Planner { return naive.Planner{Backend: &naive.Backend{Scratch: 100}} }

func TestGradients(t *testing.T) {
	results := conformance.Gradients("")
	if err := conformance.Err(results); err != nil {
		t.Error(err)
	}
	with := map[string]bool{}
	for _, r := range results {
		with[r.Op] = true
	}
	for _, op := range graph.Ops() {
		if with[op.Name] != (op.VJP != nil) {
			t.Errorf("%s: has a gradient %v, was checked %v", op.Name, op.VJP != nil, with[op.Name])
		}
	}
}

func TestCheckPassesForACorrectBackend(t *testing.T) {
	results := conformance.Check(t.Context(), correct(), "")
	if err := conformance.Err(results); err != nil {
		t.Error(err)
	}
	cases := 0
	for _, op := range graph.Ops() {
		cases += len(op.Cases)
	}
	if want := 4 * cases; len(results) != want {
		t.Errorf("%d results, want %d: four variants of %d cases", len(results), want, cases)
	}
	if conformance.Err(conformance.Check(t.Context(), &naive.Backend{}, "group_norm/")) != nil {
		t.Error("a backend without wishes for the plan fails")
	}
}

func TestMemoryPassesForACorrectBackend(t *testing.T) {
	for name, b := range map[string]backend.Backend{"with halos": correct(), "without": &naive.Backend{}} {
		if err := conformance.Err(conformance.Memory(b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// touch adds n to a byte of a view.
func touch(mem [][]byte, v backend.View, at int, n byte) { mem[v.Buffer][v.Offset+at] += n }

// Each of these backends breaks one promise, and Check must say so, in words that lead to the fault.
func TestCheckFindsFaults(t *testing.T) {
	calls := 0
	faults := []struct {
		name string
		only string
		b    naive.Backend
		want string // part of the error
	}{
		{name: "one wrong element", only: "add/odd", want: "first at [0 0 0 3]", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "add" {
				touch(mem, s.Out[0], 3*4+2, 16) // the fourth element, 1 part in 10
			}
		}}},
		{name: "NaN", only: "silu/odd", want: "got NaN", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "silu" {
				binary.LittleEndian.PutUint32(mem[s.Out[0].Buffer][s.Out[0].Offset:], 0x7FC00000)
			}
		}}},
		{name: "an integer off by one", only: "random_timesteps", want: "output 0 u32[37]", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "random_timesteps" {
				touch(mem, s.Out[0], 0, 1)
			}
		}}},
		{name: "the second output", only: "mse/odd", want: "output 1", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "mse" {
				touch(mem, s.Out[1], 2, 64)
			}
		}}},
		{name: "in-place state", only: "adamw", want: "output 2", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "adamw" {
				touch(mem, s.Out[2], 2, 64)
			}
		}}},
		{name: "last bit changes from run to run", only: "mul/odd", want: "replay 2", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if calls++; s.Op == "mul" && calls > 1 {
				mem[s.Out[0].Buffer][s.Out[0].Offset] ^= 1
			}
		}}},
		{name: "halo never written", only: "silu/odd", want: "as a convolution sees it", b: naive.Backend{KeepHalos: true}},
		{name: "halo ignored by the reader", only: "add_row/odd", want: "add_row/odd/arena", b: naive.Backend{IgnoreStrides: true}},
		{name: "input overwritten", only: "scale/flat", want: "input or the space between", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			touch(mem, s.In[0], 0, 1)
		}}},
		{name: "input in the arena overwritten", only: "channels/first", want: "input 0 after the op", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "channels" && s.In[0].Buffer == 0 {
				touch(mem, s.In[0], 0, 1)
			}
		}}},
		{name: "writes past its output", only: "sum_rows/odd", want: "space between", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "sum_rows" && s.Out[0].Buffer != 0 {
				touch(mem, s.Out[0], 7*4, 1)
			}
		}}},
		{name: "writes past the arena", only: "scale/flat", want: "behind the end of the arena", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			mem[0][len(mem[0])-1] = 7
		}}},
		{name: "counts on zeros in scratch", only: "sum_space/odd", want: "NaN", b: naive.Backend{After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "sum_space" {
				copy(mem[s.Out[0].Buffer][s.Out[0].Offset:][:4], mem[s.Scratch.Buffer][s.Scratch.Offset:])
			}
		}}},
		{name: "panics", only: "concat/odd", want: "panic", b: naive.Backend{After: func([][]byte, *backend.Step) { panic("broken") }}},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			calls = 0
			var b backend.Backend = naive.Planner{Backend: &f.b}
			if f.name == "counts on zeros in scratch" {
				b = askScratch{naive.Planner{Backend: &f.b}}
			}
			err := conformance.Err(conformance.Check(t.Context(), b, f.only))
			if err == nil {
				t.Fatal("passes")
			}
			if !strings.Contains(err.Error(), f.want) {
				t.Errorf("the error does not mention %q:\n%v", f.want, err)
			}
		})
	}
}

// askScratch has scratch memory that naive leaves as it finds it.
type askScratch struct{ naive.Planner }

func (askScratch) Scratch(*backend.Step) int { return 64 }

// strider says of silu that it takes images whose pixels lie apart, and so does the convolution that makes and copies them.
type strider struct{ naive.Planner }

func (strider) Strided(op string, _ any, in int) bool {
	return op == "conv2d" && in <= 0 || op == "silu" && in == 0
}
func (strider) StridedAfter(string, string) bool { return false }

// What a backend says that it takes apart it is given so, and a kernel that reads the channels beside is found out.
func TestCheckGivesParts(t *testing.T) {
	const variant = "arena, joined"
	results := conformance.Check(t.Context(), strider{correct()}, "silu/odd")
	if err := conformance.Err(results); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(results, func(r conformance.Result) bool { return r.Variant == variant }) {
		t.Errorf("no result of %q in %+v", variant, results)
	}
	err := conformance.Err(conformance.Check(t.Context(), strider{naive.Planner{Backend: &naive.Backend{IgnoreStrides: true}}}, "silu/odd"))
	if err == nil || !strings.Contains(err.Error(), "silu/odd/"+variant) {
		t.Errorf("a kernel that takes all images to be dense: %v", err)
	}
}

func TestMemoryFindsFaults(t *testing.T) {
	overrun := func(mem [][]byte, s *backend.Step) { // a kernel that needs more scratch than it asked for
		if s.Op == "group_norm" {
			end := s.Scratch.Offset + s.Scratch.Shape[0]
			for i := range 256 {
				mem[0][end+i] = 0xFF
			}
		}
	}
	noisy := 0
	faults := map[string]naive.Backend{
		"scratch overrun": {Scratch: 1 << 16, After: overrun},
		"wrong gradient": {After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "conv2d_weight" {
				touch(mem, s.Out[0], 3, 1)
			}
		}},
		"different each time": {After: func(mem [][]byte, s *backend.Step) {
			if s.Op == "random_normal" {
				noisy++
				mem[s.Out[0].Buffer][s.Out[0].Offset] += byte(noisy)
			}
		}},
	}
	for name, b := range faults {
		t.Run(name, func(t *testing.T) {
			err := conformance.Err(conformance.Memory(naive.Planner{Backend: &b}))
			if err == nil {
				t.Fatal("passes")
			}
			t.Log(err)
		})
	}
}

func TestCheckReportsUnsupportedOps(t *testing.T) {
	var known []*graph.Op
	for _, op := range graph.Ops() {
		if op.Name != "attention" {
			known = append(known, op)
		}
	}
	results := conformance.Check(t.Context(), &naive.Backend{Ops: known}, "attention/")
	if len(results) != 7 {
		t.Errorf("%d results, want one a case", len(results))
	}
	for _, r := range results {
		if !r.Unsupported || !errors.Is(r.Err, backend.ErrUnsupported) || !strings.Contains(r.Err.Error(), "attention") {
			t.Errorf("%+v: want an unsupported op, named", r)
		}
	}
	var table strings.Builder
	if err := conformance.Print(&table, results); err != nil || !strings.Contains(table.String(), "unsupported") {
		t.Errorf("table: %v\n%s", err, table.String())
	}
}

func TestSelection(t *testing.T) {
	if conformance.Err(conformance.Check(t.Context(), &naive.Backend{}, "no such op")) == nil {
		t.Error("a selection of nothing passes")
	}
	results := conformance.Check(t.Context(), &naive.Backend{}, "add/flat")
	if len(results) != 4 || results[0].Op != "add" || results[0].Case != "flat" {
		t.Errorf("add/flat selects %+v", results)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := conformance.Err(conformance.Check(ctx, &naive.Backend{}, "add/")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestPrint(t *testing.T) {
	var table strings.Builder
	err := conformance.Print(&table, []conformance.Result{
		{Op: "add", Case: "a", Diff: 1e-7, Tol: 1e-5}, {Op: "add", Case: "b", Diff: 2e-7, Tol: 1e-5},
		{Op: "mul", Case: "a", Variant: "arena", Diff: 1, Tol: 1e-5, Err: errors.New("far off")},
	})
	want := "op   cases  runs  worst    allowed  \n" +
		"add  2      2     2.0e-07  1.0e-05  ok\n" +
		"mul  1      1     1.0e+00  1.0e-05  1 FAILED: mul/a/arena: far off\n"
	if err != nil || table.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, table.String(), want)
	}
}
