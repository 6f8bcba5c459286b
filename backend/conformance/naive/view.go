package naive

import (
	"encoding/binary"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// each calls f with the dense index of each element of a view and its byte offset.
func each(v backend.View, strides []int, f func(i, at int)) {
	dense, size := v.Shape.Dense(), v.DType.Size()
	for i := range v.Shape.Elems() {
		at := 0
		for axis, rest := 0, i; axis < len(dense); axis++ {
			at += rest / dense[axis] * strides[axis]
			rest %= dense[axis]
		}
		f(i, v.Offset+at*size)
	}
}

func (e *executable) load(v backend.View) *graph.Tensor {
	t := graph.NewTensor(graph.Type{DType: v.DType, Shape: v.Shape})
	mem, strides := e.mem[v.Buffer], v.Strides
	if e.b.IgnoreStrides {
		strides = v.Shape.Dense()
	}
	each(v, strides, func(i, at int) {
		switch v.DType {
		case backend.F32:
			t.Data[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(mem[at:])))
		case backend.U32:
			t.Data[i] = float64(binary.LittleEndian.Uint32(mem[at:]))
		case backend.U8:
			t.Data[i] = float64(mem[at])
		}
	})
	return t
}

// haloSum adds up what lies in a halo: nothing but zeros, or the step that wrote the view is at fault.
func (e *executable) haloSum(v backend.View) float64 {
	start, bytes := v.Span()
	inside := map[int]bool{}
	each(v, v.Strides, func(_, at int) { inside[at] = true })
	sum := 0.0
	for at := start; at < start+bytes; at += 4 {
		if !inside[at] {
			sum += float64(math.Float32frombits(binary.LittleEndian.Uint32(e.mem[v.Buffer][at:])))
		}
	}
	return sum
}

func (e *executable) store(v backend.View, t *graph.Tensor) {
	mem := e.mem[v.Buffer]
	if v.Halo > 0 && !e.b.KeepHalos {
		start, n := v.Span()
		clear(mem[start : start+n])
	}
	each(v, v.Strides, func(i, at int) {
		switch v.DType {
		case backend.F32:
			binary.LittleEndian.PutUint32(mem[at:], math.Float32bits(float32(t.Data[i])))
		case backend.U32:
			binary.LittleEndian.PutUint32(mem[at:], uint32(t.Data[i]))
		case backend.U8:
			mem[at] = uint8(t.Data[i])
		}
	})
}

// foul fills scratch memory with rubbish, as a kernel may.
func (e *executable) foul(v backend.View) {
	if v.Absent() || e.b.Scratch == 0 {
		return
	}
	start, n := v.Span()
	for i := range n {
		e.mem[v.Buffer][start+i] = byte(0xC3 ^ i)
	}
}
