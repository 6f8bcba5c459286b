package cpu_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// A conv is a convolution: images, extent, channels in and out, and the rest.
type conv struct {
	n, h, w, in, out    int
	k, stride           int
	top, left, bot, rig int
	rounds              bool // the inputs are bf16 numbers
}

// conv3x3 has stride 1 and keeps the extent.
func conv3x3(n, h, w, in, out int) conv { return conv{n, h, w, in, out, 3, 1, 1, 1, 1, 1, false} }

func (c conv) String() string {
	s := fmt.Sprintf("%dx%d@%dx%d batch %d", c.in, c.out, c.h, c.w, c.n)
	if o := conv3x3(c.n, c.h, c.w, c.in, c.out); c.attrs() != o.attrs() {
		s += fmt.Sprintf(" kernel %d stride %d zeros %d %d %d %d", c.k, c.stride, c.top, c.left, c.bot, c.rig)
	}
	return s
}

func (c conv) attrs() backend.Conv {
	return backend.Conv{KH: c.k, KW: c.k, Stride: c.stride, Top: c.top, Left: c.left, Bottom: c.bot, Right: c.rig, H: c.h, W: c.w}
}

// types are the inputs of op.
func (c conv) types(op string) []graph.Type {
	oh, ow := (c.h+c.top+c.bot-c.k)/c.stride+1, (c.w+c.left+c.rig-c.k)/c.stride+1
	x, dy, w := graph.F32(c.n, c.h, c.w, c.in), graph.F32(c.n, oh, ow, c.out), graph.F32(c.out, c.k, c.k, c.in)
	switch op {
	case "conv2d":
		return []graph.Type{x, w, graph.F32(c.out)}
	case "conv2d_data":
		return []graph.Type{dy, w}
	}
	return []graph.Type{x, dy}
}

// operation finds an op by its name.
func operation(name string) *graph.Op {
	for _, op := range graph.Ops() {
		if op.Name == name {
			return op
		}
	}
	panic(name)
}

// inputs are normal, the kernel scaled to keep their size.
func (c conv) inputs(op string) [][]float32 {
	var in [][]float32
	for i, t := range c.types(op) {
		v := make([]float32, t.Shape.Elems())
		rng.Normals(v, 1, rng.StreamSample, uint32(i), 0)
		if i == 1 && op != "conv2d_weight" {
			for j := range v {
				v[j] /= float32(math.Sqrt(float64(c.k * c.k * c.in)))
			}
		}
		if c.rounds {
			for j := range v {
				v[j] = simd.FromBF16(simd.ToBF16(v[j]))
			}
		}
		in = append(in, v)
	}
	return in
}

