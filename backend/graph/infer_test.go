package graph_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

func caseTypes(c graph.Case) []graph.Type {
	in := make([]graph.Type, len(c.In))
	for i, input := range c.In {
		if input.Fill != nil {
			in[i] = input.Type
		}
	}
	return in
}

func randomType(r *rand.Rand) graph.Type {
	t := graph.Type{DType: backend.DType(r.IntN(3))}
	for range r.IntN(6) {
		t.Shape = append(t.Shape, 1+r.IntN(4))
	}
	return t
}

// spoil changes one thing about valid inputs.
func spoil(r *rand.Rand, in []graph.Type) []graph.Type {
	in = slices.Clone(in)
	i := r.IntN(len(in))
	t := &in[i]
	t.Shape = slices.Clone(t.Shape)
	switch r.IntN(7) {
	case 0:
		*t = randomType(r)
	case 1:
		t.DType = backend.DType(r.IntN(3))
	case 2, 3:
		if len(t.Shape) > 0 {
			t.Shape[r.IntN(len(t.Shape))] = 1 + r.IntN(5)
		}
	case 4:
		t.Shape = append(t.Shape, 1+r.IntN(2))
	case 5:
		*t = graph.Type{} // left out
	case 6:
		if r.IntN(2) == 0 {
			return slices.Delete(in, i, i+1)
		}
		return append(in, *t)
	}
	return in
}

// attempt infers the types of an op's outputs and, where the op accepts its inputs, runs its reference on zeros: an op must
// refuse what its reference cannot compute.
func attempt(op *graph.Op, attrs any, in []graph.Type) (accepted bool, err error) {
	stage := "Infer"
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panics on %v with %+v: %v", stage, in, attrs, r)
		}
	}()
	out, refused := op.Infer(attrs, in)
	if refused != nil {
		return false, nil
	}
	stage = "accepted, but Ref"
	if len(out) == 0 {
		return true, fmt.Errorf("no outputs from %v", in)
	}
	tensors := make([]*graph.Tensor, len(in))
	for i, t := range in {
		if t.Shape != nil {
			tensors[i] = graph.NewTensor(t)
		}
	}
	results := make([]*graph.Tensor, len(out))
	for i, t := range out {
		if len(t.Shape) == 0 || t.Shape.Elems() < 1 {
			return true, fmt.Errorf("output %d of %v is %v", i, in, t)
		}
		results[i] = graph.NewTensor(t)
	}
	op.Ref(attrs, tensors, results)
	if op.FLOPs != nil && op.FLOPs(attrs, in, out) < 0 {
		return true, fmt.Errorf("negative FLOPs from %v", in)
	}
	return true, nil
}

func TestInferRefusesBadTypes(t *testing.T) {
	for _, op := range graph.Ops() {
		t.Run(op.Name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			refused, tried := 0, 0
			for _, c := range op.Cases {
				elems := 0
				for _, in := range c.In {
					elems += in.Type.Shape.Elems()
				}
				if elems > 8000 {
					continue // slow, and no different
				}
				valid := caseTypes(c)
				if ok, err := attempt(op, c.Attrs, valid); !ok || err != nil {
					t.Fatalf("case %s: accepted %v, %v", c.Name, ok, err)
				}
				for k := range 400 {
					in := spoil(r, valid)
					if k%4 == 0 {
						in = make([]graph.Type, r.IntN(len(valid)+2))
						for i := range in {
							in[i] = randomType(r)
						}
					}
					ok, err := attempt(op, c.Attrs, in)
					if err != nil {
						t.Fatalf("case %s: %v", c.Name, err)
					}
					tried++
					if !ok {
						refused++
					}
				}
			}
			if refused < tried/4 || tried == 0 {
				t.Errorf("refused %d of %d bad inputs", refused, tried)
			}
		})
	}
}

// Every case is itself valid, has a name of its own, and inputs that the op accepts.
func TestCases(t *testing.T) {
	for _, op := range graph.Ops() {
		names := map[string]bool{}
		for _, c := range op.Cases {
			if c.Name == "" || names[c.Name] {
				t.Errorf("%s: case name %q is empty or used twice", op.Name, c.Name)
			}
			names[c.Name] = true
			out, err := op.Infer(c.Attrs, caseTypes(c))
			if err != nil {
				t.Errorf("%s/%s: %v", op.Name, c.Name, err)
			}
			for o, i := range op.InPlace {
				if !out[o].Shape.Equal(c.In[i].Type.Shape) || out[o].DType != c.In[i].Type.DType {
					t.Errorf("%s/%s: output %d is %v and updates input %d, %v", op.Name, c.Name, o, out[o], i, c.In[i].Type)
				}
			}
			for _, i := range c.Grad {
				if i >= len(c.In) || c.In[i].Type.DType != backend.F32 {
					t.Errorf("%s/%s: no gradient for input %d", op.Name, c.Name, i)
				}
			}
		}
	}
}
