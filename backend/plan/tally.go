package plan

import (
	"cmp"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// tally lets kernels tell of what they write, while it is in the cache, what others would go over it for: the statistics of a group
// norm, the gradient of a bias (backend.Tallier). The rule is general: where an op takes the tally of its first input, and the kernel that
// makes this, or those that make all its parts, can give it, it is one more output there and one more input here. It comes with what
// is fused into the kernel, and serves all who ask.
func (c *compiler) tally() {
	t, ok := c.o.Planner.(backend.Tallier)
	if !ok {
		return
	}
	made, parts := map[*graph.Value]int{}, map[*graph.Value][]*graph.Value{}
	for i, n := range c.nodes {
		v := n.Out[0]
		if v.Store != nil {
			continue
		}
		made[v] = i
		if p, ok := c.parts[v]; ok {
			parts[p.of] = append(parts[p.of], v)
		}
	}
	told := map[*graph.Value]*graph.Value{}
	for i, m := range c.nodes {
		if !t.TakesTally(m.Op.Name) || m.In[0] == nil || m.In[0].Store != nil {
			continue
		}
		list := []*graph.Value{m.In[0]}
		if p := parts[m.In[0]]; p != nil {
			list = p
			slices.SortFunc(list, func(a, b *graph.Value) int { return cmp.Compare(c.parts[a].from, c.parts[b].from) })
		} else if at, ok := made[m.In[0]]; ok && c.nodes[at].Op.Name == "concat" && len(c.nodes[at].In) == 2 { // a copy of its parts
			list = c.nodes[at].In
		}
		can := true
		for _, v := range list {
			at, ok := made[v]
			can = can && ok && (told[v] != nil || t.Tally(c.outline(c.nodes[at])) != nil)
		}
		if !can {
			continue
		}
		both := &graph.Node{Op: m.Op, Attrs: m.Attrs, Label: m.Label, In: slices.Clone(m.In), Out: m.Out}
		for _, v := range list {
			if told[v] == nil {
				told[v] = c.tell(made[v], t)
			}
			both.In = append(both.In, told[v])
		}
		c.replace(i, both, func(f *fused) { f.tallied = len(list) })
	}
}

// tell lets the node at i give its tally.
func (c *compiler) tell(i int, t backend.Tallier) *graph.Value {
	n := c.nodes[i]
	x := &graph.Node{Op: n.Op, Attrs: n.Attrs, Label: n.Label, In: n.In}
	v := &graph.Value{Type: graph.F32(t.Tally(c.outline(n))...), Name: "tally", Producer: x, Index: len(n.Out)}
	x.Out = append(slices.Clone(n.Out), v)
	c.replace(i, x, func(f *fused) { f.tally = true })
	return v
}

// replace puts x in the place of the node at i, of which it keeps what is fused into it, changed by f.
func (c *compiler) replace(i int, x *graph.Node, f func(*fused)) {
	n := c.nodes[i]
	both := c.fused[n]
	f(&both)
	delete(c.fused, n)
	c.fused[x] = both
	c.recut(n, x)
	c.nodes[i] = x
}

// outline is what is known of a node's step before anything has a place.
func (c *compiler) outline(n *graph.Node) *backend.Step {
	s := &backend.Step{Op: n.Op.Name, Label: n.Label, Attrs: n.Attrs, Precision: c.o.Precision, After: c.fused[n].after, Scratch: absent, Packed: absent}
	views := func(vs []*graph.Value) (list []backend.View) {
		for _, v := range vs {
			if v == nil {
				list = append(list, absent)
				continue
			}
			list = append(list, backend.View{DType: v.DType, Shape: v.Shape})
		}
		return list
	}
	s.In, s.Out = views(n.In), views(n.Out)
	return s
}

// own is how many inputs of a node are its op's own: what is fused into its kernel reads those behind.
func (c *compiler) own(n *graph.Node) int {
	f := c.fused[n]
	return len(n.In) - len(f.after) - f.tallied
}
