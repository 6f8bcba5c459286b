package conformance

import (
	"context"
	"fmt"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// A variant is one way for an op's inputs and outputs to lie in memory.
type variant struct {
	name  string
	reuse bool // values of the arena share memory
	arena bool // float inputs and outputs pass through the arena, images with the halo that a convolution wants; else all are state
	half  bool // float inputs and outputs that the backend can hold as halfs are halfs
	apart bool // images that the backend takes with pixels that lie apart are parts of joined channels
	skew  int  // bytes that state is moved from a 64-byte boundary, as a flat buffer of parameters does
}

var variants = []variant{
	{name: "state"},
	{name: "state, packed", reuse: true, skew: 4},
	{name: "arena", arena: true},
	{name: "arena, shared", reuse: true, arena: true, skew: 4},
	{name: "arena, joined", reuse: true, arena: true, apart: true},
	{name: halfVariant, reuse: true, arena: true, half: true},
}

// halfVariant is the name of the variant in halfs, for backends that have them.
const halfVariant = "arena, halfs"

// Halfs keep 11 bits, and below 2^-14 multiples of 2^-24.
const halfRounding, leastHalf = 1. / 2048, 1. / (1 << 25)

// A probe is a place in memory that is compared after a run.
type probe struct {
	what       string
	mem        *memory
	at         int
	want       *graph.Tensor
	own        bool // an output of the op, as it is
	tol, scale float64
}

// setup is a graph around one op, and the memory it works on.
type setup struct {
	v       variant
	p       *problem
	g       *graph.Graph
	in, out *memory
	probes  []probe
	more    float64 // tolerance, for the output at hand
	replace bool    // the op updates its inputs in place
	apart   []int   // inputs whose pixels lie apart
}

// The buffers of a setup.
const (
	inBuffer  = "in"
	outBuffer = "out"
)

// build makes the graph: state inputs, perhaps copied into the arena, the op, and its outputs where they can be read.
func (v variant) build(b backend.Backend, p *problem) (*setup, error) {
	s := &setup{v: v, p: p, in: &memory{skew: v.skew}, out: &memory{skew: v.skew}}
	if v.apart {
		s.apart = apart(b, p)
	}
	var err error
	s.g, err = graph.Build(func(g *graph.Graph) {
		s.g = g
		in := make([]*graph.Value, len(p.in))
		at := make([]int, len(p.in))
		var later []func() // reads the inputs again once the op has run: it must have left them alone
		for i, t := range p.in {
			if t == nil {
				continue
			}
			at[i] = s.in.place(encode(t))
			in[i] = graph.State(inBuffer, at[i], t.Type, fmt.Sprintf("in%d", i))
			_, updated := p.updated(i)
			if slices.Contains(s.apart, i) {
				part, joined := s.join(in[i])
				in[i] = part
				later = append(later, func() {
					s.keep(fmt.Sprintf("input %d among joined channels after the op", i), s.pick(joined, t.Shape[3]), t, 0)
				})
			} else if v.arena && !updated && t.DType == backend.F32 {
				in[i] = g.Scale(in[i], 1, 0)
				later = append(later, func() {
					s.copyOut(fmt.Sprintf("input %d after the op", i), in[i], t, 0, p.image("in", i, t.Type))
				})
			}
		}
		out := g.Apply(p.op, p.attrs, in...)
		for i, y := range out {
			what, w := fmt.Sprintf("output %d", i), p.want[i]
			if s.more = 0; v.arena && p.rounded != nil {
				s.more = p.rounded[i]
			}
			if j, ok := p.op.InPlace[i]; ok {
				s.replace = true
				s.in.release(at[j], w.Bytes())
				s.probe(what, s.in, at[j], w, p.tol)
			} else if v.arena && w.DType == backend.F32 {
				s.copyOut(what, y, w, p.tol, p.image("out", i, w.Type))
			} else {
				s.keep(what, y, w, p.tol)
			}
		}
		s.more = 0
		for _, f := range later {
			f()
		}
	})
	return s, err
}

// keep makes y live where it can be read, and compares it.
func (s *setup) keep(what string, y *graph.Value, want *graph.Tensor, tol float64) {
	at := s.out.reserve(want.Bytes())
	graph.Keep(y, outBuffer, at)
	s.probe(what, s.out, at, want, tol)
}

func (s *setup) probe(what string, m *memory, at int, want *graph.Tensor, tol float64) {
	s.probes = append(s.probes, probe{what, m, at, want, tol == s.p.tol, tol + s.more, scale(want)})
}

// copyOut compares a value that stays in the arena: through a copy, and, for an image, through a convolution, which gives it
// a halo where the backend likes one and sees what lies there.
func (s *setup) copyOut(what string, y *graph.Value, want *graph.Tensor, tol float64, image bool) {
	if s.keep(what, s.g.Scale(y, 1, 0), want, tol); !image {
		return
	}
	c := want.Shape[3]
	k := graph.NewTensor(graph.F32(1, 3, 3, c))
	for i := range k.Data {
		k.Data[i] = round(backend.F32, 1/float64(len(k.Data)))
	}
	w := graph.State(inBuffer, s.in.place(encode(k)), k.Type, "mean")
	s.keep(what+" as a convolution sees it", s.g.Conv2D(y, w, nil, 1, [4]int{1, 1, 1, 1}), mean3x3(want, k.Data[0]), tol+defaultTol+s.p.slack)
	s.probes[len(s.probes)-1].scale = scale(want)
}

// mean3x3 is k times the sum of each pixel's neighbourhood over all channels: the convolution with a constant kernel.
func mean3x3(x *graph.Tensor, k float64) *graph.Tensor {
	n, h, w, c := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	y := graph.NewTensor(graph.F32(n, h, w, 1))
	for i, v := range x.Data {
		b, r, q := i/c/w/h, i/c/w%h, i/c%w
		for dr := max(r-1, 0); dr <= min(r+1, h-1); dr++ {
			for dq := max(q-1, 0); dq <= min(q+1, w-1); dq++ {
				y.Data[(b*h+dr)*w+dq] += k * v
			}
		}
	}
	return y
}

// check runs a problem in one variant.
func (v variant) check(ctx context.Context, b backend.Backend, p *problem) (diff float64, err error) {
	s, err := v.build(b, p)
	if err != nil {
		return 0, err
	}
	return s.run(ctx, b)
}
