package plan

import (
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// sink lets a node run right before the first that reads what it makes, where that holds fewer bytes: what it makes is held for less
// long, and what it reads may be held for longer. A gradient that waits to be added to another one is so made last. Nodes that write
// state stay where they are, and so do those that the program is cut after; none moves past one that writes state which it reads.
func (c *compiler) sink() {
	last, first := map[*graph.Value]*graph.Node{}, map[*graph.Value]*graph.Node{}
	for _, n := range c.nodes {
		for _, v := range n.In {
			if last[v] = n; first[v] == nil {
				first[v] = n
			}
		}
	}
	for i := len(c.nodes) - 1; i >= 0; i-- {
		n, gain := c.nodes[i], 0
		reader := map[*graph.Node]bool{}
		for _, v := range n.Out {
			if gain += v.Bytes(); v.Store != nil {
				gain = 0
				break
			}
			if f := first[v]; f != nil {
				reader[f] = true
			}
		}
		if gain == 0 || slices.Contains(c.o.Cuts, n) {
			continue
		}
		to := i + 1
		for to < len(c.nodes) && !reader[c.nodes[to]] {
			to++
		}
		between := slices.Clone(c.nodes[i+1 : to])
		moves := len(between) > 0
		for k, v := range n.In {
			switch {
			case v == nil || slices.Contains(n.In[:k], v):
			case v.Store != nil:
				moves = moves && !c.written(v, i+1, to)
			case last[v] == n:
				gain -= v.Bytes()
			case slices.Contains(between, last[v]): // it may still be read until then
				gain -= v.Bytes()
			}
		}
		if !moves || gain <= 0 {
			continue
		}
		copy(c.nodes[i:], between)
		c.nodes[to-1] = n
		for _, v := range n.In {
			if v != nil && (last[v] == n || slices.Contains(between, last[v])) {
				last[v] = n
			}
			if v != nil && first[v] == n {
				first[v] = n
				for _, m := range between {
					if slices.Contains(m.In, v) {
						first[v] = m
						break
					}
				}
			}
		}
	}
}
