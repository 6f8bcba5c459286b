// Package plan turns a graph into a program: which values live, in what layout, where in the arena, and where a barrier is
// due. It decides everything once, before the first step.
package plan

import (
	"fmt"
	"math"
	"sort"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// Arena is the name of the buffer of temporary values; its slot is Buffers[0].
const Arena = "arena"

// align is the alignment of every value in the arena, a cache line and a vector register.
const align = 64

// Options of Compile.
type Options struct {
	Name      string
	Planner   backend.Planner   // what the kernels want; nil wants nothing
	Reuse     bool              // let values share memory when their lives do not meet
	Lend      string            // a buffer that values may lie in until the program writes it, nobody needing what it held before; "" for none
	Packed    string            // a buffer for what kernels make of weights that stay: the first segment fills it, if it has steps; "" for none
	Precision backend.Precision // of all steps; "" is fp32
	Untold    bool              // no kernel tells sums of what it writes (backend.Tallier): they are the same to the last bit then, whatever is fused
	Cuts      []*graph.Node     // a segment ends after each of these, in the order of the graph
}

// Stats is what the plan knows of the program's cost.
type Stats struct {
	Steps        int
	Arena        int // bytes of the arena
	Values       int // bytes of all arena values, had they not shared memory
	Scratch      int // largest scratch of a step
	FLOPs, Bytes int64
	Halo         int // bytes of all halos
	Barriers     int
	Buffers      map[string]int // bytes reached in every other buffer
}

// value is what the plan decides for one value of the arena.
type value struct {
	op         string // whose kernel makes it
	view       backend.View
	dense      bool // no halo, whatever its readers want
	first      int  // step that makes it
	last       int  // last step that reads it
	bytes      int
	inner      int // bytes from its place in the arena to element 0
	at         int
	scratchFor int // step index + 1 if this is a step's scratch
}

// Compile plans g. Nodes whose results nobody reads are left out.
func Compile(g *graph.Graph, o Options) (*backend.Program, Stats, error) {
	c := &compiler{o: o, fused: map[*graph.Node]fused{}, values: map[*graph.Value]*value{}, parts: map[*graph.Value]part{}, slots: map[string]int{Arena: 0}}
	c.p = &backend.Program{Name: o.Name, Buffers: []backend.Slot{{Name: Arena}}}
	c.live(g)
	r, again := o.Planner.(backend.Recomputer)
	if again = again && o.Reuse; again {
		c.sink()
	}
	c.fuse()
	if o.Reuse {
		c.join()
	}
	if !o.Untold {
		c.tally()
	}
	if again {
		c.recompute(r)
	}
	if err := c.halve(); err != nil {
		return nil, Stats{}, err
	}
	if err := c.layout(); err != nil {
		return nil, Stats{}, err
	}
	c.steps()
	c.place()
	c.bind()
	c.barriers()
	return c.p, c.stats, c.cut()
}

type compiler struct {
	o      Options
	p      *backend.Program
	nodes  []*graph.Node
	fused  map[*graph.Node]fused
	halves map[*graph.Value]bool // values of the arena that are held as halfs
	values map[*graph.Value]*value
	parts  map[*graph.Value]part // values that lie in another one
	order  []*value              // by first use
	slots  map[string]int
	list   []backend.Step
	ins    [][]*graph.Value
	outs   [][]*graph.Value
	stats  Stats
}

// live keeps the nodes that state depends on.
func (c *compiler) live(g *graph.Graph) {
	needed := map[*graph.Node]bool{}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		keep := needed[n]
		for _, v := range n.Out {
			keep = keep || v.Store != nil
		}
		if !keep {
			continue
		}
		needed[n] = true
		for _, v := range n.In {
			if v != nil && v.Producer != nil {
				needed[v.Producer] = true
			}
		}
	}
	for _, n := range g.Nodes {
		if needed[n] {
			c.nodes = append(c.nodes, n)
		}
	}
}

// layout finds the lifetimes of the arena's values and the halos that their readers want.
func (c *compiler) layout() error {
	for i, n := range c.nodes {
		if err := checkState(n); err != nil {
			return err
		}
		own := c.own(n)
		for j, v := range n.In {
			if v == nil || v.Store != nil {
				continue
			}
			a := c.values[c.root(v)]
			if a == nil {
				return fmt.Errorf("plan: %s at %q reads %s before it is made", n.Op.Name, n.Label, v.Name)
			}
			a.last = i
			if p := c.o.Planner; p != nil && len(v.Shape) == 4 && a.view.DType == backend.F32 {
				if j < own {
					a.view.Halo = max(a.view.Halo, p.Halo(n.Op.Name, n.Attrs, j, shapes(n.In[:own])))
					a.dense = a.dense || p.Dense(n.Op.Name)
				}
				a.dense = a.dense || p.Dense(a.op) || v.Shape[1]*v.Shape[2] == 1
			}
		}
		for _, v := range n.Out {
			if v.Store != nil {
				continue
			}
			root := c.root(v)
			if a := c.values[root]; a != nil { // another part of it is there
				a.last = i
				continue
			}
			a := &value{op: n.Op.Name, first: i, last: i, view: backend.View{DType: v.DType, Shape: root.Shape}, dense: root != v}
			if c.halves[v] {
				a.view.DType = backend.F16
			}
			c.values[root] = a
			c.order = append(c.order, a)
		}
	}
	for _, a := range c.order {
		v := &a.view
		if a.dense {
			v.Halo = 0
		}
		v.Strides, a.bytes = v.Shape.Dense(), v.Shape.Elems()*v.DType.Size()
		if h := v.Halo; h > 0 {
			var first int
			v.Strides, first = backend.HaloStrides(v.Shape, h)
			a.inner = first * 4
			dense := a.bytes
			_, a.bytes = v.Span()
			c.stats.Halo += a.bytes - dense
		}
		c.stats.Values += a.bytes
	}
	return nil
}

