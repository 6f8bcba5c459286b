//go:build !cgo || novulkan || (darwin && !moltenvk)

package vulkan

import "github.com/ddpm-tui/ddpm-tui/backend"

var errNone = &Unavailable{
	"this build of ddpm-tui has no Vulkan",
	"build it with cgo and a C compiler (CGO_ENABLED=1 go build ./cmd/ddpm-tui; on macOS with MoltenVK installed, add -tags moltenvk)",
}

// Devices lists the physical devices; this build has none.
func Devices() ([]DeviceInfo, error) { return nil, errNone }

// Open opens a device; this build cannot.
func Open(Options) (backend.Backend, error) { return nil, errNone }
