package plan

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// halve decides which values are held as halfs, where the precision is fp16. The rule is general: a float of the arena is a half if the
// kernel that makes it can write it so, given which of its own inputs are halfs, and if every kernel that reads it can read it so. What
// lives in a named buffer (parameters, their gradients, moments, losses) is as the host knows it, and stays float.
func (c *compiler) halve() error {
	if c.o.Precision != backend.FP16 {
		return nil
	}
	h, ok := c.o.Planner.(backend.Halver)
	if !ok {
		return fmt.Errorf("plan: %s in %s: %w by this backend", c.o.Name, c.o.Precision, backend.ErrUnsupported)
	}
	if err := h.Halves(); err != nil {
		return err
	}
	refused := map[*graph.Value]bool{}
	for _, n := range c.nodes {
		own := c.own(n)
		for i, v := range n.In {
			if v != nil && (i >= own || !h.HalfInput(n.Op.Name, i)) {
				refused[v] = true
			}
		}
	}
	c.halves = map[*graph.Value]bool{}
	for _, n := range c.nodes {
		in := make([]bool, len(n.In))
		for i, v := range n.In {
			in[i] = v != nil && c.halves[v]
		}
		for i, v := range n.Out {
			if v.Store == nil && v.DType == backend.F32 && !refused[v] && h.HalfOutput(n.Op.Name, i, in) {
				c.halves[v] = true
			}
		}
	}
	return nil
}
