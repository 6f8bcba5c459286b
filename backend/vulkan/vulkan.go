// Package vulkan runs programs on a GPU: every operation is a compute shader of the package shaders, and a compiled program is a
// list of recorded command buffers that are submitted again for every step.
//
// The package has two faces. With cgo (and without the build tag novulkan) it is the backend; without, Devices and Open say that
// this build has none. On macOS the binding links MoltenVK, so there the tag moltenvk asks for it.
//
// A Vulkan loader is looked for when the first device is wanted, not when the program is built or started. docs/vulkan.md has what the
// conformance suite says of the device that the tests run on.
package vulkan

import (
	"errors"
	"fmt"
	"strings"
)

// Environment variables.
const (
	ValidateEnv = "DDPM_VULKAN_VALIDATE" // set: the validation layer is loaded and its messages are collected
	CacheEnv    = "DDPM_VULKAN_CACHE"    // folder of compiled pipelines; "off" for none
	LoaderEnv   = "DDPM_VULKAN_LOADER"   // file of the Vulkan loader, where it is not one that the system finds by its name
	LoseEnv     = "DDPM_VULKAN_LOSE"     // for tests: the device is lost once there is this file
	MatricesEnv = "DDPM_VULKAN_MATRICES" // "off": no cooperative matrices, whatever was asked for
)

// Options of Open.
type Options struct {
	Device string // index or part of a name, as Devices lists them; "" is the first GPU, or the first device if there is none
	Block  int    // bytes of a memory block, 0 for what suits the device; tests make it small

	// NoMatrices has programs in fp16 do without cooperative matrices. Else their convolutions multiply halfs on these, adding up in fp32,
	// if the device has them, they pass a test when it is opened, and MatricesEnv is not off.
	NoMatrices bool
}

// An Unavailable error says why there is no Vulkan device at all: the CPU is what is left.
type Unavailable struct {
	Reason string
	Advice string
}

func (e *Unavailable) Error() string {
	if e.Advice == "" {
		return "vulkan: " + e.Reason
	}
	return "vulkan: " + e.Reason + ": " + e.Advice
}

// ErrNoSuchDevice says that no device has the index or name asked for.
var ErrNoSuchDevice = errors.New("no such device")

// A DeviceInfo describes a physical device.
type DeviceInfo struct {
	Index   int
	Name    string
	Kind    string // discrete, integrated, virtual, cpu, other
	Driver  string // its name and version
	API     string // Vulkan version
	Memory  int64  // bytes of device-local memory
	Free    int64  // of it, bytes that this process may take now
	Formats []string
	Limits  Limits

	Matrices string // which cooperative matrices are used and when, or why not; "" if the device lists none
	Usable   string // why not, "" if it is
}

// UsesMatrices reports whether the device's cooperative matrices are used by programs in fp16, if they pass their test.
func (d DeviceInfo) UsesMatrices() bool {
	return d.Matrices != "" && !strings.HasPrefix(d.Matrices, unused)
}

// unused begins what is said of cooperative matrices that are not used.
const unused = "not used: "

// Limits of a device that decide what fits.
type Limits struct {
	Allocation, Binding int64 // largest block of memory, largest range that a shader sees
	Shared              int   // bytes of shared memory
	Invocations         int   // in a workgroup
	Subgroup            int
	Matrices            []string // cooperative matrices, MxNxK and types
}

// choose finds the device that o asks for.
func choose(list []DeviceInfo, want string) (int, error) {
	if len(list) == 0 {
		return 0, &Unavailable{"no device", "the driver lists no GPU; ddpm-tui devices shows what this machine has"}
	}
	if want == "" {
		best, order := -1, []string{"discrete", "integrated", "virtual", "other", "cpu"}
		for _, kind := range order {
			for i, d := range list {
				if best < 0 && d.Kind == kind && d.Usable == "" {
					best = i
				}
			}
		}
		if best < 0 {
			return 0, &Unavailable{fmt.Sprintf("%s cannot be used: %s", list[0].Name, list[0].Usable), ""}
		}
		return best, nil
	}
	var names []string
	found := -1
	for i, d := range list {
		names = append(names, fmt.Sprintf("%d %s", d.Index, d.Name))
		if fmt.Sprint(d.Index) == want {
			return usable(list, i)
		}
		if found < 0 && strings.Contains(strings.ToLower(d.Name), strings.ToLower(want)) {
			found = i
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("vulkan: %w: %q; there is %s", ErrNoSuchDevice, want, strings.Join(names, "; "))
	}
	return usable(list, found)
}

// Find is the device of a list that has an index or a part of its name.
func Find(list []DeviceInfo, want string) ([]DeviceInfo, error) {
	i, err := choose(list, want)
	if err != nil {
		return nil, err
	}
	return list[i : i+1], nil
}

func usable(list []DeviceInfo, i int) (int, error) {
	if why := list[i].Usable; why != "" {
		return 0, fmt.Errorf("vulkan: device %d %s cannot be used: %s", list[i].Index, list[i].Name, why)
	}
	return i, nil
}