// bytes is the size of a value as the plan holds it, without a halo.
func (c *compiler) bytes(v *graph.Value) int64 {
	if c.halves[v] {
		return int64(v.Shape.Elems() * backend.F16.Size())
	}
	return int64(v.Bytes())
}

// checkState looks at where a node's state lies: not in the arena, and at a multiple of its element's size.
func checkState(n *graph.Node) error {
	for _, v := range append(n.In[:len(n.In):len(n.In)], n.Out...) {
		if v == nil || v.Store == nil {
			continue
		}
		if s := v.Store; s.Buffer == Arena || s.Offset < 0 || s.Offset%v.DType.Size() != 0 {
			return fmt.Errorf("plan: %s at %q: %s cannot live at byte %d of %q", n.Op.Name, n.Label, v.Name, s.Offset, s.Buffer)
		}
	}
	return nil
}

func shapes(vs []*graph.Value) []backend.Shape {
	s := make([]backend.Shape, len(vs))
	for i, v := range vs {
		if v != nil {
			s[i] = v.Shape
		}
	}
	return s
}

// view is where a value lives; arena offsets are filled in by bind.
func (c *compiler) view(v *graph.Value) backend.View {
	if v == nil {
		return backend.View{Buffer: backend.None}
	}
	if v.Store == nil {
		view := c.values[c.root(v)].view
		view.Shape = v.Shape
		return view
	}
	slot, ok := c.slots[v.Store.Buffer]
	if !ok {
		slot = len(c.p.Buffers)
		c.slots[v.Store.Buffer] = slot
		c.p.Buffers = append(c.p.Buffers, backend.Slot{Name: v.Store.Buffer})
	}
	s := &c.p.Buffers[slot]
	s.Bytes = max(s.Bytes, v.Store.Offset+v.Bytes())
	return backend.View{Buffer: slot, Offset: v.Store.Offset, DType: v.DType, Shape: v.Shape, Strides: v.Shape.Dense()}
}

var absent = backend.View{Buffer: backend.None}

// packed finds room for what a step's kernel can keep of its weights: of inputs that are all state, but for the first. Programs
// that pack must not change them.
func (c *compiler) packed(s *backend.Step, n *graph.Node) backend.View {
	p, ok := c.o.Planner.(backend.Packer)
	if !ok || c.o.Packed == "" {
		return absent
	}
	own := n.In[:c.own(n)]
	if len(own) < 2 {
		return absent
	}
	for _, v := range own[1:] {
		if v != nil && v.Store == nil {
			return absent
		}
	}
	bytes := p.Packed(s)
	if bytes == 0 {
		return absent
	}
	slot, ok := c.slots[c.o.Packed]
	if !ok {
		slot = len(c.p.Buffers)
		c.slots[c.o.Packed] = slot
		c.p.Buffers = append(c.p.Buffers, backend.Slot{Name: c.o.Packed})
	}
	to := &c.p.Buffers[slot]
	at := roundUp(to.Bytes)
	to.Bytes = at + bytes
	return backend.View{Buffer: slot, Offset: at, DType: backend.U8, Shape: backend.Shape{bytes}, Strides: []int{1}}
}

// packs is the segment that fills what the steps keep.
func (c *compiler) packs() {
	var list []backend.Step
	for _, s := range c.list {
		if !s.Packed.Absent() {
			s.In, s.After, s.Pack, s.Barrier = s.In[:len(s.In)-len(s.After)-s.Tallied], nil, true, true // they share scratch memory
			if s.Tallied = 0; s.Tally {
				s.Out, s.Tally = s.Out[:len(s.Out)-1], false
			}
			list = append(list, s)
		}
	}
	if list != nil {
		c.p.Segments = append(c.p.Segments, backend.Segment{Name: c.o.Name + ".pack", Steps: list})
		c.list[0].Barrier = true
	}
}

