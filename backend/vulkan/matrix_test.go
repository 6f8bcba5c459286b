//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
)

// matrixDevice opens a device with cooperative matrices in use. Debian 12's software driver has none; that of Mesa 26 has: shaders/newer.sh.
func matrixDevice(t *testing.T) *Backend {
	t.Helper()
	b := device(t, Options{})
	if b.matrix == nil {
		if strings.Contains(strings.Join(b.notes, "\n"), "wrong") {
			t.Fatal(b.notes)
		}
		t.Skip(b.notes)
	}
	return b
}

// TestMatrixConformance holds the convolutions on cooperative matrices to their references.
func TestMatrixConformance(t *testing.T) {
	b := matrixDevice(t)
	showMatrices(t, b, conformance.CheckIn(context.Background(), b, backend.FP16, cmp.Or(os.Getenv("DDPM_ONLY"), "conv2d")))
}

// TestMatrixPrograms trains small models whose convolutions use cooperative matrices. A software driver takes a minute to compile them.
func TestMatrixPrograms(t *testing.T) {
	b := matrixDevice(t)
	showMatrices(t, b, conformance.MemoryIn(b, backend.FP16))
}

func showMatrices(t *testing.T, b *Backend, results []conformance.Result) {
	t.Helper()
	if err := conformance.Err(results); err != nil {
		t.Error(err)
	}
	var table bytes.Buffer
	if err := conformance.Print(&table, results); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %dx%dx%d, validated: %v\n%s", b.Name, b.matrix.M, b.matrix.N, b.matrix.K, Validating(), table.String())
}

// TestMatrixTilings does the self-test's problem with each tiling. A driver in software takes many minutes to compile the larger ones, so
// DDPM_MATRIX_TILINGS=1 asks for it there.
func TestMatrixTilings(t *testing.T) {
	b := matrixDevice(t)
	if b.Kind == "cpu" && os.Getenv("DDPM_MATRIX_TILINGS") == "" {
		t.Skip("DDPM_MATRIX_TILINGS is not set")
	}
	for b.onlyTiling = 1; b.onlyTiling <= 3; b.onlyTiling++ {
		for _, images := range []backend.DType{backend.F32, backend.F16} {
			wrong, err := selfTest(images, b.once)
			if wrong != "" || err != nil {
				t.Errorf("tiling %d, images in %v: %s %v", b.onlyTiling, images, wrong, err)
			}
			t.Logf("tiling %d of %d invocations, images in %v, is right: %v", b.onlyTiling, b.matrixTilings(b.matrix)[0].local(), images, wrong == "" && err == nil)
		}
	}
}

// TestSelfTest passes what computes right, here the fp32 tile, and leaves cooperative matrices out where one number of one of the
// convolutions is wrong, or none of them is a number.
func TestSelfTest(t *testing.T) {
	b := device(t, Options{NoMatrices: true})
	if wrong, err := selfTest(backend.F32, b.once); wrong != "" || err != nil {
		t.Errorf("the fp32 tile: %s %v", wrong, err)
	}
	for op, spoil := range map[string]float32{"conv2d": 0.125, "conv2d_data": -1, "conv2d_weight": float32(math.NaN())} {
		b.notes = nil
		err := b.useMatrices(nil, func(o string, a backend.Conv, types [3]backend.DType, in [2][]float32, shapes [2]backend.Shape, out backend.Shape) ([]float32, error) {
			v, err := b.once(o, a, types, in, shapes, out)
			if o == op && err == nil {
				v[len(v)-1] += spoil
			}
			return v, err
		})
		if text := strings.Join(b.Notes(), "\n"); err != nil || b.matrix != nil || !strings.Contains(text, "left out") || !strings.Contains(text, op+" gives ") {
			t.Errorf("%s spoilt: %q, %v", op, text, err)
		}
	}
}

// TestRoof measures both: a program that does not compile or run would give zeros.
func TestRoof(t *testing.T) {
	b := device(t, Options{})
	if flops, bytes := b.Roof(backend.FP32); flops <= 0 || bytes <= 0 {
		t.Errorf("%g FLOP/s and %g bytes/s", flops, bytes)
	}
}
