// Package graph describes a computation as a static graph of operations.
//
// An operation is one value: name, shape inference, gradient (more graph), float64 reference, cost and test cases, one
// file an op. State (parameters, counters) is read and written in the order in which nodes are made. That is what a graph
// means; a plan of it (backend/plan) may move nodes, repeat some or leave some out, as long as the state is the same after it.
package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Shape is backend.Shape.
type Shape = backend.Shape

// A Type is what is known of a value before it is computed.
type Type struct {
	DType backend.DType
	Shape Shape
}

func (t Type) String() string { return t.DType.String() + "[" + t.Shape.String() + "]" }

// Bytes is the size of a dense value.
func (t Type) Bytes() int { return t.Shape.Elems() * t.DType.Size() }

// F32 is the type of float32 values.
func F32(shape ...int) Type { return Type{backend.F32, shape} }

// U32 is the type of uint32 values.
func U32(shape ...int) Type { return Type{backend.U32, shape} }

// U8 is the type of bytes.
func U8(shape ...int) Type { return Type{backend.U8, shape} }

// A Value is a tensor of the graph.
type Value struct {
	Type
	Name     string
	Producer *Node // nil for state
	Index    int   // which of the producer's outputs
	Store    *Storage
}

// Storage is a place in a named buffer that outlives the program: parameters, the image set, what the host reads.
type Storage struct {
	Buffer string
	Offset int // bytes
}

// A Node is one use of an op.
type Node struct {
	Op    *Op
	Attrs any
	In    []*Value // nil where an optional input is left out
	Out   []*Value
	Label string
}

// A Graph is a list of nodes in the order they run.
type Graph struct {
	Nodes []*Node
	scope string
}

// An Error is what building a graph panics with; Build turns it into an ordinary error.
type Error struct{ msg string }

func (e *Error) Error() string { return e.msg }

// Fail stops the building of a graph with an error.
func Fail(format string, a ...any) { panic(&Error{fmt.Sprintf(format, a...)}) }

// Build runs f on a new graph. Wrong shapes inside f come back as an error that names the op and where it stands.
func Build(f func(g *Graph)) (g *Graph, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	g = &Graph{}
	f(g)
	return g, nil
}

// State is a value in a named buffer, read and written in the order of the nodes.
func State(buffer string, offset int, t Type, name string) *Value {
	return &Value{Type: t, Name: name, Store: &Storage{buffer, offset}}
}

// Keep makes v live in a named buffer instead of the arena, so that it outlives the program.
func Keep(v *Value, buffer string, offset int) *Value {
	if v.Store != nil {
		Fail("graph: %s already lives in %s", v.Name, v.Store.Buffer)
	}
	v.Store = &Storage{buffer, offset}
	return v
}

// Scope labels the nodes made inside f.
func (g *Graph) Scope(name string, f func()) {
	old := g.scope
	if old != "" {
		name = old + "." + name
	}
	g.scope = name
	f()
	g.scope = old
}

// Label is the current scope.
func (g *Graph) Label() string { return g.scope }

// Apply adds a node and returns its outputs.
func (g *Graph) Apply(op *Op, attrs any, in ...*Value) []*Value {
	types := make([]Type, len(in))
	for i, v := range in {
		if v != nil {
			types[i] = v.Type
		}
	}
	out, err := op.Infer(attrs, types)
	if err != nil {
		Fail("graph: %s at %q: %v (inputs %v)", op.Name, g.scope, err, types)
	}
	n := &Node{Op: op, Attrs: attrs, In: in, Label: g.scope}
	for i, t := range out {
		v := &Value{Type: t, Name: fmt.Sprintf("%s/%s.%d", g.scope, op.Name, len(g.Nodes)), Producer: n, Index: i}
		if j, ok := op.updates(i); ok {
			v.Store = in[j].Store
			if v.Store == nil {
				Fail("graph: %s at %q updates input %d in place, which is no state", op.Name, g.scope, j)
			}
		}
		n.Out = append(n.Out, v)
	}
	g.Nodes = append(g.Nodes, n)
	return n.Out
}

// one is Apply for an op with one output.
func (g *Graph) one(op *Op, attrs any, in ...*Value) *Value { return g.Apply(op, attrs, in...)[0] }
