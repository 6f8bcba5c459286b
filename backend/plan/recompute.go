package plan

import (
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// recompute makes values anew where they are read in the backward pass instead of keeping them until then (Chen et al. 2016, arXiv
// 1604.06174, but only what is cheap). The rule is general: as long as the fullest moment of the program holds a value that no step
// of then touches, and that the backend would rather compute again (backend.Recomputer), the largest such value ends before, and a
// copy of its node stands before the first of its later readers. What that reads must be held at that moment anyway, be computed
// again itself, or be smaller than what it replaces; and state that it reads must not change in between. Each value is made anew once.
func (c *compiler) recompute(r backend.Recomputer) {
	done := map[*graph.Value]bool{}
	for u := c.uses(); ; u.count() {
		best, saved := remade{}, 0
		for i := range u.lives {
			l := &u.lives[i]
			v := l.v
			if v.Bytes() < saved || l.first >= u.fullest || l.last <= u.fullest || slices.Contains(l.reads, u.fullest) || done[v] {
				continue
			}
			at := l.reads[slices.IndexFunc(l.reads, func(i int) bool { return i > u.fullest })]
			m := remade{v: v, at: at}
			if !u.remake(r, v, &m) || u.held[at]+m.more > u.held[u.fullest] {
				continue
			}
			// The last made of those that save as much goes first: it may be made of the others.
			if by := v.Bytes() - m.longer; by > saved || by > 0 && by == saved && l.first > u.life(best.v).first {
				best, saved = m, by
			}
		}
		if best.v == nil {
			return
		}
		done[best.v] = true
		again := c.remake(best)
		for _, n := range again {
			for _, v := range n.Out {
				done[v] = true
			}
		}
		u.steps = slices.Insert(u.steps, best.at, make([]step, len(again))...)
	}
}

// mostDeep is how many nodes may be run again behind the last, one reading the other.
const mostDeep = 3

// life is when a value of the arena is made and read, as indices of nodes.
type life struct {
	v           *graph.Value
	first, last int
	reads       []int
}

// A step is a node with the numbers of the values of the arena that it reads and makes.
type step struct {
	n       *graph.Node
	in, out []int
}

// uses is what the nodes in their order say of values. After each value that is made again all is counted anew, hundreds of times where
// a step has many micro-batches: so values have numbers, and lives lie in a slice.
type uses struct {
	c       *compiler
	numbers map[*graph.Value]int
	lives   []life // by number
	steps   []step // of c.nodes; what is not of its node yet is numbered by count
	held    []int  // bytes during each node, scratch memory aside
	fullest int    // the node during which they are most
}

func (c *compiler) uses() *uses {
	u := &uses{c: c, numbers: map[*graph.Value]int{}, steps: make([]step, len(c.nodes))}
	u.count()
	return u
}

// life is that of v, which lies in the arena.
func (u *uses) life(v *graph.Value) *life { return &u.lives[u.numbers[u.c.root(v)]] }

// number numbers the values of the arena that n reads and makes.
func (u *uses) number(n *graph.Node) step {
	list := func(vs []*graph.Value) (of []int) {
		for _, v := range vs {
			if v == nil || v.Store != nil {
				continue
			}
			v = u.c.root(v)
			i, ok := u.numbers[v]
			if !ok {
				i = len(u.lives)
				u.numbers[v], u.lives = i, append(u.lives, life{v: v})
			}
			of = append(of, i)
		}
		return of
	}
	return step{n, list(n.In), list(n.Out)}
}

// count finds all lives, and what is held when.
func (u *uses) count() {
	for i, n := range u.c.nodes {
		if u.steps[i].n != n {
			u.steps[i] = u.number(n)
		}
	}
	for i := range u.lives {
		l := &u.lives[i]
		l.first, l.last, l.reads = -1, -1, l.reads[:0]
	}
	for i, s := range u.steps {
		for _, v := range s.in {
			if l := &u.lives[v]; l.first >= 0 && l.last < i {
				l.reads, l.last = append(l.reads, i), i
			}
		}
		for _, v := range s.out {
			l := &u.lives[v]
			if l.last = i; l.first < 0 {
				l.first = i
			}
		}
	}
	u.held = slices.Grow(u.held[:0], len(u.steps)+1)[:len(u.steps)+1]
	clear(u.held)
	for _, l := range u.lives {
		if l.first >= 0 {
			u.held[l.first] += l.v.Bytes()
			u.held[l.last+1] -= l.v.Bytes()
		}
	}
	u.fullest = 0
	for i := range u.steps {
		if i > 0 {
			u.held[i] += u.held[i-1]
		}
		if u.held[i] > u.held[u.fullest] {
			u.fullest = i
		}
	}
}

// remade is a value that is to be made anew before the node at.
type remade struct {
	v      *graph.Value
	at     int
	nodes  []*graph.Node // the nodes to run again, in order; the last makes v
	longer int           // bytes of what must be held for it longer than it was, over the fullest moment
	more   int           // bytes that are held at the node at because of it
	depth  int           // of the node at hand behind what is held
}

// remake adds to m the nodes that make v again, and reports whether that can be.
func (u *uses) remake(r backend.Recomputer, v *graph.Value, m *remade) bool {
	l := u.life(v)
	n := u.c.nodes[l.first]
	if f := u.c.fused[n]; n.Out[0] != v || len(f.after) > 0 || f.tally || f.tallied > 0 && n.Op.Again == nil {
		return false
	}
	again := n
	if n.Op.Again != nil {
		op, in := n.Op.Again(n)
		again = &graph.Node{Op: op, Attrs: n.Attrs, Label: n.Label, In: in, Out: n.Out[:1]}
	}
	if !r.Recomputes(again.Op.Name) {
		return false
	}
	for _, in := range again.In {
		switch {
		case in == nil:
		case in.Store != nil:
			if u.c.written(in, l.first, m.at) {
				return false
			}
		case u.life(in).last >= m.at: // held anyway
		default:
			keep := m.longer
			in = u.c.root(in)
			if u.life(in).last < u.fullest {
				keep += in.Bytes()
			}
			deeper := *m
			deeper.nodes, deeper.depth = slices.Clone(m.nodes), m.depth+1
			if m.depth < mostDeep && u.remake(r, in, &deeper) && deeper.longer < keep {
				deeper.depth = m.depth
				*m = deeper
			} else {
				m.longer = keep
			}
			m.more += in.Bytes()
		}
	}
	m.nodes = append(m.nodes, again)
	return true
}

// written reports whether a node of [from, to) writes some of the state v.
func (c *compiler) written(v *graph.Value, from, to int) bool {
	for _, n := range c.nodes[from:to] {
		for _, o := range n.Out {
			if s := o.Store; s != nil && s.Buffer == v.Store.Buffer && s.Offset < v.Store.Offset+v.Bytes() && v.Store.Offset < s.Offset+o.Bytes() {
				return true
			}
		}
	}
	return false
}

// remake puts copies of the nodes before the one at m.at, and lets that and all later ones read what those make.
func (c *compiler) remake(m remade) []*graph.Node {
	fresh := map[*graph.Value]*graph.Value{}
	reading := func(n *graph.Node) *graph.Node {
		x := &graph.Node{Op: n.Op, Attrs: n.Attrs, Label: n.Label, In: slices.Clone(n.In), Out: n.Out}
		for i, v := range n.In {
			if w := fresh[v]; w != nil {
				x.In[i] = w
			}
		}
		return x
	}
	var again []*graph.Node
	for _, n := range m.nodes {
		if fresh[n.Out[0]] != nil { // two of them read it
			continue
		}
		x := reading(n)
		x.Out = nil
		for i, v := range n.Out {
			w := &graph.Value{Type: v.Type, Name: v.Name, Producer: x, Index: i}
			x.Out, fresh[v] = append(x.Out, w), w
		}
		again = append(again, x)
	}
	fresh = map[*graph.Value]*graph.Value{m.v: fresh[m.v]} // what was only made for it ends there
	for i, n := range c.nodes[m.at:] {
		if !slices.Contains(n.In, m.v) {
			continue
		}
		x := reading(n)
		if f, ok := c.fused[n]; ok {
			c.fused[x] = f
			delete(c.fused, n)
		}
		c.recut(n, x)
		c.nodes[m.at+i] = x
	}
	c.nodes = slices.Insert(c.nodes, m.at, again...)
	return again
}

// recut lets a cut that is behind n be behind x, which stands for it.
func (c *compiler) recut(n, x *graph.Node) {
	if k := slices.Index(c.o.Cuts, n); k >= 0 {
		c.o.Cuts = slices.Clone(c.o.Cuts)
		c.o.Cuts[k] = x
	}
}
