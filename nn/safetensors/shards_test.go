package safetensors

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shards writes two files and an index of this text.
func shards(t *testing.T, index string) string {
	t.Helper()
	dir := t.TempDir()
	for name, tensors := range map[string][]Tensor{
		"m-00001-of-00002.safetensors": {Float32("a", []int{2}, []float32{1, 2}), Float32("b", []int{1}, []float32{3})},
		"m-00002-of-00002.safetensors": {Float32("c", nil, []float32{4})},
	} {
		if err := WriteFile(filepath.Join(dir, name), tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "m.safetensors.index.json")
	if err := os.WriteFile(path, []byte(index), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadSharded(t *testing.T) {
	const one, two = `"m-00001-of-00002.safetensors"`, `"m-00002-of-00002.safetensors"`
	f, err := ReadSharded(shards(t, `{"metadata": {"total_size": 16}, "weight_map": {"a": `+one+`, "b": `+one+`, "c": `+two+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Names(), []string{"a", "b", "c"}) {
		t.Errorf("names %q", f.Names())
	}
	c, err := f.Tensor("c")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Float32s(); err != nil || v[0] != 4 {
		t.Errorf("c is %v, %v", v, err)
	}
	for index, want := range map[string]string{
		`{`:                                    "index",
		`{}`:                                   "weight_map is missing",
		`{"weight_map": {"a": "../x"}}`:        "not the name of a file",
		`{"weight_map": {"a": ".."}}`:          "not the name of a file",
		`{"weight_map": {"a": "/etc/passwd"}}`: "not the name of a file",
		`{"weight_map": {"a": 3}}`:             "index",
		`{"weight_map": {"a": "none"}}`:        "none",
		`{"weight_map": {"a": ` + one + `, "c": ` + two + `}}`:                             `tensor "b"`,
		`{"weight_map": {"a": ` + one + `, "b": ` + one + `, "d": ` + two + `}}`:           `tensor "c"`,
		`{"weight_map": {"a": ` + one + `, "b": ` + one + `, "x": ` + one + `}}`:           `tensor "x"`,
		`{"weight_map": {"a": ` + one + `, "b": ` + one + `, "a\u0000": "m\u0000"}}`:       "m",
		`{"weight_map": {"a": ` + one + `, "b": ` + one + `, "c": "m.safetensors.index"}}`: "m.safetensors.index",
	} {
		path := shards(t, index)
		if _, err := ReadSharded(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error of the index with %q", index, err, want)
		}
	}
	if _, err := ReadSharded(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a missing index passed")
	}
}

// Whatever the bytes of an index: no panic, and no name of a file elsewhere.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata": {"total_size": 16}, "weight_map": {"a": "m-1", "b": "m-2"}}`))
	f.Add([]byte(`{"weight_map": {"a": "../m-1"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		shards, err := parseIndex("fuzz", data)
		if err != nil {
			return
		}
		for name := range shards {
			if dir := filepath.Dir(filepath.Join("folder", name)); dir != "folder" {
				t.Fatalf("%q lies in %s", name, dir)
			}
		}
	})
}
