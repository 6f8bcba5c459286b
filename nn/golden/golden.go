// Package golden finds test vectors and hands them to tests. Vectors are
// safetensors files, each with a JSON file of the same name beside it; a test
// asks for a pattern, never for a list, so that other vectors can be dropped in.
//
// They are looked for in the folder that the environment variable DDPM_GOLDEN
// names. If it is not set, in ../shared/golden beside the repository, and where
// that has none that match, in the folder testdata of the package under test.
package golden

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/pyjson"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// Files returns the paths of the vectors that match pattern, sorted. Where
// there are none the test is skipped, and says so.
func Files(t testing.TB, pattern string) []string {
	t.Helper()
	folders := folders(t)
	for _, dir := range folders {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) > 0 {
			slices.Sort(paths)
			return paths
		}
	}
	t.Skipf("no golden vectors match %s in %s", pattern, strings.Join(folders, " or "))
	return nil
}

func folders(t testing.TB) []string {
	t.Helper()
	if dir := os.Getenv("DDPM_GOLDEN"); dir != "" {
		// A folder that was asked for and is not there must not pass unseen.
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Fatalf("DDPM_GOLDEN=%s is not a folder", dir)
		}
		return []string{dir}
	}
	root, err := os.Getwd() // of a test: the folder of its package
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return []string{filepath.Join(filepath.Dir(root), "shared", "golden"), "testdata"}
		}
		if root == filepath.Dir(root) {
			return []string{"testdata"}
		}
		root = filepath.Dir(root)
	}
}

// Run runs check as one subtest for each safetensors file that matches
// pattern + ".safetensors", named after it.
func Run(t *testing.T, pattern string, check func(t *testing.T, f *File)) {
	t.Helper()
	for _, path := range Files(t, pattern+".safetensors") {
		f := &File{Name: strings.TrimSuffix(filepath.Base(path), ".safetensors"), path: path}
		t.Run(f.Name, func(t *testing.T) {
			var err error
			if f.File, err = safetensors.ReadFile(path); err != nil {
				t.Fatal(err)
			}
			check(t, f)
		})
	}
}

// A File is one vector file in a test; whatever is missing fails the test.
type File struct {
	*safetensors.File
	Name string // without folder and ending
	path string
}

// Sidecar decodes the JSON file beside the vectors into v.
func (f *File) Sidecar(t testing.TB, v any) {
	t.Helper()
	JSON(t, strings.TrimSuffix(f.path, ".safetensors")+".json", v)
}

// JSON decodes a JSON file into v.
func JSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(pyjson.Quote(b), v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// F32 returns a tensor's elements as float32.
func (f *File) F32(t testing.TB, name string) []float32 {
	t.Helper()
	return get(t, f, name, (*safetensors.Tensor).Float32s)
}

// F64 returns a tensor's elements as float64.
func (f *File) F64(t testing.TB, name string) []float64 {
	t.Helper()
	return get(t, f, name, (*safetensors.Tensor).Float64s)
}

// I64 returns an integer tensor's elements.
func (f *File) I64(t testing.TB, name string) []int64 {
	t.Helper()
	return get(t, f, name, (*safetensors.Tensor).Int64s)
}

// Shape returns a tensor's shape.
func (f *File) Shape(t testing.TB, name string) []int {
	t.Helper()
	tensor, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	return tensor.Shape
}

func get[E any](t testing.TB, f *File, name string, read func(*safetensors.Tensor) ([]E, error)) []E {
	t.Helper()
	tensor, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := read(tensor)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// Diff returns the largest absolute difference and the largest absolute
// expected value. Different lengths or a NaN give an infinite difference, so
// that no comparison passes by accident.
func Diff[E float32 | float64](got, want []E) (diff, scale float64) {
	if len(got) != len(want) {
		return math.Inf(1), 1
	}
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		scale = max(scale, math.Abs(w))
		if d := math.Abs(g - w); g != w && !(d <= diff) {
			diff = d
		}
		if math.IsNaN(diff) || math.IsNaN(w) {
			return math.Inf(1), 1
		}
	}
	return diff, scale
}
