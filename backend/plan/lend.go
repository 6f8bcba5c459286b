package plan

import (
	"math"
	"sort"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// lend makes room for values of the arena in a buffer whose content nobody needs until the program writes it, such as the gradients':
// most activations have ended when the large gradients are made. It returns what else lies there, by offset: every range that a
// step writes, from then on, and what no step writes, always. The arena itself begins behind it, at base. Nothing is lent, with base 0, where
// a step reads what is written later or ranges overlap.
func (c *compiler) lend() (placed []*value, base int) {
	slot, ok := c.slots[c.o.Lend]
	_, chunked := c.o.Planner.(backend.Chunked)
	if c.o.Lend == "" || !ok || chunked || !c.o.Reuse || c.p.Buffers[slot].Bytes%align != 0 {
		return nil, 0
	}
	first := map[span]int{} // the step that writes a range first
	for i := range c.list {
		for _, v := range c.list[i].Out {
			if _, again := first[spanOf(v)]; v.Buffer == slot && !again {
				first[spanOf(v)] = i
			}
		}
	}
	for i := range c.list {
		for _, v := range c.list[i].In {
			if v.Buffer != slot {
				continue
			}
			for w, at := range first {
				if at >= i && w.meets(spanOf(v)) {
					return nil, 0
				}
			}
		}
	}
	var ranges []span
	for w := range first {
		ranges = append(ranges, w)
	}
	sort.Slice(ranges, func(i, j int) bool { return ranges[i].from < ranges[j].from })
	base = c.p.Buffers[slot].Bytes
	put := func(from, to, first int) {
		if from < to {
			placed = append(placed, &value{at: from, bytes: to - from, first: first, last: math.MaxInt})
		}
	}
	end := 0
	for _, w := range ranges {
		if w.from < end || w.from%align != 0 {
			return nil, 0
		}
		put(end, w.from, 0)
		whole := w.to / align * align // what is behind it up to the next value stays as it is
		put(w.from, whole, first[w])
		if end = whole; w.to > whole {
			end = roundUp(w.to)
			put(whole, end, 0)
		}
	}
	put(end, base, 0)
	return append(placed, &value{at: base, last: math.MaxInt}), base // no value lies in both
}
