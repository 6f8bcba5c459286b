package graph

import (
	"fmt"
	"sort"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// An Op is everything the project knows of one operation, but for its kernels.
type Op struct {
	Name string
	// Infer gives the outputs' types, or says what is wrong with the inputs.
	Infer func(attrs any, in []Type) ([]Type, error)
	// VJP returns the gradient of each input (nil: none), given those of the outputs (nil: none reached it). A nil VJP
	// means that the op has no gradient; it stops there.
	VJP func(c *Cotangent) []*Value
	// Ref computes the outputs in float64, naively. The outputs are new and zero, even where the op updates state in place.
	Ref func(attrs any, in, out []*Tensor)
	// Again is how a node's first output can be made anew from its inputs and its other outputs, where that takes less than the op
	// itself: an op with the same attributes and one output. A backend that makes values again (backend.Recomputer) makes the same to
	// the last bit; the references differ by what float32 keeps of the other outputs. Nil is the op itself.
	Again func(n *Node) (*Op, []*Value)
	// FLOPs is the work of one call; nil is zero.
	FLOPs func(attrs any, in, out []Type) int64
	// InPlace maps an output to the input whose storage it updates.
	InPlace map[int]int
	// Cases are what the conformance suite runs.
	Cases []Case
}

func (o *Op) updates(out int) (in int, ok bool) {
	in, ok = o.InPlace[out]
	return
}

var registry = map[string]*Op{}

func register(o *Op) *Op {
	if registry[o.Name] != nil {
		panic("graph: op " + o.Name + " registered twice")
	}
	registry[o.Name] = o
	return o
}

// Ops are all operations by name.
func Ops() []*Op {
	var ops []*Op
	for _, o := range registry {
		ops = append(ops, o)
	}
	sort.Slice(ops, func(i, j int) bool { return ops[i].Name < ops[j].Name })
	return ops
}

// A Tensor is a dense value in float64, for references. Integers are held exactly.
type Tensor struct {
	Type
	Data []float64
}

// NewTensor is a zero tensor.
func NewTensor(t Type) *Tensor { return &Tensor{t, make([]float64, t.Shape.Elems())} }

// at4 is the index of [n,h,w,c].
func (t *Tensor) at4(n, h, w, c int) int {
	s := t.Shape
	return ((n*s[1]+h)*s[2]+w)*s[3] + c
}

// A Case is one problem for the conformance suite.
type Case struct {
	Name  string
	Attrs any
	In    []Input // a nil Fill leaves an optional input out
	Tol   float64 // largest |backend - reference| / largest |reference| of an output; 0 means 1e-5
	// Grad lists the inputs whose VJP is checked against finite differences of the reference; the outputs in NoGrad get no cotangent.
	Grad   []int
	NoGrad []int
}

// An Input is how a case fills one input. Fill gets a source of standard normals and one of uniform integers.
type Input struct {
	Type Type
	Fill Fill
}

// A Fill writes values that float32 holds exactly.
type Fill func(r Rand, dst []float64)

// Rand is what *math/rand/v2.Rand offers.
type Rand interface {
	NormFloat64() float64
	Float64() float64
	IntN(n int) int
}

func normal(scale, mean float64) Fill {
	return func(r Rand, dst []float64) {
		for i := range dst {
			dst[i] = float64(float32(mean + scale*r.NormFloat64()))
		}
	}
}

func uniform(lo, hi float64) Fill {
	return func(r Rand, dst []float64) {
		for i := range dst {
			dst[i] = float64(float32(lo + (hi-lo)*r.Float64()))
		}
	}
}

func integers(limit int) Fill {
	return func(r Rand, dst []float64) {
		for i := range dst {
			dst[i] = float64(r.IntN(limit))
		}
	}
}

func exactly(v ...float64) Fill {
	return func(_ Rand, dst []float64) {
		copy(dst, v)
	}
}

// x is a float32 input of standard normals.
func x(shape ...int) Input { return Input{F32(shape...), normal(1, 0)} }

// none leaves an optional input out.
var none = Input{}

// want reports an error unless the inputs are float32 with so many axes each: 0 is any number, -n is n or left out.
func want(in []Type, ranks ...int) error {
	if len(in) != len(ranks) {
		return fmt.Errorf("wants %d inputs, got %d", len(ranks), len(in))
	}
	for i, r := range ranks {
		if in[i].Shape == nil {
			if r < 0 {
				continue
			}
			return fmt.Errorf("input %d is left out", i)
		}
		r = max(r, -r)
		if in[i].DType != backend.F32 {
			return fmt.Errorf("input %d is %v, wants f32", i, in[i])
		}
		if r > 0 && len(in[i].Shape) != r {
			return fmt.Errorf("input %d is %v, wants %d axes", i, in[i], r)
		}
	}
	return nil
}

// elementwise are the FLOPs of k operations an element of the first output.
func elementwise(k int64) func(any, []Type, []Type) int64 {
	return func(_ any, _, out []Type) int64 { return k * int64(out[0].Shape.Elems()) }
}
