//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// A convolve runs a convolution or one of its gradients, with inputs and an output of those types.
type convolve func(op string, a backend.Conv, types [3]backend.DType, in [2][]float32, shapes [2]backend.Shape, out backend.Shape) ([]float32, error)

// selfTest runs the three convolutions on a small problem, before anything is trusted to them, and compares them with plain loops on the
// processor. The numbers are small multiples of 1/8, so that halfs hold them and sums of them are exact: the device has no excuse.
// Images are floats or, of type F16, halfs. wrong says what is not right, "" if all is.
func selfTest(images backend.DType, compute convolve) (wrong string, err error) {
	const n, h, in, out = 2, 9, 35, 37 // more than one tile of the smallest kind each way, and none of them full
	a := backend.Conv{KH: 3, KW: 3, Stride: 1, Top: 1, Left: 1, Bottom: 1, Right: 1, H: h, W: h}
	x, w, dy := eighths(n*h*h*in, 1), eighths(out*9*in, 2), eighths(n*h*h*out, 3)
	image, weights, result := backend.Shape{n, h, h, in}, backend.Shape{out, 3, 3, in}, backend.Shape{n, h, h, out}
	y, dx, dw := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w))
	for p := range n * h * h {
		for tap := range 9 {
			r, q := p/h%h+tap/3-1, p%h+tap%3-1
			if r < 0 || r >= h || q < 0 || q >= h {
				continue
			}
			at := ((p/(h*h)*h+r)*h + q) * in
			for o := range out {
				v, row := dy[p*out+o], w[(o*9+tap)*in:][:in]
				for i, wi := range row {
					y[p*out+o] += x[at+i] * wi
					dx[at+i] += v * wi
					dw[(o*9+tap)*in+i] += v * x[at+i]
				}
			}
		}
	}
	weightType := backend.F32
	for _, t := range []struct {
		op      string
		types   [3]backend.DType // of the inputs and the output
		in      [2][]float32
		inShape [2]backend.Shape
		shape   backend.Shape
		want    []float32
	}{
		{"conv2d", [3]backend.DType{images, weightType, images}, [2][]float32{x, w}, [2]backend.Shape{image, weights}, result, y},
		{"conv2d_data", [3]backend.DType{images, weightType, images}, [2][]float32{dy, w}, [2]backend.Shape{result, weights}, image, dx},
		{"conv2d_weight", [3]backend.DType{images, images, weightType}, [2][]float32{x, dy}, [2]backend.Shape{image, result}, weights, dw},
	} {
		got, err := compute(t.op, a, t.types, t.in, t.inShape, t.shape)
		if err != nil {
			return "", err
		}
		for i, v := range t.want {
			if t.types[2] == backend.F16 {
				v = backend.FromHalf(backend.ToHalf(v))
			}
			if d := math.Abs(float64(got[i] - v)); !(d <= 1e-3) {
				return fmt.Sprintf("%s gives %g where the processor gives %g", t.op, got[i], v), nil
			}
		}
	}
	return "", nil
}

// eighths are n numbers from -1 to 1 in steps of an eighth, the same for the same seed.
func eighths(n int, seed uint32) []float32 {
	v := make([]float32, n)
	for i := range v {
		seed = seed*1664525 + 1013904223
		v[i] = float32(int(seed>>24)%17-8) / 8
	}
	return v
}

// once runs one convolution in a program in fp16, with numbers of the host.
func (b *Backend) once(op string, a backend.Conv, types [3]backend.DType, in [2][]float32, shapes [2]backend.Shape, out backend.Shape) ([]float32, error) {
	view := func(i, offset int, s backend.Shape) backend.View {
		return backend.View{Buffer: 1, Offset: offset, DType: types[i], Shape: s, Strides: s.Dense()}
	}
	second := (4*len(in[0]) + cut - 1) / cut * cut
	third := second + (4*len(in[1])+cut-1)/cut*cut
	total := third + 4*out.Elems()
	s := backend.Step{
		Scratch: backend.View{Buffer: backend.None},
		Op:      op, Label: "self-test", Precision: backend.FP16, Attrs: a, In: []backend.View{view(0, 0, shapes[0]), view(1, second, shapes[1])}, Out: []backend.View{view(2, third, out)},
	}
	if op == "conv2d" {
		s.In = append(s.In, backend.View{Buffer: backend.None})
	}
	scratch := b.Scratch(&s)
	if scratch > 0 {
		s.Scratch = backend.View{Buffer: 0, DType: backend.U8, Shape: backend.Shape{scratch}, Strides: []int{1}}
	}
	p := &backend.Program{Name: "self-test", Buffers: []backend.Slot{{Name: "arena", Bytes: scratch}, {Name: "data", Bytes: total}}, Segments: []backend.Segment{{Steps: []backend.Step{s}}}}
	for i := range p.Buffers {
		f, err := b.NewBuffer(max(4, p.Buffers[i].Bytes))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		p.Buffers[i].Buffer = f
	}
	data := p.Buffers[1].Buffer
	for i, at := range []int{0, second} {
		bytes := make([]byte, 0, 4*len(in[i]))
		for _, v := range in[i] {
			if types[i] == backend.F16 {
				bytes = binary.LittleEndian.AppendUint16(bytes, backend.ToHalf(v))
				continue
			}
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
		}
		if err := data.Write(at, bytes); err != nil {
			return nil, err
		}
	}
	e, err := b.Compile(p)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := e.Run(context.Background(), 1); err != nil {
		return nil, err
	}
	bytes := make([]byte, types[2].Size()*out.Elems())
	if err := data.Read(third, bytes); err != nil {
		return nil, err
	}
	got := make([]float32, out.Elems())
	for i := range got {
		if types[2] == backend.F16 {
			got[i] = backend.FromHalf(binary.LittleEndian.Uint16(bytes[2*i:]))
			continue
		}
		got[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
	}
	return got, nil
}