// steps makes the list of steps and asks for their scratch memory.
func (c *compiler) steps() {
	for i, n := range c.nodes {
		x := c.fused[n]
		s := backend.Step{Op: n.Op.Name, Label: n.Label, Attrs: n.Attrs, Precision: c.o.Precision, After: x.after, Tally: x.tally, Tallied: x.tallied, Scratch: absent, Packed: absent}
		for _, v := range n.In {
			s.In = append(s.In, c.view(v))
			if v != nil {
				s.Bytes += c.bytes(v)
			}
		}
		for _, v := range n.Out {
			s.Out = append(s.Out, c.view(v))
			s.Bytes += c.bytes(v)
		}
		if n.Op.FLOPs != nil {
			s.FLOPs = n.Op.FLOPs(n.Attrs, types(n.In[:c.own(n)]), types(n.Out)) + x.flops
		}
		s.Packed = c.packed(&s, n)
		c.stats.FLOPs += s.FLOPs
		c.stats.Bytes += s.Bytes
		if c.o.Planner != nil {
			if b := c.o.Planner.Scratch(&s); b > 0 {
				a := &value{first: i, last: i, bytes: b, view: backend.View{DType: backend.U8, Shape: backend.Shape{b}, Strides: []int{1}}, scratchFor: i + 1}
				c.order = append(c.order, a)
				c.stats.Scratch = max(c.stats.Scratch, b)
			}
		}
		c.list = append(c.list, s)
		c.ins, c.outs = append(c.ins, n.In), append(c.outs, n.Out)
	}
	c.stats.Steps = len(c.list)
}

// place gives each value of the arena an offset: the largest first, each at the lowest place that is free during its life
// (greedy by size; Pisarchyk & Lee 2020, arXiv 2001.03288).
func (c *compiler) place() {
	chunk := math.MaxInt
	if k, ok := c.o.Planner.(backend.Chunked); ok {
		chunk = k.Chunk()
	}
	sorted := append([]*value(nil), c.order...)
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].bytes > sorted[j].bytes })
	placed, base := c.lend() // by offset
	for _, a := range sorted {
		size := roundUp(a.bytes)
		for _, b := range placed {
			meet := !c.o.Reuse || (a.first <= b.last && b.first <= a.last)
			if !meet {
				continue
			}
			if a.at+size <= b.at {
				break
			}
			if end := b.at + roundUp(b.bytes); end > a.at {
				a.at = end
				if size <= chunk && end%chunk+size > chunk {
					a.at = (end/chunk + 1) * chunk
				}
			}
		}
		i := sort.Search(len(placed), func(i int) bool { return placed[i].at > a.at })
		placed = append(placed, nil)
		copy(placed[i+1:], placed[i:])
		placed[i] = a
		c.stats.Arena = max(c.stats.Arena, a.at+size-base)
	}
	for _, a := range c.order {
		if a.view.Buffer, a.at = 0, a.at-base; a.at < 0 {
			a.view.Buffer, a.at = c.slots[c.o.Lend], a.at+base
		}
	}
	c.p.Buffers[0].Bytes = c.stats.Arena
}

func roundUp(n int) int { return (n + align - 1) / align * align }

// bind writes the arena offsets into the steps.
func (c *compiler) bind() {
	for i := range c.list {
		s := &c.list[i]
		for j, v := range c.ins[i] {
			if a := c.values[c.root(v)]; v != nil && a != nil {
				s.In[j].Buffer, s.In[j].Offset = a.view.Buffer, a.at+a.inner+4*c.parts[v].from
			}
		}
		for j, v := range c.outs[i] {
			if a := c.values[c.root(v)]; a != nil {
				s.Out[j].Buffer, s.Out[j].Offset = a.view.Buffer, a.at+a.inner+4*c.parts[v].from
			}
		}
	}
	for _, a := range c.order {
		if a.scratchFor > 0 {
			a.view.Offset = a.at
			c.list[a.scratchFor-1].Scratch = a.view
		}
	}
	c.stats.Buffers = map[string]int{}
	for _, s := range c.p.Buffers[1:] {
		c.stats.Buffers[s.Name] = s.Bytes
	}
}

// cut makes the segments. Between two of them the host acts, so the first step of each waits for all before it.
func (c *compiler) cut() error {
	c.packs()
	from, cuts := 0, c.o.Cuts
	end := func(to int) {
		name := c.o.Name
		if len(c.o.Cuts) > 0 {
			name = fmt.Sprintf("%s.%d", name, len(c.p.Segments))
		}
		c.p.Segments = append(c.p.Segments, backend.Segment{Name: name, Steps: c.list[from:to:to]})
		from = to
	}
	for i, n := range c.nodes {
		if len(cuts) > 0 && n == cuts[0] && i+1 < len(c.nodes) {
			cuts = cuts[1:]
			end(i + 1)
			if s := &c.list[from]; !s.Barrier {
				s.Barrier = true
				c.stats.Barriers++
			}
		}
	}
	if len(cuts) > 0 {
		return fmt.Errorf("plan: %s cannot be cut after %s at %q: it is no node of the program in that order with others behind it", c.o.Name, cuts[0].Op.Name, cuts[0].Label)
	}
	end(len(c.list))
	return nil
}
