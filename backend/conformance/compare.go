package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// round is v as an element type holds it.
func round(d backend.DType, v float64) float64 {
	switch d {
	case backend.U32:
		return float64(uint32(v))
	case backend.U8:
		return float64(uint8(v))
	}
	return float64(float32(v))
}

// encode writes a tensor's elements as a backend holds them.
func encode(t *graph.Tensor) []byte {
	p := make([]byte, 0, t.Bytes())
	for _, v := range t.Data {
		switch t.DType {
		case backend.F32:
			p = binary.LittleEndian.AppendUint32(p, math.Float32bits(float32(v)))
		case backend.U32:
			p = binary.LittleEndian.AppendUint32(p, uint32(v))
		case backend.U8:
			p = append(p, uint8(v))
		}
	}
	return p
}

// decode is encode backwards.
func decode(t graph.Type, p []byte) *graph.Tensor {
	out := graph.NewTensor(t)
	for i := range out.Data {
		switch t.DType {
		case backend.F32:
			out.Data[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(p[i*4:])))
		case backend.U32:
			out.Data[i] = float64(binary.LittleEndian.Uint32(p[i*4:]))
		case backend.U8:
			out.Data[i] = float64(p[i])
		}
	}
	return out
}

// index names an element by its place on each axis.
func index(s backend.Shape, i int) string {
	at := make([]int, len(s))
	for axis, stride := range s.Dense() {
		at[axis], i = i/stride, i%stride
	}
	return fmt.Sprint(at)
}

// scale is what a tolerance is relative to: the largest magnitude in a tensor. A floor of one would be kinder, and would pass
// nearly anything for a tensor of small numbers, such as Adam's second moments.
func scale(t *graph.Tensor) float64 {
	m := 0.0
	for _, v := range t.Data {
		if finite(v) {
			m = max(m, math.Abs(v))
		}
	}
	if m == 0 {
		return 1
	}
	return m
}

// compare returns the largest |got - want| / scale, and an error that names the first element beyond tol. Integers must be equal.
// NaN equals NaN: a case may have it as an input, and a reference that gives it is refused elsewhere.
func compare(got, want *graph.Tensor, tol, scale float64) (diff float64, err error) {
	bad, first := 0, 0
	for i, w := range want.Data {
		if got.Data[i] == w || math.IsNaN(got.Data[i]) && math.IsNaN(w) {
			continue
		}
		d := math.Abs(got.Data[i]-w) / scale
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		diff = max(diff, d)
		if d > tol || (want.DType != backend.F32 && d > 0) {
			if bad == 0 {
				first = i
			}
			bad++
		}
	}
	if bad > 0 {
		err = fmt.Errorf("%d of %d elements differ, first at %s: got %v, want %v (tolerance %.3g, worst difference %.3g)",
			bad, len(want.Data), index(want.Shape, first), got.Data[first], want.Data[first], tol*scale, diff*scale)
	}
	return diff, err
}

// firstDifference is the first byte at which two equally long buffers differ, -1 if they do not.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
