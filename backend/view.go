package backend

import (
	"fmt"
	"slices"
	"strings"
)

// DType is an element type.
type DType uint8

// The element types.
const (
	F32 DType = iota
	U32
	U8
	F16 // only of views: a value of the graph that a plan holds as halfs is F32 there
)

// Size is the bytes of one element.
func (d DType) Size() int {
	switch d {
	case U8:
		return 1
	case F16:
		return 2
	}
	return 4
}

func (d DType) String() string { return [...]string{"f32", "u32", "u8", "f16"}[d] }

// A Shape is the extent of each axis, images as [N,H,W,C].
type Shape []int

// Elems is the number of elements.
func (s Shape) Elems() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Equal reports whether both have the same axes.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

func (s Shape) String() string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint([]int(s)), "[]"), " ", "x")
}

// Dense returns the strides of s in row-major order without gaps, in elements.
func (s Shape) Dense() []int {
	st, n := make([]int, len(s)), 1
	for i := len(s) - 1; i >= 0; i-- {
		st[i] = n
		n *= s[i]
	}
	return st
}

// A View is a tensor in a buffer. Only images [N,H,W,C] are ever not dense: a halo of zeros lies around each of them, which
// the step that writes the view must write too (the backend does it for all kernels in one place); or their pixels lie apart, because
// they are a part of joined channels (Strider).
type View struct {
	Buffer  int // index into Program.Buffers, None for an input left out
	Offset  int // bytes from the buffer's start to element 0
	DType   DType
	Shape   Shape
	Strides []int // elements
	Halo    int   // rings of zeros around each image
}

// None is the Buffer of a view that is left out.
const None = -1

// Absent reports whether an optional input was left out.
func (v View) Absent() bool { return v.Buffer == None }

// Apart reports whether other channels lie between the pixels.
func (v View) Apart() bool { return len(v.Shape) == 4 && v.Strides[2] != v.Shape[3] }

// Dense reports whether the view has no gaps.
func (v View) Dense() bool { return v.Halo == 0 && !v.Apart() }

// Span is the bytes from the first to the last the view's storage covers, halo included, and where they begin.
func (v View) Span() (start, bytes int) {
	if v.Apart() { // no halo: parts have none
		last := 1
		for axis, n := range v.Shape {
			last += (n - 1) * v.Strides[axis]
		}
		return v.Offset, last * v.DType.Size()
	}
	if v.Halo == 0 {
		return v.Offset, v.Shape.Elems() * v.DType.Size()
	}
	n, h, w, c := v.Shape[0], v.Shape[1], v.Shape[2], v.Shape[3]
	return v.Offset - v.Halo*(v.Strides[1]+v.Strides[2])*4, n * (h + 2*v.Halo) * (w + 2*v.Halo) * c * 4
}

// HaloStrides are the strides of an image [N,H,W,C] with a halo, and the elements from the start of its storage to element 0.
func HaloStrides(s Shape, halo int) (strides []int, first int) {
	row := (s[2] + 2*halo) * s[3]
	return []int{row * (s[1] + 2*halo), row, s[3], 1}, halo*row + halo*s[3]
}
