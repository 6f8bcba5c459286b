package safetensors

import (
	"encoding/binary"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Float32s returns the elements as float32: exact for F32, F16 and BF16,
// rounded for F64. Integers are not converted.
func (t *Tensor) Float32s() ([]float32, error) {
	if t.DType == "F32" { // the common case, without a detour
		out := make([]float32, len(t.Data)/4)
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
		return out, nil
	}
	wide, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(wide))
	for i, v := range wide {
		out[i] = float32(v)
	}
	return out, nil
}

// Float64s returns the elements of an F64, F32, F16 or BF16 tensor, exactly.
func (t *Tensor) Float64s() ([]float64, error) {
	le := binary.LittleEndian
	var at func(i int) float64
	switch t.DType {
	case "F64":
		at = func(i int) float64 { return math.Float64frombits(le.Uint64(t.Data[8*i:])) }
	case "F32":
		at = func(i int) float64 { return float64(math.Float32frombits(le.Uint32(t.Data[4*i:]))) }
	case "F16":
		at = func(i int) float64 { return float64(backend.FromHalf(le.Uint16(t.Data[2*i:]))) }
	case "BF16":
		at = func(i int) float64 { return float64(math.Float32frombits(uint32(le.Uint16(t.Data[2*i:])) << 16)) }
	default:
		return nil, fail(t.path, t.Name, "dtype is %s, want F64, F32, F16 or BF16", t.DType)
	}
	out := make([]float64, len(t.Data)/dtypeSize[t.DType])
	for i := range out {
		out[i] = at(i)
	}
	return out, nil
}

// Int64s returns the elements of an integer or BOOL tensor. A U64 beyond int64
// is an error.
func (t *Tensor) Int64s() ([]int64, error) {
	le := binary.LittleEndian
	var at func(i int) int64
	switch t.DType {
	case "I64", "U64":
		at = func(i int) int64 { return int64(le.Uint64(t.Data[8*i:])) }
	case "I32":
		at = func(i int) int64 { return int64(int32(le.Uint32(t.Data[4*i:]))) }
	case "U32":
		at = func(i int) int64 { return int64(le.Uint32(t.Data[4*i:])) }
	case "I16":
		at = func(i int) int64 { return int64(int16(le.Uint16(t.Data[2*i:]))) }
	case "U16":
		at = func(i int) int64 { return int64(le.Uint16(t.Data[2*i:])) }
	case "I8":
		at = func(i int) int64 { return int64(int8(t.Data[i])) }
	case "U8", "BOOL":
		at = func(i int) int64 { return int64(t.Data[i]) }
	default:
		return nil, fail(t.path, t.Name, "dtype is %s, want an integer or BOOL", t.DType)
	}
	out := make([]int64, len(t.Data)/dtypeSize[t.DType])
	for i := range out {
		out[i] = at(i)
		if t.DType == "U64" && out[i] < 0 {
			return nil, fail(t.path, t.Name, "element %d is %d, which int64 cannot hold", i, uint64(out[i]))
		}
	}
	return out, nil
}

// Float32 makes an F32 tensor; the values are copied.
func Float32(name string, shape []int, values []float32) Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return Tensor{Name: name, DType: "F32", Shape: shape, Data: data}
}

// Float64 makes an F64 tensor; the values are copied.
func Float64(name string, shape []int, values []float64) Tensor {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return Tensor{Name: name, DType: "F64", Shape: shape, Data: data}
}

// Int64 makes an I64 tensor; the values are copied.
func Int64(name string, shape []int, values []int64) Tensor {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, uint64(v))
	}
	return Tensor{Name: name, DType: "I64", Shape: shape, Data: data}
}
