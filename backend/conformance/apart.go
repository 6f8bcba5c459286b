package conformance

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// apart are the inputs of a problem that b takes with pixels that lie apart (backend.Strider), and without zeros around them.
func apart(b backend.Backend, p *problem) (list []int) {
	s, ok := b.(interface {
		backend.Strider
		backend.Planner
	})
	if !ok {
		return nil
	}
	shapes := make([]backend.Shape, len(p.in))
	for i, t := range p.in {
		if t != nil {
			shapes[i] = t.Shape
		}
	}
	for i, t := range p.in {
		if t != nil && p.image("in", i, t.Type) && s.Strided(p.op.Name, p.attrs, i) && s.Halo(p.op.Name, p.attrs, i, shapes) == 0 {
			list = append(list, i)
		}
	}
	return list
}

// join copies an image with a convolution, which can write it among the channels of another, and joins it with a copy of its own.
func (s *setup) join(x *graph.Value) (part, joined *graph.Value) {
	c := x.Shape[3]
	part = s.pick(x, c)
	return part, s.g.Concat(part, s.pick(x, c))
}

// pick is the first c channels of x, to the last bit: the convolution of pixels with ones on the diagonal.
func (s *setup) pick(x *graph.Value, c int) *graph.Value {
	k := graph.NewTensor(graph.F32(c, 1, 1, x.Shape[3]))
	for i := range c {
		k.Data[i*x.Shape[3]+i] = 1
	}
	return s.g.Conv2D(x, graph.State(inBuffer, s.in.place(encode(k)), k.Type, "pick"), nil, 1, [4]int{})
}

// laidApart reports an input that should lie apart in the plan, and does not.
func (s *setup) laidApart(p *backend.Program) (err error) {
	found := false
	p.Steps(func(step *backend.Step) {
		if found || step.Op != s.p.op.Name || len(step.In)-step.Tallied != len(s.p.in) || !step.In[s.apart[0]].Apart() {
			return
		}
		found = true
		for _, i := range s.apart {
			if !step.In[i].Apart() {
				err = fmt.Errorf("input %d lies together in memory, the plan was to join it with other channels", i)
			}
		}
	})
	if !found {
		err = fmt.Errorf("no %s reads a part of joined channels", s.p.op.Name)
	}
	return err
}
