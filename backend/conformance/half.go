package conformance

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// halver is what a backend is that holds values as halfs; nil if it is none, or cannot here.
func halver(b backend.Backend) backend.Halver {
	if h, ok := b.(backend.Halver); ok && b.Info().Has(backend.FP16) && h.Halves() == nil {
		return h
	}
	return nil
}

// eager is a backend's planner, but copies make halfs of floats, so that there are some to test with.
type eager struct {
	backend.Planner
	backend.Halver
	chunk int
}

func eagerly(b backend.Backend) eager {
	e := eager{b.(backend.Planner), b.(backend.Halver), math.MaxInt}
	if c, ok := b.(backend.Chunked); ok {
		e.chunk = c.Chunk()
	}
	return e
}

func (e eager) Chunk() int { return e.chunk }

func (e eager) HalfOutput(op string, i int, in []bool) bool {
	return op == "scale" || e.Halver.HalfOutput(op, i, in)
}

// halved is the case with those inputs rounded to halfs that may be halfs.
func halved(h backend.Halver, op *graph.Op, c graph.Case) graph.Case {
	in := make([]graph.Input, len(c.In))
	for i, input := range c.In {
		in[i] = input
		if input.Fill == nil || input.Type.DType != backend.F32 || !h.HalfInput(op.Name, i) {
			continue
		}
		in[i].Fill = func(r graph.Rand, dst []float64) {
			input.Fill(r, dst)
			for k, v := range dst {
				dst[k] = float64(backend.FromHalf(backend.ToHalf(float32(v))))
			}
		}
	}
	c.In = in
	return c
}

// takesHalfs says whether any input of a case may be halfs.
func takesHalfs(h backend.Halver, op string, c graph.Case) bool {
	for i, in := range c.In {
		if in.Fill != nil && in.Type.DType == backend.F32 && h.HalfInput(op, i) {
			return true
		}
	}
	return false
}

// halfTol is what is added to the tolerance of each output that is halfs.
func (p *problem) halfTol(h backend.Halver) {
	in := make([]bool, len(p.in))
	for i := range in {
		in[i] = h.HalfInput(p.op.Name, i)
	}
	p.rounded = make([]float64, len(p.want))
	for i, w := range p.want {
		if h.HalfOutput(p.op.Name, i, in) {
			p.rounded[i] = halfRounding + leastHalf/scale(w)
		}
	}
}
