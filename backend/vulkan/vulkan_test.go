//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/conformance"
)

// The tests run under the validation layer where it is installed, and any message of it fails them.
func TestMain(m *testing.M) {
	os.Setenv(ValidateEnv, "1")
	folder, err := os.MkdirTemp("", "vulkan-test")
	if err != nil {
		panic(err)
	}
	if os.Getenv(CacheEnv) == "" {
		os.Setenv(CacheEnv, folder)
	}
	code := m.Run()
	if n, text := Messages(); n > 0 {
		fmt.Printf("the validation layer has %d messages:\n%s", n, text)
		code = 1
	}
	os.RemoveAll(folder)
	os.Exit(code)
}

// device opens the device that the tests run on: the first, or what DDPM_VULKAN_DEVICE says.
func device(t testing.TB, o Options) *Backend {
	t.Helper()
	if o.Device == "" {
		o.Device = os.Getenv("DDPM_VULKAN_DEVICE")
	}
	b, err := open(o)
	if err != nil {
		t.Skipf("no Vulkan device to test on (Debian: apt install mesa-vulkan-drivers): %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestConformance(t *testing.T) {
	b := device(t, Options{})
	results := conformance.Check(context.Background(), b, os.Getenv("DDPM_ONLY"))
	if err := conformance.Err(results); err != nil {
		t.Error(err)
	}
	var table bytes.Buffer
	conformance.Print(&table, results)
	t.Logf("%s, validated: %v\n%s", b.Name, Validating(), table.String())
}

func TestMemoryReuse(t *testing.T) {
	if err := conformance.Err(conformance.Memory(device(t, Options{}))); err != nil {
		t.Error(err)
	}
}

// TestLittleSharedMemory is attention with the smaller of its tiles, which devices with the least shared memory that Vulkan allows get.
func TestLittleSharedMemory(t *testing.T) {
	b := device(t, Options{})
	b.Limits.Shared = 16 << 10
	for _, only := range []string{"attention/several tiles", "attention_grad/several tiles"} {
		if err := conformance.Err(conformance.Check(context.Background(), b, only)); err != nil {
			t.Error(err)
		}
	}
}

// TestWindows has flat buffers that are larger than what a shader sees at once, and a tensor that is.
func TestWindows(t *testing.T) {
	b := device(t, Options{})
	for only, reach := range map[string]int64{"adamw/": 1024, "ema_power/": 1024, "batch_images/many": 512, "global_norm/large": 64 << 10} {
		b.Limits.Binding = reach
		checked := 0
		for _, r := range conformance.Check(context.Background(), b, only) {
			if strings.HasPrefix(r.Variant, "arena") { // where other ops, which see all of their tensors, make the inputs
				continue
			}
			if checked++; r.Err != nil {
				t.Errorf("%s/%s: %v", r.Op, r.Case, r.Err)
			}
		}
		if checked == 0 {
			t.Errorf("no case of %s", only)
		}
	}
	b.Limits.Binding = 512
	err := conformance.Err(conformance.Check(context.Background(), b, "add/"))
	if err == nil || !strings.Contains(err.Error(), "more than a shader on this device reaches") {
		t.Errorf("a tensor that does not fit: %v", err)
	}
}

// TestPortability has what MoltenVK needs enabled where it is listed, and only there.
func TestPortability(t *testing.T) {
	for _, listed := range []bool{false, true} {
		var c chain
		b := &Backend{physical: &physical{extensions: map[string]bool{extSubset: listed}}}
		if got := slices.Contains(b.wishes(&c), extSubset); got != listed {
			t.Errorf("the subset is listed: %v; enabled: %v", listed, got)
		}
		c.free()
	}
	l, err := theLoader()
	if err != nil {
		t.Skip(err)
	}
	listed := l.names(nil, 0)[extPortability]
	flags, _, extensions := l.wishes()
	if flags&portabilityFlag != 0 != listed || slices.Contains(extensions, extPortability) != listed {
		t.Errorf("enumeration is listed: %v; flags %d, extensions %q", listed, flags, extensions)
	}
	t.Logf("the loader lists portability enumeration: %v", listed)
}
