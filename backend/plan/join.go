package plan

import (
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// part is where a value lies among the channels of another one, which is several joined.
type part struct {
	of   *graph.Value
	from int // channels
}

// join lets the producers of a concat's inputs write into the result, and leaves the concat out, where the backend can
// (backend.Strider): the kernels that make the two, and all that read them, must take images whose pixels lie apart, and nobody may want
// zeros around the result. A value can be a part of one other only.
func (c *compiler) join() {
	s, ok := c.o.Planner.(backend.Strider)
	if !ok {
		return
	}
	joined := map[*graph.Value]int{}
	var refused, halo, maker = map[*graph.Value]bool{}, map[*graph.Value]bool{}, map[*graph.Value]bool{}
	for _, n := range c.nodes {
		own := n.In[:c.own(n)]
		for i, v := range n.In {
			switch {
			case v == nil:
			case n.Op.Name == "concat":
				joined[v]++
			case i >= len(own):
				refused[v] = refused[v] || !s.StridedAfter(n.Op.Name, c.fused[n].after[i-len(own)].Op)
			default:
				refused[v] = refused[v] || !s.Strided(n.Op.Name, n.Attrs, i)
				halo[v] = halo[v] || c.o.Planner.Halo(n.Op.Name, n.Attrs, i, shapes(own)) > 0
			}
		}
		for i, v := range n.Out {
			maker[v] = i == 0 && v.Store == nil && s.Strided(n.Op.Name, n.Attrs, -1)
		}
	}
	kept := c.nodes[:0:0]
	for _, n := range c.nodes {
		if n.Op.Name == "concat" && len(c.fused[n].after) == 0 && !slices.Contains(c.o.Cuts, n) {
			y, a, b := n.Out[0], n.In[0], n.In[1]
			can := y.Store == nil && !halo[y] && joined[y] == 0 && a != b
			for _, v := range n.In {
				can = can && maker[v] && !refused[v] && joined[v] == 1
			}
			if can {
				c.parts[a], c.parts[b] = part{y, 0}, part{y, a.Shape[3]}
				continue
			}
		}
		kept = append(kept, n)
	}
	c.nodes = kept
}

// root is the value whose memory v lies in: itself, or what it is a part of.
func (c *compiler) root(v *graph.Value) *graph.Value {
	if p, ok := c.parts[v]; ok {
		return p.of
	}
	return v
}
