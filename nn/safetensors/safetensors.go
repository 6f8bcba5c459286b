// Package safetensors reads and writes the safetensors format: eight bytes of
// header length (little endian), a JSON header that gives each tensor a dtype, a
// shape and a range of bytes, then the bytes, row-major and little endian.
//
// Files come from anywhere, so reading trusts nothing: every range, size and
// product is checked before it is used, and every error names the file and the
// tensor and says what is wrong.
package safetensors

import (
	"fmt"
	"math/bits"
	"slices"
)

// A Tensor is a named array. Data is row-major and little endian; its length is
// the product of Shape times the size of DType. A tensor read from a file
// shares the file's memory.
type Tensor struct {
	Name  string
	DType string // BOOL U8 I8 U16 I16 F16 BF16 U32 I32 F32 U64 I64 F64 C64 F8_E4M3 F8_E5M2
	Shape []int
	Data  []byte

	path string // of the file it was read from, for errors
}

// A File is a decoded file.
type File struct {
	Path     string
	Metadata map[string]string // the header's __metadata__; nil if there is none

	tensors []Tensor // in the order of their data
	index   map[string]int
}

// Names returns the tensors' names in the order of their data.
func (f *File) Names() []string {
	names := make([]string, len(f.tensors))
	for i := range f.tensors {
		names[i] = f.tensors[i].Name
	}
	return names
}

// Has reports whether the file has a tensor of that name.
func (f *File) Has(name string) bool {
	_, ok := f.index[name]
	return ok
}

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (*Tensor, error) {
	i, ok := f.index[name]
	if !ok {
		return nil, fail(f.Path, name, "there is no such tensor in the file")
	}
	return &f.tensors[i], nil
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// HasShape reports whether the tensor has exactly this shape.
func (t *Tensor) HasShape(shape ...int) bool { return slices.Equal(t.Shape, shape) }

// dtypeSize is the size in bytes of one element.
var dtypeSize = map[string]int{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
	"U16": 2, "I16": 2, "F16": 2, "BF16": 2,
	"U32": 4, "I32": 4, "F32": 4,
	"U64": 8, "I64": 8, "F64": 8, "C64": 8,
}

// byteSize returns the bytes that a dtype and a shape need.
func byteSize(dtype string, shape []int) (uint64, error) {
	size, ok := dtypeSize[dtype]
	if !ok {
		return 0, fmt.Errorf("dtype %.40q is not supported", dtype)
	}
	if len(shape) > 0 && slices.Min(shape) < 0 {
		return 0, fmt.Errorf("shape %v has a negative dimension", shape)
	}
	// A zero anywhere makes an empty tensor, however large the other dimensions.
	if slices.Contains(shape, 0) {
		return 0, nil
	}
	n := uint64(size)
	for _, d := range shape {
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > 1<<62 {
			return 0, fmt.Errorf("shape %.200s is too large: its size overflows", fmt.Sprint(shape))
		}
		n = lo
	}
	return n, nil
}

// fail makes an error that names the file and, if not empty, the tensor.
func fail(path, tensor, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	if tensor != "" {
		// A hostile name is as long as it likes; an error is not.
		msg = fmt.Sprintf("tensor %.200q: %s", tensor, msg)
	}
	if path != "" {
		msg = path + ": " + msg
	}
	return fmt.Errorf("safetensors: %s", msg)
}