// program compiles op between arena values, as a network's are, so that the planner may give them halos.
func (c conv) program(tb testing.TB, b *cpu.Backend, op string, precision backend.Precision) (e backend.Executable, out backend.Buffer) {
	tb.Helper()
	var at []int
	size := 0
	for _, t := range c.types(op) {
		at = append(at, size)
		size += (t.Bytes() + 63) &^ 63
	}
	g, err := graph.Build(func(g *graph.Graph) {
		var in []*graph.Value
		for i, t := range c.types(op) {
			v := graph.State("in", at[i], t, "")
			if t.Shape[0] == c.n && len(t.Shape) == 4 {
				v = g.Scale(v, 1, 0)
			}
			in = append(in, v)
		}
		graph.Keep(g.Apply(operation(op), c.attrs(), in...)[0], "out", 0)
	})
	if err != nil {
		tb.Fatal(err)
	}
	p, _, err := plan.Compile(g, plan.Options{Name: op, Planner: b, Reuse: true, Precision: precision})
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range p.Buffers {
		buf, err := b.NewBuffer(s.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		if err := p.Bind(s.Name, buf); err != nil {
			tb.Fatal(err)
		}
		switch s.Name {
		case "in":
			for i, v := range c.inputs(op) {
				raw := make([]byte, 0, 4*len(v))
				for _, f := range v {
					raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
				}
				if err := buf.Write(at[i], raw); err != nil {
					tb.Fatal(err)
				}
			}
		case "out":
			out = buf
		case plan.Arena:
			if err := buf.Write(0, bytes.Repeat([]byte{0xFF}, s.Bytes)); err != nil { // NaNs
				tb.Fatal(err)
			}
		}
	}
	if e, err = b.Compile(p); err != nil {
		tb.Fatal(err)
	}
	return e, out
}

// result runs op once, in bf16 if the options say with what.
func (c conv) result(t *testing.T, o cpu.Options, op string) []byte {
	t.Helper()
	b, err := cpu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	precision := backend.FP32
	if o.Dot != "" {
		precision = backend.BF16
	}
	e, out := c.program(t, b, op, precision)
	if err := e.Run(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, out.Size())
	if err := out.Read(0, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// reference is op in float64.
func (c conv) reference(op string) []float64 {
	var in []*graph.Tensor
	for i, t := range c.types(op) {
		x := graph.NewTensor(t)
		for j, v := range c.inputs(op)[i] {
			x.Data[j] = float64(v)
		}
		in = append(in, x)
	}
	types, err := operation(op).Infer(c.attrs(), c.types(op))
	if err != nil {
		panic(err)
	}
	y := graph.NewTensor(types[0])
	operation(op).Ref(c.attrs(), in, []*graph.Tensor{y})
	return y.Data
}

// rms is the relative error of a result.
func rms(got []byte, want []float64) float64 {
	var off, all float64
	for i, w := range want {
		d := float64(math.Float32frombits(binary.LittleEndian.Uint32(got[4*i:]))) - w
		off, all = off+d*d, all+w*w
	}
	return math.Sqrt(off / all)
}

// TestWinograd: Winograd's form is taken where it should be, is as exact as it should be, and does not depend on the workers.
func TestWinograd(t *testing.T) {
	t.Setenv(cpu.ExactEnv, "")
	for _, c := range []struct {
		conv
		fast string // those of the convolution, its data and its weight gradient that take Winograd's form
	}{
		{conv3x3(3, 8, 12, 32, 48), "cdw"},  // tiles of one image among those of another
		{conv3x3(1, 36, 36, 16, 16), "cdw"}, // two blocks of tiles
		{conv3x3(17, 4, 4, 16, 80), "dw"},   // one tile an image, a part of a panel; the convolution has few channels for an image alone
		{conv3x3(5, 4, 4, 16, 80), "w"},
		{conv3x3(2, 16, 16, 64, 192), "cdw"},
		{conv3x3(2, 8, 8, 144, 96), "cdw"},    // tiles of 2x2, but for the convolution's
		{conv3x3(1, 8, 8, 512, 544), "cdw"},   // tiles of 2x2 in the data gradient; panels and parts that are not whole
		{conv3x3(8, 8, 8, 160, 224), "cdw"},   // few tiles, two and a half parts
		{conv3x3(1, 6, 8, 160, 256), "cdw"},   // few tiles of 2x2, one and a bit parts
		{conv3x3(3, 14, 10, 48, 80), "dw"},    // many of 2x2
		{conv3x3(3, 14, 10, 192, 176), "cdw"}, // many of 2x2
		{conv3x3(1, 14, 14, 16, 32), "w"},     // too little work
		{conv3x3(2, 7, 8, 160, 256), ""},      // an odd extent
		{conv3x3(1, 4, 4, 512, 256), "c"},
		{conv3x3(1, 4, 4, 128, 128), ""},
		{conv3x3(2, 8, 8, 3, 32), ""},
	} {
		if testing.Short() && c.in*c.out > 1<<15 { // the race detector's run: references of these take minutes there
			continue
		}
		for i, op := range []string{"conv2d", "conv2d_data", "conv2d_weight"} {
			takes := strings.Contains(c.fast, "cdw"[i:i+1])
			want := c.reference(op)
			for _, l := range simd.Supported() {
				t.Run(fmt.Sprintf("%s/%v/%v", op, c, l), func(t *testing.T) {
					got := c.result(t, cpu.Options{Level: l.String(), Threads: 1}, op)
					direct := c.result(t, cpu.Options{Level: l.String(), Threads: 1, Exact: true}, op)
					if fast := !bytes.Equal(got, direct); fast != takes {
						t.Errorf("takes Winograd's form: %v, want %v", fast, takes)
					}
					e := rms(got, want)
					t.Logf("relative rms error %.3g, direct %.3g", e, rms(direct, want))
					if !(e <= 2e-6) {
						t.Errorf("relative rms error %.3g, want at most 2e-6", e)
					}
					if !bytes.Equal(got, c.result(t, cpu.Options{Level: l.String(), Threads: 3}, op)) {
						t.Error("three workers give other bits")
					}
				})
			}
		}
	}
}

func TestExactConformance(t *testing.T) {
	b, err := cpu.New(cpu.Options{Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := conformance.Err(conformance.Check(context.Background(), b, "conv2d")); err != nil {
		t.Error(err)
	}
}
