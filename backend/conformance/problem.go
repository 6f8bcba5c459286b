package conformance

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// A problem is one case with its numbers: what goes in, and what the reference says comes out.
type problem struct {
	op      *graph.Op
	attrs   any
	in      []*graph.Tensor // nil where an optional input is left out
	want    []*graph.Tensor
	tol     float64
	rounded []float64 // what is added to tol for each output that is halfs; nil for none
	slack   float64   // of the convolution that looks at images

	precision backend.Precision
}

// source is a random source of its own for everything that has a name, the same on every machine.
func source(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), uint64(len(name))))
}

// fill makes a case's inputs, rounded to their types.
func fill(op *graph.Op, c graph.Case) []*graph.Tensor {
	r := source(op.Name + "/" + c.Name)
	in := make([]*graph.Tensor, len(c.In))
	for i, input := range c.In {
		if input.Fill == nil {
			continue
		}
		in[i] = graph.NewTensor(input.Type)
		input.Fill(r, in[i].Data)
		for j, v := range in[i].Data {
			in[i].Data[j] = round(input.Type.DType, v)
		}
	}
	return in
}

// newProblem fills a case and runs its reference.
func newProblem(op *graph.Op, c graph.Case) (*problem, error) {
	p := &problem{op: op, attrs: c.Attrs, in: fill(op, c), tol: c.Tol}
	if p.tol == 0 {
		p.tol = defaultTol
	}
	_, err := guarded(func() (float64, error) {
		out, err := op.Infer(c.Attrs, types(p.in))
		if err != nil {
			return 0, fmt.Errorf("the op refuses its own case: %w", err)
		}
		for _, t := range out {
			p.want = append(p.want, graph.NewTensor(t))
		}
		op.Ref(c.Attrs, p.in, p.want)
		return 0, nil
	})
	if err != nil {
		return nil, err
	}
	for i, w := range p.want {
		for j, v := range w.Data {
			if !finite(v) {
				return nil, fmt.Errorf("reference: output %d is %v at %s", i, v, index(w.Shape, j))
			}
		}
	}
	return p, nil
}

func types(ts []*graph.Tensor) []graph.Type {
	out := make([]graph.Type, len(ts))
	for i, t := range ts {
		if t != nil {
			out[i] = t.Type
		}
	}
	return out
}

// updated says which output updates input i in place.
func (p *problem) updated(i int) (out int, ok bool) {
	for o, in := range p.op.InPlace {
		if in == i {
			return o, true
		}
	}
	return 0, false
}

// weights are the values with four axes that are not images, so that no convolution reads them as one and none ever has a halo.
var weights = map[string]bool{
	"conv2d in 1": true, "conv2d_data in 1": true, "conv2d_weight out 0": true, // kernels, [O,KH,KW,I]
}

// image says whether a value is an image [N,H,W,C] of more than one pixel, which may have a halo in memory.
func (p *problem) image(side string, i int, t graph.Type) bool {
	return t.DType == backend.F32 && len(t.Shape) == 4 && t.Shape[1]*t.Shape[2] > 1 && !weights[fmt.Sprintf("%s %s %d", p.op.Name, side, i)]
}
