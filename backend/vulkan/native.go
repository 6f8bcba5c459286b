//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

/*
#cgo linux LDFLAGS: -ldl
#include "native.h"
*/
import "C"

import (
	"strings"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// This file is the only one with cgo. It wraps native.h for the rest of the package.

// handles of the binding are pointers, those of native.h 64-bit words.
func word[H any](h H) C.nHandle { return C.nHandle(*(*uint64)(unsafe.Pointer(&h))) }

func handle[H any](w C.nHandle) (h H) {
	*(*uint64)(unsafe.Pointer(&h)) = uint64(w)
	return h
}

func pointer[H any](h H) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&h)) }

// openLibrary opens a Vulkan loader by file name; nil means that there is none.
func openLibrary(name string) (getInstanceProcAddr unsafe.Pointer) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.nOpen(c)
}

func bindFunctions(getInstanceProcAddr unsafe.Pointer, instance vk.Instance) {
	C.nBind(getInstanceProcAddr, pointer(instance))
}

// names are the extensions of the instance (no device), of a device, or the layers.
func (l *loader) names(d vk.PhysicalDevice, layers int) map[string]bool {
	const room = 1 << 16
	text := (*C.char)(C.calloc(1, room))
	defer C.free(unsafe.Pointer(text))
	C.nNames(l.get, pointer(l.instance), pointer(d), C.int(layers), text, room)
	set := map[string]bool{}
	for _, s := range strings.Fields(C.GoString(text)) {
		set[s+"\x00"] = true
	}
	return set
}

// A family is a kind of queue of a device.
type family struct {
	flags     uint32
	stampBits int // of a timestamp, 0 for none
}

func (l *loader) families(d vk.PhysicalDevice) (list []family) {
	var flags, bits [16]C.uint32_t
	n := C.nQueueFlags(l.get, pointer(l.instance), pointer(d), 16, &flags[0], &bits[0])
	for i := range n {
		list = append(list, family{uint32(flags[i]), int(bits[i])})
	}
	return list
}

// inC is a copy of v in C's memory, for structures of the binding that point at arrays.
func inC[T any](v []T) (copied []T, free func()) {
	if len(v) == 0 {
		return nil, func() {}
	}
	p := C.calloc(C.size_t(len(v)), C.size_t(unsafe.Sizeof(v[0])))
	copied = unsafe.Slice((*T)(p), len(v))
	copy(copied, v)
	return copied, func() { C.free(p) }
}

// A chain is a list of Vulkan structures, each of a type and some words, linked by pNext.
type chain struct {
	head  unsafe.Pointer
	links []unsafe.Pointer
}

// add puts a structure in front of the chain, and returns what follows its type and pointer.
func (c *chain) add(sType uint32, payload int) []byte {
	c.head = C.nLink(C.uint32_t(sType), C.size_t(payload), c.head)
	c.links = append(c.links, c.head)
	return unsafe.Slice((*byte)(unsafe.Add(c.head, 16)), payload)
}

func (c *chain) free() {
	for _, p := range c.links {
		C.free(p)
	}
	*c = chain{}
}

func features2(d vk.PhysicalDevice, c *chain)   { C.nFeatures2(pointer(d), c.head) }
func properties2(d vk.PhysicalDevice, c *chain) { C.nProperties2(pointer(d), c.head) }
func memory2(d vk.PhysicalDevice, c *chain)     { C.nMemory2(pointer(d), c.head) }

// A matrixShape is one line of what cooperative matrices a device multiplies: M x K by K x N, with component types.
type matrixShape struct {
	M, N, K    int
	A, B, C, R uint32
	Scope      uint32
}

func cooperativeMatrices(d vk.PhysicalDevice) (list []matrixShape) {
	var raw [64]C.nCooperativeMatrix
	n := C.nCooperativeMatrices(pointer(d), C.uint32_t(len(raw)), &raw[0])
	for _, m := range raw[:n] {
		list = append(list, matrixShape{int(m.M), int(m.N), int(m.K), uint32(m.A), uint32(m.B), uint32(m.C), uint32(m.R), uint32(m.scope)})
	}
	return list
}

func submit(q vk.Queue, list []vk.CommandBuffer, f vk.Fence) vk.Result {
	held, free := inC(list)
	defer free()
	return vk.Result(C.nSubmit(pointer(q), C.uint32_t(len(held)), (*unsafe.Pointer)(unsafe.Pointer(&held[0])), word(f)))
}

func memoryBarrier(c vk.CommandBuffer, src, dst vk.PipelineStageFlagBits, from, to vk.AccessFlagBits) {
	C.nBarrier(pointer(c), C.uint32_t(src), C.uint32_t(dst), C.uint32_t(from), C.uint32_t(to))
}

func copyBuffer(c vk.CommandBuffer, src, dst vk.Buffer, from, to, n int) {
	C.nCopy(pointer(c), word(src), word(dst), C.uint64_t(from), C.uint64_t(to), C.uint64_t(n))
}

// A window is a range of a buffer that a shader sees.
type window struct {
	buffer      vk.Buffer
	start, size int
}

func writeStorage(d vk.Device, set vk.DescriptorSet, ws []window) {
	var raw [16]C.nBufferInfo
	for i, w := range ws {
		raw[i] = C.nBufferInfo{buffer: word(w.buffer), offset: C.uint64_t(w.start), _range: C.uint64_t(w.size)}
	}
	C.nWriteStorage(pointer(d), word(set), C.uint32_t(len(ws)), &raw[0])
}

func createModule(d vk.Device, code []byte) (vk.ShaderModule, vk.Result) {
	var out C.nHandle
	p := C.CBytes(code) // aligned, which the embedded bytes may not be
	defer C.free(p)
	r := C.nCreateModule(pointer(d), p, C.size_t(len(code)), &out)
	return handle[vk.ShaderModule](out), vk.Result(r)
}

func createPipeline(d vk.Device, cache vk.PipelineCache, m vk.ShaderModule, layout vk.PipelineLayout, constants []uint32, subgroup int) (vk.Pipeline, vk.Result) {
	var out C.nHandle
	var raw [32]C.uint32_t
	for i, c := range constants {
		raw[i] = C.uint32_t(c)
	}
	r := C.nCreatePipeline(pointer(d), word(cache), word(m), word(layout), C.uint32_t(len(constants)), &raw[0], C.uint32_t(subgroup), &out)
	return handle[vk.Pipeline](out), vk.Result(r)
}

// listen collects the messages of the validation layer.
func listen(i vk.Instance) vk.Result { return vk.Result(C.nListen(pointer(i))) }

// messages are how many there were, and the first of them.
func messages() (count int, text string) {
	return int(C.nMessageCount()), C.GoString(C.nMessageText())
}
