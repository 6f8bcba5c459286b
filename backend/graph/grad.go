package graph

// A Cotangent is what a VJP works with: a node and the gradients of its outputs.
type Cotangent struct {
	*Graph
	Node *Node
	Out  []*Value // gradient of each output, nil where none reached it
	Need []bool   // which inputs' gradients are wanted
}

// In is the node's i-th input.
func (c *Cotangent) In(i int) *Value { return c.Node.In[i] }

// Grad appends the nodes that compute the gradient of the scalar y, seeded with dy, with respect to each of wrt, in
// reverse order of the forward nodes (so gradients of late layers are finished first). A value that does not reach y is
// an error.
func (g *Graph) Grad(y, dy *Value, wrt []*Value) []*Value {
	need := map[*Value]bool{}
	for _, v := range wrt {
		need[v] = true
	}
	forward := g.Nodes
	for _, n := range forward {
		if n.Op.VJP == nil {
			continue
		}
		for _, in := range n.In {
			if in != nil && need[in] {
				for _, o := range n.Out {
					need[o] = true
				}
			}
		}
	}
	grads := map[*Value]*Value{y: dy}
	add := func(v, d *Value) {
		if old := grads[v]; old != nil {
			d = g.Add(old, d)
		}
		grads[v] = d
	}
	for i := len(forward) - 1; i >= 0; i-- {
		n := forward[i]
		c := &Cotangent{Graph: g, Node: n, Out: make([]*Value, len(n.Out)), Need: make([]bool, len(n.In))}
		reached, wanted := false, false
		for j, o := range n.Out {
			c.Out[j] = grads[o]
			reached = reached || c.Out[j] != nil
		}
		for j, in := range n.In {
			c.Need[j] = in != nil && need[in]
			wanted = wanted || c.Need[j]
		}
		if !reached || !wanted || n.Op.VJP == nil {
			continue
		}
		old := g.scope
		g.scope = n.Label
		for j, d := range n.Op.VJP(c) {
			if d != nil && c.Need[j] {
				if !d.Shape.Equal(n.In[j].Shape) {
					Fail("graph: gradient of input %d of %s at %q is %v, wants %v", j, n.Op.Name, n.Label, d.Type, n.In[j].Type)
				}
				add(n.In[j], d)
			}
		}
		g.scope = old
	}
	out := make([]*Value, len(wrt))
	for i, v := range wrt {
		if out[i] = grads[v]; out[i] == nil {
			Fail("graph: %s does not reach the loss", v.Name)
		}
	}
	return out
}
