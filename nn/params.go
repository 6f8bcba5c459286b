package nn

import (
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// ParamsBuffer is the name of the flat buffer that holds the parameters.
const ParamsBuffer = "params"

// Align is the floats that each parameter's offset is a multiple of: a cache line, and an AVX-512 register.
const Align = 16

// A Kind says how a parameter is laid out and what it is at the start.
type Kind uint8

// The kinds of parameters: shape inside, shape in a file.
const (
	ConvWeight   Kind = iota // [O,KH,KW,I], OIHW
	LinearWeight             // [O,1,1,I], [O,I]
	Bias                     // [O]
	NormWeight               // [C]
	NormBias                 // [C]
	Embedding                // [R,C]
	Frequencies              // [C], drawn once and never trained
)

// A Param is one tensor that training changes.
type Param struct {
	Name      string // diffusers' own
	Kind      Kind
	Shape     graph.Shape // of the graph's value, channels last
	FileShape []int       // channels first
	FanIn     int         // inputs that one output is made of, for the initial values of weights and biases
	Offset    int         // floats from the start of the flat buffer; known once Params is finished
	Value     *graph.Value
}

// Params are the parameters of a model, asked for by name while graphs are built and laid out in one flat buffer of
// float32. The first graph decides what there is; Finish fixes the layout; later graphs (another batch, sampling) share
// the values. The padding between parameters is zero and stays zero: its gradient is never written.
type Params struct {
	list     []*Param // as created, which is the order of the forward pass
	byName   map[string]*Param
	finished bool
	elems    int
}

// NewParams returns an empty, unfinished set.
func NewParams() *Params { return &Params{byName: map[string]*Param{}} }

// get returns the parameter of that name, created at its first use. Wrong uses stop the building of the graph.
func (p *Params) get(name string, kind Kind, shape graph.Shape, fanIn int) *graph.Value {
	if q := p.byName[name]; q != nil {
		if q.Kind != kind || !q.Shape.Equal(shape) {
			graph.Fail("nn: parameter %s is [%v], this graph wants [%v]", name, q.Shape, shape)
		}
		return q.Value
	}
	if p.finished {
		graph.Fail("nn: the model has no parameter %s", name)
	}
	q := &Param{Name: name, Kind: kind, Shape: shape, FileShape: fileShape(kind, shape), FanIn: fanIn}
	q.Value = graph.State(ParamsBuffer, 0, graph.F32(shape...), name)
	p.list, p.byName[name] = append(p.list, q), q
	return q.Value
}

// Finish lays the parameters out: in reverse order of creation, which is about the order in which the backward pass
// finishes their gradients, so that whoever sums gradients over machines can start with the front of the buffer.
func (p *Params) Finish() {
	if p.finished {
		return
	}
	p.finished = true
	for _, q := range slices.Backward(p.list) {
		q.Offset = p.elems
		q.Value.Store.Offset = 4 * q.Offset
		p.elems += (q.Shape.Elems() + Align - 1) / Align * Align
	}
}

// List returns the parameters in the order of the flat buffer.
func (p *Params) List() []Param {
	list := make([]Param, 0, len(p.list))
	for _, q := range slices.Backward(p.list) {
		list = append(list, *q)
	}
	return list
}

// Values returns the graph's values in the order of List, for graph.Grad.
func (p *Params) Values() []*graph.Value {
	var values []*graph.Value
	for _, q := range slices.Backward(p.list) {
		values = append(values, q.Value)
	}
	return values
}

// ByName returns the parameter of that name.
func (p *Params) ByName(name string) (Param, bool) {
	if q := p.byName[name]; q != nil {
		return *q, true
	}
	return Param{}, false
}

// Elems is the length of the flat buffer in floats, padding included; a multiple of Align.
func (p *Params) Elems() int { return p.elems }

// Count is the number of real parameters.
func (p *Params) Count() int {
	n := 0
	for _, q := range p.list {
		n += q.Shape.Elems()
	}
	return n
}

// sorted returns the parameters in the order of their names.
func (p *Params) sorted() []*Param {
	list := slices.Clone(p.list)
	slices.SortFunc(list, func(a, b *Param) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Bind makes each of values (in the order of List) live in the flat buffer of that name, laid out like the parameters:
// gradients, mostly. It returns the whole buffer as one value [Elems].
func (p *Params) Bind(values []*graph.Value, buffer string) *graph.Value {
	for i, q := range p.List() {
		graph.Keep(values[i], buffer, 4*q.Offset)
	}
	return p.Flat(buffer)
}

// Flat is the flat buffer of that name as one value [Elems].
func (p *Params) Flat(buffer string) *graph.Value {
	if !p.finished {
		graph.Fail("nn: the layout of %s is not known before Params.Finish", buffer)
	}
	return graph.State(buffer, 0, graph.F32(p.elems), buffer)
}
