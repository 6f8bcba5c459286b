package graph

// Eval runs a graph with the float64 references: slow, and what everything else is compared with. buffers hold the state,
// one float64 an element at its byte offset divided by the element size; each is read and updated. It returns every
// value of the arena.
func (g *Graph) Eval(buffers map[string][]float64) map[*Value]*Tensor {
	values := map[*Value]*Tensor{}
	get := func(v *Value) *Tensor {
		if v.Store == nil {
			return values[v]
		}
		at := v.Store.Offset / v.DType.Size()
		return &Tensor{v.Type, buffers[v.Store.Buffer][at : at+v.Shape.Elems()]}
	}
	for _, n := range g.Nodes {
		in, out := make([]*Tensor, len(n.In)), make([]*Tensor, len(n.Out))
		for i, v := range n.In {
			if v != nil {
				in[i] = get(v)
			}
		}
		for i, v := range n.Out {
			out[i] = NewTensor(v.Type)
		}
		n.Op.Ref(n.Attrs, in, out)
		for i, v := range n.Out {
			if v.Store == nil {
				values[v] = out[i]
			} else {
				copy(get(v).Data, out[i].Data)
			}
		}
	}
	return values
}
