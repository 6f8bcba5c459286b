package plan

import "github.com/ddpm-tui/ddpm-tui/backend"

// span is a range of bytes of one buffer.
type span struct{ buffer, from, to int }

func spanOf(v backend.View) span {
	start, n := v.Span()
	return span{v.Buffer, start, start + n}
}

func (a span) meets(b span) bool { return a.buffer == b.buffer && a.from < b.to && b.from < a.to }

// barriers marks the steps that must wait for what ran since the last barrier: they read what was written, or write what was
// read or written.
func (c *compiler) barriers() {
	var reads, writes []span
	meets := func(a span, list []span) bool {
		for _, b := range list {
			if a.meets(b) {
				return true
			}
		}
		return false
	}
	for i := range c.list {
		s := &c.list[i]
		var r, w []span
		for _, v := range s.In {
			if !v.Absent() {
				r = append(r, spanOf(v))
			}
		}
		for _, v := range append(s.Out[:len(s.Out):len(s.Out)], s.Scratch) {
			if !v.Absent() {
				w = append(w, spanOf(v))
			}
		}
		for _, a := range r {
			s.Barrier = s.Barrier || meets(a, writes)
		}
		for _, a := range w {
			s.Barrier = s.Barrier || meets(a, writes) || meets(a, reads)
		}
		if s.Barrier {
			reads, writes = reads[:0], writes[:0]
			c.stats.Barriers++
		}
		reads, writes = append(reads, r...), append(writes, w...)
	}
}
