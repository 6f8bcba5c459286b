//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
)

// matrixDevice opens a device with cooperative matrices in use. Debian 12's software driver has none; that of Mesa 26 has: shaders/newer.sh.
func matrixDevice(t *testing.T) *Backend {
	t.Helper()
	b := device(t, Options{Matrices: true})
	if b.matrix == nil {
		if strings.Contains(strings.Join(b.notes, "\n"), "wrong") {
			t.Fatal(b.notes)
		}
		t.Skip(b.notes)
	}
	return b
}

// TestMatrixConformance holds the convolutions on cooperative matrices to their references, and all else with them.
func TestMatrixConformance(t *testing.T) {
	b := matrixDevice(t)
	results := append(conformance.Check(context.Background(), b, "conv2d"), conformance.Memory(b)...)
	if err := conformance.Err(results); err != nil {
		t.Error(err)
	}
	var table bytes.Buffer
	if err := conformance.Print(&table, results); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %dx%dx%d, validated: %v\n%s", b.Name, b.matrix.M, b.matrix.N, b.matrix.K, Validating(), table.String())
}
