package conformance_test

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance/naive"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// cube is an op that the registry does not have: y = x^3, with the gradient that grad builds.
func cube(grad func(c *graph.Cotangent) []*graph.Value, cases ...graph.Case) *graph.Op {
	return &graph.Op{
		Name:  "cube",
		Infer: func(_ any, in []graph.Type) ([]graph.Type, error) { return in[:1], nil },
		VJP:   grad,
		Ref: func(_ any, in, out []*graph.Tensor) {
			for i, v := range in[0].Data {
				out[0].Data[i] = v * v * v
			}
		},
		Cases: cases,
	}
}

func normals(r graph.Rand, dst []float64) {
	for i := range dst {
		dst[i] = r.NormFloat64()
	}
}

func plain(grad ...int) graph.Case {
	return graph.Case{Name: "plain", In: []graph.Input{{Type: graph.F32(2, 3, 2, 3), Fill: normals}}, Grad: grad}
}

func squared(k float32) func(c *graph.Cotangent) []*graph.Value {
	return func(c *graph.Cotangent) []*graph.Value {
		x := c.In(0)
		return []*graph.Value{c.Mul(c.Out[0], c.Scale(c.Mul(x, x), k, 0))}
	}
}

func check(op *graph.Op) error {
	b := &naive.Backend{Ops: append(graph.Ops(), op)}
	return conformance.Err(conformance.CheckOps(context.Background(), b, []*graph.Op{op}, ""))
}

func gradients(op *graph.Op) error {
	return conformance.Err(conformance.GradientsOps([]*graph.Op{op}, ""))
}

func TestAnOpOfOurOwnPasses(t *testing.T) {
	op := cube(squared(3), plain(0))
	if err := check(op); err != nil {
		t.Error(err)
	}
	if err := gradients(op); err != nil {
		t.Error(err)
	}
}

func TestOpsThatMustFail(t *testing.T) {
	mustFail := func(name string, err error, want string) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: passes", name)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error does not mention %q: %v", name, want, err)
		}
	}
	mustFail("no cases", check(cube(nil)), "no cases")
	mustFail("a gradient that no case checks", gradients(cube(squared(3), plain())), "no case checks")
	mustFail("a case for a gradient that is not", gradients(cube(nil, plain(0))), "has none")
	mustFail("a gradient off by 1e-5", gradients(cube(squared(3.00003), plain(0))), "finite differences")
	mustFail("a gradient of the wrong sign", gradients(cube(squared(-3), plain(0))), "finite differences")
	mustFail("a gradient left out", gradients(cube(func(*graph.Cotangent) []*graph.Value { return []*graph.Value{nil} }, plain(0))), "no gradient")
	mustFail("a gradient too many", gradients(cube(func(c *graph.Cotangent) []*graph.Value {
		return []*graph.Value{c.Out[0], c.Out[0]}
	}, plain(0))), "2 gradients for 1")
	mustFail("a gradient of another shape", gradients(cube(func(c *graph.Cotangent) []*graph.Value {
		return []*graph.Value{c.SumRows(c.Out[0])}
	}, plain(0))), "the input f32[2x3x2x3]")

	infinite := plain()
	infinite.In[0].Fill = func(_ graph.Rand, dst []float64) { dst[4] = math.Inf(1) }
	mustFail("a reference that overflows", check(cube(nil, infinite)), "reference: output 0 is +Inf at [0 0 1 1]")
	refused := plain()
	refused.In[0].Type = graph.F32()
	bad := cube(nil, refused)
	bad.Infer = graph.Ops()[0].Infer
	mustFail("a case that the op refuses", check(bad), "refuses its own case")
}

// Two ops with cases of the same name must not get the same numbers, and the same op always does.
func TestInputsAreReproducible(t *testing.T) {
	var seen [][]float64
	record := plain()
	record.In[0].Fill = func(r graph.Rand, dst []float64) {
		normals(r, dst)
		seen = append(seen, append([]float64(nil), dst...))
	}
	op := cube(nil, record)
	other := *op
	other.Name = "other"
	for _, o := range []*graph.Op{op, op, &other} {
		if err := check(o); err != nil {
			t.Fatal(err)
		}
	}
	if seen[0][0] != seen[1][0] || seen[0][0] == seen[2][0] {
		t.Errorf("first inputs %v, %v, %v: want two equal ones and another", seen[0][0], seen[1][0], seen[2][0])
	}
	if r := rand.New(rand.NewPCG(1, 2)); seen[0][0] == r.NormFloat64() {
		t.Error("the source is not seeded by name")
	}
}
