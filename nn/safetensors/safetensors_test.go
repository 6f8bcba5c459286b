package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// file puts a header of this text before data.
func file(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func sample() ([]Tensor, map[string]string) {
	return []Tensor{
		Float32("b.weight", []int{2, 1, 2}, []float32{1, -2.5, 3e-40, float32(math.Inf(1))}),
		Int64("a\"<é>", []int{2}, []int64{-1, math.MaxInt64}),
		Float64("scalar", nil, []float64{math.Pi}),
		{Name: "empty", DType: "F16", Shape: []int{3, 0}},
	}, map[string]string{"step": "12", "format": "pt"}
}

func TestRoundTrip(t *testing.T) {
	tensors, meta := sample()
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := WriteFile(path, tensors, meta); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Names(), []string{"b.weight", "a\"<é>", "scalar", "empty"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	if len(f.Metadata) != 2 || f.Metadata["step"] != "12" {
		t.Errorf("metadata %v", f.Metadata)
	}
	for _, want := range tensors {
		got, err := f.Tensor(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got.DType != want.DType || !got.HasShape(want.Shape...) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s: got %+v, want %+v", want.Name, got, want)
		}
	}
	again, err := Encode(tensors, meta)
	if err != nil {
		t.Fatal(err)
	}
	onDisk, _ := os.ReadFile(path)
	if !bytes.Equal(again, onDisk) {
		t.Error("Encode and WriteFile differ")
	}
	if n := binary.LittleEndian.Uint64(again); n%8 != 0 {
		t.Errorf("the header has %d bytes, not a multiple of 8", n)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestMissingTensorNamesFileAndTensor(t *testing.T) {
	f, err := Decode("some/file.safetensors", file(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Tensor("conv_in.weight")
	if err == nil || !strings.Contains(err.Error(), "some/file.safetensors") || !strings.Contains(err.Error(), "conv_in.weight") {
		t.Errorf("error %v", err)
	}
}

func TestFailedWriteKeepsOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := []Tensor{{Name: "x", DType: "F32", Shape: []int{2}, Data: make([]byte, 7)}}
	err := WriteFile(path, bad, nil)
	if err == nil || !strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name the tensor and the file", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("the old file became %q", b)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
	if err := WriteFile(filepath.Join(t.TempDir(), "no", "such", "folder"), nil, nil); err == nil {
		t.Error("writing into a folder that does not exist gave no error")
	}
}

func TestEncodeRefuses(t *testing.T) {
	one := make([]byte, 4)
	for name, tensors := range map[string][]Tensor{
		"the name is taken":          {{Name: "x", DType: "F32", Shape: []int{1}, Data: one}, {Name: "x", DType: "F32", Shape: []int{1}, Data: one}},
		"\"__metadata__\": the name": {{Name: "__metadata__", DType: "F32", Shape: []int{1}, Data: one}},
		"not supported":              {{Name: "x", DType: "F4", Shape: []int{1}, Data: one}},
		"negative":                   {{Name: "x", DType: "F32", Shape: []int{0, -1}}},
		"UTF-8":                      {{Name: "\xff", DType: "F32", Shape: []int{1}, Data: one}},
	} {
		if _, err := Encode(tensors, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, got %v", name, err)
		}
	}
}

var malformed = []struct {
	name string
	data []byte
	want string // in the error
}{
	{"no length", []byte{1, 2, 3}, "the file has 3 bytes"},
	{"text file", []byte("Hello, this is not a model"), "the limit is"},
	{"header past the end", file(`{}`)[:9], "cut short"},
	{"header length 2^64-1", []byte("\xff\xff\xff\xff\xff\xff\xff\xff{}"), "the limit is"},
	{"empty header", file(``), "does not begin with"},
	{"an array", file(`[]`), "does not begin with"},
	{"unclosed", file(`{"a":{"dtype":"F32"`), "header"},
	{"trailing text", file(`{} x`), "after the closing brace"},
	{"two objects", file(`{}{}`), "after the closing brace"},
	{"duplicate tensor", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), `"a" occurs twice`},
	{"duplicate field", file(`{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, 1), `"dtype" occurs twice`},
	{"duplicate metadata", file(`{"__metadata__":{"k":"1","k":"2"}}`), `"k" occurs twice`},
	{"metadata not text", file(`{"__metadata__":{"k":1}}`), "where a string belongs"},
	{"metadata not object", file(`{"__metadata__":"k"}`), "__metadata__"},
	{"tensor is a number", file(`{"a":1}`), `tensor "a"`},
	{"no dtype", file(`{"a":{"shape":[1],"data_offsets":[0,1]}}`, 1), "dtype is missing"},
	{"no shape", file(`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, 1), "shape is missing"},
	{"no offsets", file(`{"a":{"dtype":"U8","shape":[1]}}`, 1), "data_offsets is missing"},
	{"one offset", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}`, 1), "want 2"},
	{"null shape", file(`{"a":{"dtype":"U8","shape":null,"data_offsets":[0,1]}}`, 1), "shape"},
	{"negative dimension", file(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, 1), "whole number"},
	{"fraction", file(`{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}`, 1), "whole number"},
	{"huge offset", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551617]}}`, 1), "whole number"},
	{"unknown dtype", file(`{"a":{"dtype":"Q7","shape":[1],"data_offsets":[0,1]}}`, 1), "not supported"},
	{"overflow", file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,1]}}`, 1), "overflows"},
	{"overflow to zero", file(`{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}`), "overflows"},
	{"size mismatch", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 1, 2, 3, 4), "need 8 bytes"},
	{"backwards", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, 1), "run backwards"},
	{"past the end", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 1), "pass the end"},
	{"overlap", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 1, 2, 3), `tensor "b": data_offsets [1, 3] overlap tensor "a"`},
	{"same range", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 1, 2), "overlap"},
	{"hole", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 1, 2, 3), "hole"},
	{"hole at the start", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 1, 2), "hole"},
	{"unused data", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1, 2), "belong to no tensor"},
	{"deep nesting", file(`{"a":{"x":` + strings.Repeat("[", 50000)), "header"},
}

func TestMalformed(t *testing.T) {
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode("bad.safetensors", c.data)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "bad.safetensors") {
				t.Errorf("error %q does not name the file and say %q", err, c.want)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestAccepts(t *testing.T) {
	for name, data := range map[string][]byte{
		"no tensors":       file(`{}`),
		"padding":          file(`{}      `),
		"any order":        file(`{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 1, 2),
		"other keys":       file(`{"a":{"note":{"x":[1,{}]},"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
		"huge but empty":   file(`{"a":{"dtype":"F32","shape":[4611686018427387904,0,4611686018427387904],"data_offsets":[0,0]}}`),
		"an empty between": file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"e":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 1, 2),
	} {
		if _, err := Decode(name, data); err != nil {
			t.Error(err)
		}
	}
}

func TestConversions(t *testing.T) {
	half := Tensor{Name: "h", DType: "F16", Shape: []int{7}, Data: []byte{0, 0x3c, 0, 0xc0, 1, 0, 0xff, 0x7b, 0, 0x7c, 0, 0x80, 0xff, 0x03}}
	got, err := half.Float32s()
	want := []float32{1, -2, 0x1p-24, 65504, float32(math.Inf(1)), float32(math.Copysign(0, -1)), 1023 * 0x1p-24}
	if err != nil || !slices.Equal(got, want) || !math.Signbit(float64(got[5])) {
		t.Errorf("F16: %v, %v, want %v", got, err, want)
	}
	nan := Tensor{DType: "F16", Shape: []int{1}, Data: []byte{1, 0x7e}}
	if v, err := nan.Float64s(); err != nil || !math.IsNaN(v[0]) {
		t.Errorf("F16 NaN: %v, %v", v, err)
	}
	brain := Tensor{Name: "b", DType: "BF16", Shape: []int{2}, Data: []byte{0x80, 0x3f, 0x49, 0xc0}}
	if v, err := brain.Float64s(); err != nil || !slices.Equal(v, []float64{1, -3.140625}) {
		t.Errorf("BF16: %v, %v", v, err)
	}
	ints := map[string][]byte{
		"I64": {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "I32": {0xfe, 0xff, 0xff, 0xff}, "I16": {0xfe, 0xff}, "I8": {0xfe},
	}
	for dtype, data := range ints {
		if v, err := (&Tensor{DType: dtype, Shape: []int{1}, Data: data}).Int64s(); err != nil || v[0] != -2 {
			t.Errorf("%s: %v, %v", dtype, v, err)
		}
	}
	for dtype, data := range map[string][]byte{"U64": {7, 0, 0, 0, 0, 0, 0, 0}, "U32": {7, 0, 0, 0}, "U16": {7, 0}, "U8": {7}} {
		if v, err := (&Tensor{DType: dtype, Shape: []int{1}, Data: data}).Int64s(); err != nil || v[0] != 7 {
			t.Errorf("%s: %v, %v", dtype, v, err)
		}
	}
	if _, err := (&Tensor{Name: "u", DType: "U64", Data: ints["I64"]}).Int64s(); err == nil {
		t.Error("U64 beyond int64 gave no error")
	}
	if _, err := (&Tensor{Name: "i", DType: "I32"}).Float32s(); err == nil || !strings.Contains(err.Error(), `"i"`) {
		t.Errorf("I32 as float: %v", err)
	}
	if _, err := half.Int64s(); err == nil {
		t.Error("F16 as integers gave no error")
	}
}

// Whatever the bytes: no panic; what is accepted is consistent, and survives
// being written and read again.
func FuzzDecode(f *testing.F) {
	tensors, meta := sample()
	good, err := Encode(tensors, meta)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, c := range malformed {
		if len(c.data) < 1000 {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Decode("fuzz", data)
		if err != nil {
			return
		}
		var all []Tensor
		for _, name := range file.Names() {
			tensor, err := file.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(tensor.Data) != tensor.Len()*dtypeSize[tensor.DType] {
				t.Fatalf("%q: %d bytes for shape %v of %s", name, len(tensor.Data), tensor.Shape, tensor.DType)
			}
			_, _ = tensor.Float32s()
			_, _ = tensor.Int64s()
			all = append(all, *tensor)
		}
		out, err := Encode(all, file.Metadata)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := Decode("again", out); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
