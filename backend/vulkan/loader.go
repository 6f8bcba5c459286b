//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// libraries are the files that a Vulkan loader has, without any -dev package.
func libraries() []string {
	if file := os.Getenv(LoaderEnv); file != "" {
		return []string{file}
	}
	switch runtime.GOOS {
	case "windows":
		return []string{"vulkan-1.dll"}
	case "darwin":
		return []string{"libvulkan.1.dylib", "libMoltenVK.dylib", "/opt/homebrew/lib/libMoltenVK.dylib", "/usr/local/lib/libMoltenVK.dylib"}
	}
	return []string{"libvulkan.so.1", "libvulkan.so"}
}

// A loader is the Vulkan library of this machine and the one instance that all devices of this process share. The binding keeps
// its functions in global variables, so there is one of it.
type loader struct {
	get       unsafe.Pointer // vkGetInstanceProcAddr
	instance  vk.Instance
	validates bool
}

var theLoader = sync.OnceValues(load)

// load opens the library and makes the instance.
func load() (*loader, error) {
	var get unsafe.Pointer // vkGetInstanceProcAddr
	for _, name := range libraries() {
		if get = openLibrary(name); get != nil {
			break
		}
	}
	if get == nil {
		return nil, &Unavailable{
			"no Vulkan loader (" + libraries()[0] + ")", "install the GPU's driver; on Debian and Ubuntu: apt install libvulkan1 mesa-vulkan-drivers",
		}
	}
	vk.SetGetInstanceProcAddr(get)
	if err := vk.Init(); err != nil {
		return nil, &Unavailable{"the Vulkan loader does not start: " + err.Error(), ""}
	}
	l := &loader{get: get}
	flags, layers, extensions := l.wishes()
	app := &vk.ApplicationInfo{SType: vk.StructureTypeApplicationInfo, PApplicationName: "ddpm-tui\x00", PEngineName: "ddpm-tui\x00", ApiVersion: vk.MakeVersion(1, 1, 0)}
	info := &vk.InstanceCreateInfo{
		SType: vk.StructureTypeInstanceCreateInfo, Flags: flags, PApplicationInfo: app,
		EnabledLayerCount: uint32(len(layers)), PpEnabledLayerNames: layers, EnabledExtensionCount: uint32(len(extensions)), PpEnabledExtensionNames: extensions,
	}
	var instance vk.Instance
	r := vk.CreateInstance(info, nil, &instance)
	info.Free()
	switch r {
	case vk.Success:
	case vk.ErrorIncompatibleDriver:
		return nil, &Unavailable{"no driver", "the Vulkan loader is there but finds no driver that works; install the GPU's, or mesa-vulkan-drivers"}
	default:
		return nil, &Unavailable{"no instance: " + resultText(r), ""}
	}
	l.instance = instance
	if err := vk.InitInstance(instance); err != nil {
		return nil, &Unavailable{"the Vulkan loader does not start: " + err.Error(), ""}
	}
	bindFunctions(get, instance)
	if l.validates {
		if r := listen(instance); r != vk.Success {
			return nil, &Unavailable{"the validation layer does not speak: " + resultText(r), "unset " + ValidateEnv}
		}
	}
	return l, nil
}

// Names end in a zero, as the binding wants them.
const (
	layerValidation   = "VK_LAYER_KHRONOS_validation\x00"
	extDebug          = "VK_EXT_debug_utils\x00"
	extPortability    = "VK_KHR_portability_enumeration\x00"
	portabilityFlag   = 1 // VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR
	extSubset         = "VK_KHR_portability_subset\x00"
	extBudget         = "VK_EXT_memory_budget\x00"
	extFloat16        = "VK_KHR_shader_float16_int8\x00"
	extDriver         = "VK_KHR_driver_properties\x00"
	extCooperative    = "VK_KHR_cooperative_matrix\x00"
	extMemoryModel    = "VK_KHR_vulkan_memory_model\x00"
	extStorageClass   = "VK_KHR_storage_buffer_storage_class\x00"
	extSubgroupSizing = "VK_EXT_subgroup_size_control\x00"
)

// wishes are what the instance is made with: portability drivers (MoltenVK) where they are listed apart, and validation if asked for.
func (l *loader) wishes() (flags vk.InstanceCreateFlags, layers, extensions []string) {
	has := l.names(nil, 0)
	if has[extPortability] {
		flags, extensions = portabilityFlag, append(extensions, extPortability)
	}
	if os.Getenv(ValidateEnv) != "" && l.names(nil, 1)[layerValidation] && has[extDebug] {
		l.validates = true
		layers, extensions = append(layers, layerValidation), append(extensions, extDebug)
	}
	return flags, layers, extensions
}

// Messages are what the validation layer said, if it was asked for: how often, and the first texts.
func Messages() (count int, text string) { return messages() }

// Validating reports whether the validation layer watches.
func Validating() bool {
	l, err := theLoader()
	return err == nil && l.validates
}

// results are the words for what Vulkan calls by number.
var results = map[vk.Result]string{
	vk.ErrorOutOfHostMemory: "out of host memory", vk.ErrorOutOfDeviceMemory: "out of device memory", vk.ErrorInitializationFailed: "initialisation failed",
	vk.ErrorDeviceLost: "the device was lost (the driver reset it, or it was unplugged)", vk.ErrorMemoryMapFailed: "memory cannot be mapped",
	vk.ErrorLayerNotPresent: "a layer is missing", vk.ErrorExtensionNotPresent: "an extension is missing", vk.ErrorFeatureNotPresent: "a feature is missing",
	vk.ErrorIncompatibleDriver: "no driver that works", vk.ErrorTooManyObjects: "too many objects", vk.Timeout: "no answer in time",
}

func resultText(r vk.Result) string {
	if s, ok := results[r]; ok {
		return s
	}
	return fmt.Sprintf("error %d", r)
}

// check turns a result into an error.
func check(what string, r vk.Result) error {
	if r == vk.Success {
		return nil
	}
	return &Error{what, r}
}

// An Error is a call that failed.
type Error struct {
	What   string
	Result vk.Result
}

func (e *Error) Error() string { return "vulkan: " + e.What + ": " + resultText(e.Result) }

// Is says what the error means to those who do not know Vulkan.
func (e *Error) Is(target error) bool {
	switch e.Result {
	case vk.ErrorOutOfDeviceMemory, vk.ErrorOutOfHostMemory:
		return target == backend.ErrMemory
	case vk.ErrorDeviceLost, vk.Timeout:
		return target == backend.ErrLost
	}
	return false
}
