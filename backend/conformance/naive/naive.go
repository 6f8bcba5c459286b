// Package naive is a backend that runs each op's float64 reference: slow, obvious, and therefore what the conformance suite
// and the planner are themselves tested with. It is not meant for use: tests make it break its promises on purpose.
package naive

import (
	"context"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// Backend runs programs on plain bytes. The zero value is correct; the fields make it dirty, disorderly or wrong.
type Backend struct {
	Ops     []*graph.Op // what it knows; nil is every registered op
	Scratch int         // bytes that each step asks for through Planner, and fills with rubbish

	// Order, if set, may reorder the steps between two barriers, which a device is free to do.
	Order func(batch []*backend.Step)
	// KeepHalos leaves the halos of outputs unwritten.
	KeepHalos bool
	// IgnoreStrides reads inputs as if they were dense.
	IgnoreStrides bool
	// After, if set, runs after each step, on the memory of every buffer.
	After func(mem [][]byte, s *backend.Step)
}

// Info names the backend.
func (b *Backend) Info() backend.Info {
	return backend.Info{Backend: "naive", Device: "float64 references", Formats: []string{"fp32"}, Precisions: []backend.Precision{backend.FP32}}
}

// Close does nothing.
func (b *Backend) Close() error { return nil }

// NewBuffer makes a zeroed buffer.
func (b *Backend) NewBuffer(bytes int) (backend.Buffer, error) {
	return &buffer{make([]byte, bytes)}, nil
}

type buffer struct{ data []byte }

func (b *buffer) Size() int    { return len(b.data) }
func (b *buffer) Close() error { return nil }

func (b *buffer) Write(offset int, p []byte) error {
	if offset < 0 || offset+len(p) > len(b.data) {
		return fmt.Errorf("naive: write of %d bytes at %d of %d", len(p), offset, len(b.data))
	}
	copy(b.data[offset:], p)
	return nil
}

func (b *buffer) Read(offset int, p []byte) error {
	if offset < 0 || offset+len(p) > len(b.data) {
		return fmt.Errorf("naive: read of %d bytes at %d of %d", len(p), offset, len(b.data))
	}
	copy(p, b.data[offset:])
	return nil
}

// Planner is what the planner is given when halos and scratch memory should be exercised; the Backend itself wants neither.
type Planner struct{ *Backend }

var _ interface {
	backend.Backend
	backend.Planner
} = Planner{}

// Halo wants as many zeros as the convolution's taps reach beyond the image.
func (p Planner) Halo(op string, attrs any, i int, _ []backend.Shape) int {
	a, ok := attrs.(backend.Conv)
	if !ok || i != 0 {
		return 0
	}
	if op == "conv2d_data" {
		return max(a.KH-1-a.Top, a.KW-1-a.Left, 0)
	}
	return max(a.Top, a.Left, a.Bottom, a.Right)
}

// Dense pretends that attention cannot handle a halo.
func (p Planner) Dense(op string) bool { return op == "attention" || op == "attention_grad" }

// Teller is a Planner that tells of every image that is made, and has its norms, sums and some others look at nothing else: what it tells is all of the
// image.
type Teller struct{ Planner }

var _ backend.Tallier = Teller{}

// Tally implements backend.Tallier.
func (Teller) Tally(s *backend.Step) backend.Shape {
	y := s.Out[0]
	if y.DType != backend.F32 || len(y.Shape) != 4 {
		return nil
	}
	return backend.Shape{y.Shape[0], y.Shape[1] * y.Shape[2], y.Shape[3]}
}

// TakesTally implements backend.Tallier.
func (Teller) TakesTally(op string) bool {
	return op == "group_norm" || op == "sum_rows" || op == "sum_space" || op == "silu" || op == "channels"
}

// Scratch implements backend.Planner.
func (p Planner) Scratch(*backend.Step) int { return p.Backend.Scratch }

// Compile looks up the ops.
func (b *Backend) Compile(p *backend.Program) (backend.Executable, error) {
	known := b.Ops
	if known == nil {
		known = graph.Ops()
	}
	e := &executable{b: b, ops: map[string]*graph.Op{}}
	for _, o := range known {
		e.ops[o.Name] = o
	}
	for _, s := range p.Buffers {
		buf, ok := s.Buffer.(*buffer)
		if !ok {
			return nil, fmt.Errorf("naive: program %s: buffer %q is not bound", p.Name, s.Name)
		}
		e.mem = append(e.mem, buf.data)
	}
	var err error
	p.Steps(func(s *backend.Step) {
		if e.ops[s.Op] == nil && err == nil {
			err = fmt.Errorf("naive: op %q at %q: %w", s.Op, s.Label, backend.ErrUnsupported)
		}
		if s.Barrier || len(e.batches) == 0 {
			e.batches = append(e.batches, nil)
		}
		last := len(e.batches) - 1
		e.batches[last] = append(e.batches[last], s)
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

type executable struct {
	b       *Backend
	ops     map[string]*graph.Op
	mem     [][]byte
	batches [][]*backend.Step // between barriers
}

func (e *executable) Timings() []backend.Timing { return nil }
func (e *executable) Close() error              { return nil }

// Run replays the program.
func (e *executable) Run(ctx context.Context, times int) error {
	for range times {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, batch := range e.batches {
			steps := append([]*backend.Step(nil), batch...)
			if e.b.Order != nil {
				e.b.Order(steps)
			}
			for _, s := range steps {
				e.step(s)
			}
		}
	}
	return nil
}

// step runs one reference on copies of its inputs. Scratch memory is fouled before and after, so that one which overlaps an
// input or an output shows.
func (e *executable) step(s *backend.Step) {
	op := e.ops[s.Op]
	e.foul(s.Scratch)
	in, out := make([]*graph.Tensor, len(s.In)), make([]*graph.Tensor, len(s.Out))
	for i, v := range s.In {
		if !v.Absent() {
			in[i] = e.load(v)
		}
	}
	if v := s.In[0]; v.Halo > 0 && (Planner{}).Halo(s.Op, s.Attrs, 0, nil) > 0 {
		in[0].Data[0] += e.haloSum(v) // a convolution's taps reach there
	}
	for i, v := range s.Out {
		out[i] = graph.NewTensor(graph.Type{DType: v.DType, Shape: v.Shape})
	}
	ins, outs := in[:len(in)-s.Tallied], out
	if s.Tallied > 0 {
		in[0] = told(in[0], in[len(ins):])
	}
	if s.Tally {
		outs = out[:len(out)-1]
	}
	op.Ref(s.Attrs, ins, outs)
	if op.Again != nil {
		again(op, s.Attrs, ins, outs)
	}
	if s.Tally {
		copy(out[len(outs)].Data, out[0].Data)
	}
	for i, v := range s.Out {
		e.store(v, out[i])
	}
	e.foul(s.Scratch)
	if e.b.After != nil {
		e.b.After(e.mem, s)
	}
}

// told is an image like x made of its tallies, which are of parts of its channels.
func told(x *graph.Tensor, tallies []*graph.Tensor) *graph.Tensor {
	y, C, from := graph.NewTensor(x.Type), x.Shape[3], 0
	for _, t := range tallies {
		c := t.Shape[2]
		for i, v := range t.Data {
			y.Data[i/c*C+from+i%c] = v
		}
		from += c
	}
	return y
}

// again makes the first output from the others as they are stored, so that it is the same to the last bit where it is made again.
func again(op *graph.Op, attrs any, in, out []*graph.Tensor) {
	n, of := &graph.Node{Op: op, Attrs: attrs}, map[*graph.Value]*graph.Tensor{}
	values := func(ts []*graph.Tensor) (vs []*graph.Value) {
		for _, t := range ts {
			v := &graph.Value{Type: t.Type}
			vs, of[v] = append(vs, v), t
		}
		return vs
	}
	n.In, n.Out = values(in), values(out)
	for _, t := range out[1:] {
		for i, f := range t.Data {
			t.Data[i] = float64(float32(f))
		}
	}
	op, from := op.Again(n)
	in = nil
	for _, v := range from {
		in = append(in, of[v])
	}
	clear(out[0].Data)
	op.Ref(attrs, in, out[:1])
}
