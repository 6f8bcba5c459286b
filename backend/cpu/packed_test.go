package cpu_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// runConv runs a convolution, twice with what its kernel keeps of the weights, which are NaN by then, if packed. It returns the
// output and how many steps packed.
func runConv(t *testing.T, b *cpu.Backend, n, size, in, out, k, stride int, packed bool, precision backend.Precision) (y []float32, packs int) {
	t.Helper()
	weights := 4 * out * k * k * in
	g, err := graph.Build(func(g *graph.Graph) {
		pad := [4]int{k / 2, k / 2, k / 2, k / 2}
		x := g.Scale(graph.State("x", 0, graph.F32(n, size, size, in), "x"), 1, 0)
		w := graph.State("w", 0, graph.F32(out, k, k, in), "w")
		graph.Keep(g.Conv2D(x, w, graph.State("bias", 0, graph.F32(out), "b"), stride, pad), "y", 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	o := plan.Options{Name: "conv", Planner: b, Reuse: true, Precision: precision}
	if packed {
		o.Packed = "packed"
	}
	p, _, err := plan.Compile(g, o)
	if err != nil {
		t.Fatal(err)
	}
	bufs := map[string]backend.Buffer{}
	for i, s := range p.Buffers {
		if bufs[s.Name], err = b.NewBuffer(s.Bytes); err != nil {
			t.Fatal(err)
		}
		if err := p.Bind(s.Name, bufs[s.Name]); err != nil {
			t.Fatal(err)
		}
		if s.Name != "x" && s.Name != "w" && s.Name != "bias" {
			continue
		}
		v, raw := make([]float32, s.Bytes/4), make([]byte, 0, s.Bytes)
		rng.Normals(v, 1, rng.StreamSample, uint32(i), 0)
		for _, f := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
		if err := bufs[s.Name].Write(0, raw); err != nil {
			t.Fatal(err)
		}
	}
	list := p.Split()
	for i, part := range list {
		e, err := b.Compile(part)
		if err != nil {
			t.Fatal(err)
		}
		times := 1
		if len(list) > 1 && i == 1 {
			times = 2
			if err := bufs["w"].Write(0, bytes.Repeat([]byte{0xff}, weights)); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Run(context.Background(), times); err != nil {
			t.Fatal(err)
		}
	}
	p.Steps(func(s *backend.Step) {
		if s.Pack {
			packs++
		}
	})
	raw := make([]byte, bufs["y"].Size())
	if err := bufs["y"].Read(0, raw); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(raw); at += 4 {
		y = append(y, math.Float32frombits(binary.LittleEndian.Uint32(raw[at:])))
	}
	return y, packs
}

// TestAlone: an image is to the last bit the same alone as among others, in every form of a convolution, so that a sample does not
// depend on the batch it is made in.
func TestAlone(t *testing.T) {
	for _, c := range []struct{ size, in, out, k, stride int }{
		{16, 32, 64, 3, 1}, {16, 128, 128, 3, 1}, {8, 64, 32, 3, 1}, {8, 512, 512, 3, 1}, {8, 256, 128, 3, 1}, {8, 80, 112, 3, 1}, {4, 256, 128, 3, 1}, {4, 64, 64, 3, 1}, {14, 192, 192, 3, 1},
		{2, 256, 256, 3, 1}, {8, 96, 96, 3, 2}, {8, 130, 33, 1, 1}, {1, 512, 128, 1, 1}, {16, 64, 3, 3, 1},
	} {
		if testing.Short() && c.in*c.out > 1<<15 {
			continue
		}
		for _, o := range forms() {
			o.Threads = 2
			precision := backend.FP32
			if o.Dot != "" {
				precision = backend.BF16
			}
			b, err := cpu.New(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, packed := range []bool{false, true} {
				want, _ := runConv(t, b, 1, c.size, c.in, c.out, c.k, c.stride, packed, precision)
				got, _ := runConv(t, b, 8, c.size, c.in, c.out, c.k, c.stride, packed, precision)
				if !slices.Equal(got[:len(want)], want) {
					t.Errorf("%+v, %+v, packed %v: an image is another one among 8", c, o, packed)
				}
			}
			b.Close()
		}
	}
}

// forms are what a convolution may be computed with here.
func forms() []cpu.Options {
	list := []cpu.Options{{Exact: true}}
	for _, l := range simd.Supported() {
		list = append(list, cpu.Options{Level: l.String()})
	}
	for _, d := range simd.Dots() {
		list = append(list, cpu.Options{Dot: d.Name})
	}
	return list
}

// TestPacked: a kernel that keeps its packed or transformed weights computes what it does without, and no longer reads them.
func TestPacked(t *testing.T) {
	for _, c := range []struct{ n, size, in, out, k, stride int }{
		{2, 16, 32, 64, 3, 1},   // Winograd
		{1, 8, 256, 256, 3, 1},  // of 4x4 with few tiles and many channels
		{1, 16, 136, 248, 3, 1}, // of 4x4, with parts and panels that are not whole
		{5, 16, 128, 256, 3, 1}, // with many tiles and channels
		{1, 32, 256, 160, 3, 1}, // 64 tiles, few where there are many output channels, or nothing would be kept
		{1, 32, 64, 128, 3, 1},  // and two blocks where there are not
		{1, 4, 512, 512, 3, 1},  // Winograd of 2x2 with the least tiles
		{1, 4, 64, 64, 3, 1},    // direct: too few tiles
		{2, 9, 24, 40, 3, 2},    // direct, partial panels
		{3, 5, 130, 33, 1, 1},   // a product of matrices
		{4, 1, 128, 96, 1, 1},   // linear
		{2, 16, 3, 32, 3, 1},    // few channels
	} {
		for _, exact := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v exact=%v", c, exact), func(t *testing.T) {
				b, err := cpu.New(cpu.Options{Threads: 2, Exact: exact})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				want, none := runConv(t, b, c.n, c.size, c.in, c.out, c.k, c.stride, false, backend.FP32)
				got, packs := runConv(t, b, c.n, c.size, c.in, c.out, c.k, c.stride, true, backend.FP32)
				// Large transformed kernels are made where they are used, with weights that the test has spoilt by then.
				if !exact && c.n == 5 {
					if packs != 0 {
						t.Fatal("a large transformed kernel is kept")
					}
					return
				}
				if packs != 1 || none != 0 {
					t.Fatalf("%d steps pack, %d without a buffer for it", packs, none)
				}
				scale := 0.0
				for _, v := range want {
					scale = max(scale, math.Abs(float64(v)))
				}
				for i := range want {
					if d := math.Abs(float64(got[i] - want[i])); !(d <= 1e-6*scale) {
						t.Fatalf("element %d is %v, want %v (largest %.3g)", i, got[i], want[i], scale)
					}
				}
			})
		}
	}
}
