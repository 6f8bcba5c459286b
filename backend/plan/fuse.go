package plan

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// fused is what a node's kernel does besides: what a few nodes after it did, or to tell of its output what others would go over it for;
// and of how many tallies it is told.
type fused struct {
	after   []backend.After
	flops   int64
	tally   bool
	tallied int
}

// fuse gives the work of a node that reads another's first output, and is its only reader, to that other's kernel, if the
// backend says that the kernel can do it. The rule is general: the follower has two inputs and one output of the same type, in
// the arena. Both run where the first ran, or, if the follower's other input was made after that, where the follower ran.
// Nothing between the two may change state.
func (c *compiler) fuse() {
	f, ok := c.o.Planner.(backend.Fuser)
	if !ok {
		return
	}
	cut := map[*graph.Node]bool{}
	for _, n := range c.o.Cuts {
		cut[n] = true
	}
	readers, at := map[*graph.Value]int{}, map[*graph.Value]int{}
	for i, n := range c.nodes {
		for _, v := range n.In {
			if v != nil {
				readers[v]++
			}
		}
		for _, v := range n.Out {
			at[v] = i
		}
	}
	for i, m := range c.nodes {
		if len(m.Out) != 1 || len(m.In) != 2 || m.In[0] == nil || m.In[1] == nil || cut[m] {
			continue
		}
		// The operand that is made last is the one to fuse with: then nothing needs to move.
		best, from := -1, -1
		for k, v := range m.In {
			p, made := at[v]
			if !made || v.Store != nil || readers[v] != 1 || c.nodes[p] == nil {
				continue
			}
			n := c.nodes[p]
			if n.Out[0] == v && v.Type.DType == m.Out[0].Type.DType && v.Shape.Equal(m.Out[0].Shape) && p > from && f.Fuses(n.Op.Name, n.Attrs, shapes(n.In), m.Op.Name, k) {
				best, from = k, p
			}
		}
		if best < 0 {
			continue
		}
		other, to := m.In[1-best], from
		if p, made := at[other]; made {
			if p == from { // another output of the same node
				continue
			}
			to = max(to, p)
		}
		if m.Out[0].Store != nil || !c.movable(from, i, to > from, cut) {
			continue
		}
		n := c.nodes[from]
		both := &graph.Node{Op: n.Op, Attrs: n.Attrs, Label: n.Label, In: append(n.In[:len(n.In):len(n.In)], other), Out: append([]*graph.Value{m.Out[0]}, n.Out[1:]...)}
		x := c.fused[n]
		delete(c.fused, n)
		x.after = append(x.after[:len(x.after):len(x.after)], backend.After{Op: m.Op.Name, Attrs: m.Attrs})
		if m.Op.FLOPs != nil {
			x.flops += m.Op.FLOPs(m.Attrs, types(m.In), types(m.Out))
		}
		c.fused[both] = x
		c.recut(n, both)
		cut[both] = cut[n]
		c.nodes[i], c.nodes[from] = nil, nil
		if to == from { // in its own place
			c.nodes[from] = both
		} else { // behind what it waits for, in the follower's place: all between them is untouched by it
			c.nodes[i], to = both, i
		}
		for _, v := range both.Out {
			at[v] = to
		}
	}
	kept := c.nodes[:0]
	for _, n := range c.nodes {
		if n != nil {
			kept = append(kept, n)
		}
	}
	c.nodes = kept
}

// movable reports whether the node at from and the one at to may run as one: at from, or later, at to.
func (c *compiler) movable(from, to int, later bool, cut map[*graph.Node]bool) bool {
	if later && (cut[c.nodes[from]] || len(c.nodes[from].Out) > 1) {
		return false
	}
	for _, n := range c.nodes[from+1 : to] {
		if n != nil && (len(n.Op.InPlace) > 0 || later && cut[n]) {
			return false
		}
	}
	return true
}

func types(vs []*graph.Value) []graph.Type {
	ts := make([]graph.Type, len(vs))
	for i, v := range vs {
		if v != nil {
			ts[i] = v.Type
		}
	}
	return ts
}
