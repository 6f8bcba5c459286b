//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"bytes"
	"cmp"
	"context"
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
