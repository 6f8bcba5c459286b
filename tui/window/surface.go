//go:build window && cgo

package window

import (
	"errors"
	"fmt"
	"image"
	"math"
	"runtime"
	"unsafe"

	"github.com/go-gl/glfw/v3.3/glfw"
	vk "github.com/vulkan-go/vulkan"
)

// surface is a window's swapchain. A picture is scaled by the processor, once each time it changes, and copied into the swapchain's
// image: no pipeline is needed, and nothing is drawn while nothing changes.
type surface struct {
	win      *glfw.Window
	instance vk.Instance
	h        vk.Surface
	physical vk.PhysicalDevice
	family   uint32
	d        vk.Device
	queue    vk.Queue
	pool     vk.CommandPool
	c        vk.CommandBuffer
	fence    vk.Fence

	chain   vk.Swapchain
	images  []vk.Image
	format  vk.SurfaceFormat
	w, h_   int
	buffer  vk.Buffer
	memory  vk.DeviceMemory
	content []byte
}

func check(what string, r vk.Result) error {
	if r == vk.Success || r == vk.Suboptimal {
		return nil
	}
	return fmt.Errorf("window: %s: %w", what, vk.Error(r))
}

// steps does one after the other up to the first error.
func steps(list ...func() error) error {
	for _, f := range list {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func newSurface(win *glfw.Window) (*surface, error) {
	s := &surface{win: win}
	if err := steps(s.openInstance, s.choose, s.openDevice); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *surface) openInstance() error {
	vk.SetGetInstanceProcAddr(glfw.GetVulkanGetInstanceProcAddress())
	if err := vk.Init(); err != nil {
		return fmt.Errorf("window: %w", err)
	}
	var extensions []string
	for _, name := range s.win.GetRequiredInstanceExtensions() {
		extensions = append(extensions, name+"\x00")
	}
	app := &vk.ApplicationInfo{SType: vk.StructureTypeApplicationInfo, PApplicationName: "ddpm-tui\x00", PEngineName: "ddpm-tui\x00", ApiVersion: vk.MakeVersion(1, 0, 0)}
	info := &vk.InstanceCreateInfo{
		SType: vk.StructureTypeInstanceCreateInfo, PApplicationInfo: app, EnabledExtensionCount: uint32(len(extensions)), PpEnabledExtensionNames: extensions,
	}
	defer info.Free()
	var i vk.Instance
	if err := check("opening Vulkan", vk.CreateInstance(info, nil, &i)); err != nil {
		return err
	}
	s.instance = i
	if err := vk.InitInstance(i); err != nil {
		return fmt.Errorf("window: %w", err)
	}
	h, err := s.win.CreateWindowSurface(i, nil)
	if err != nil {
		return fmt.Errorf("window: %w", err)
	}
	s.h = vk.SurfaceFromPointer(h)
	return nil
}

// choose takes the first device, and family of its queues, that can show images in the window.
func (s *surface) choose() error {
	var n uint32
	if err := check("listing devices", vk.EnumeratePhysicalDevices(s.instance, &n, nil)); err != nil {
		return err
	}
	list := make([]vk.PhysicalDevice, n)
	if err := check("listing devices", vk.EnumeratePhysicalDevices(s.instance, &n, list)); err != nil {
		return err
	}
	for _, p := range list[:n] {
		var families uint32
		vk.GetPhysicalDeviceQueueFamilyProperties(p, &families, nil)
		for f := range families {
			var ok vk.Bool32
			if vk.GetPhysicalDeviceSurfaceSupport(p, f, s.h, &ok) == vk.Success && ok.B() {
				s.physical, s.family = p, f
				return nil
			}
		}
	}
	return errors.New("window: no Vulkan device can show images in a window here")
}

func (s *surface) openDevice() error {
	info := &vk.DeviceCreateInfo{
		SType: vk.StructureTypeDeviceCreateInfo, QueueCreateInfoCount: 1,
		PQueueCreateInfos:     []vk.DeviceQueueCreateInfo{{SType: vk.StructureTypeDeviceQueueCreateInfo, QueueFamilyIndex: s.family, QueueCount: 1, PQueuePriorities: []float32{1}}},
		EnabledExtensionCount: 1, PpEnabledExtensionNames: []string{vk.KhrSwapchainExtensionName + "\x00"},
	}
	defer info.Free()
	var d vk.Device
	if err := check("opening the device", vk.CreateDevice(s.physical, info, nil, &d)); err != nil {
		return err
	}
	s.d = d
	var q vk.Queue
	vk.GetDeviceQueue(d, s.family, 0, &q)
	s.queue = q
	pool := &vk.CommandPoolCreateInfo{
		SType: vk.StructureTypeCommandPoolCreateInfo, Flags: vk.CommandPoolCreateFlags(vk.CommandPoolCreateResetCommandBufferBit), QueueFamilyIndex: s.family,
	}
	defer pool.Free()
	var p vk.CommandPool
	if err := check("making a command pool", vk.CreateCommandPool(d, pool, nil, &p)); err != nil {
		return err
	}
	s.pool = p
	alloc := &vk.CommandBufferAllocateInfo{SType: vk.StructureTypeCommandBufferAllocateInfo, CommandPool: p, Level: vk.CommandBufferLevelPrimary, CommandBufferCount: 1}
	defer alloc.Free()
	list := make([]vk.CommandBuffer, 1)
	if err := check("making a command buffer", vk.AllocateCommandBuffers(d, alloc, list)); err != nil {
		return err
	}
	s.c = list[0]
	fence := &vk.FenceCreateInfo{SType: vk.StructureTypeFenceCreateInfo}
	defer fence.Free()
	var f vk.Fence
	if err := check("making a fence", vk.CreateFence(d, fence, nil, &f)); err != nil {
		return err
	}
	s.fence = f
	return nil
}

// resize makes a swapchain of the window's size; false means that there is nothing to draw on now.
func (s *surface) resize() (bool, error) {
	s.drop()
	var caps vk.SurfaceCapabilities
	if err := check("asking the window", vk.GetPhysicalDeviceSurfaceCapabilities(s.physical, s.h, &caps)); err != nil {
		return false, err
	}
	caps.Deref()
	caps.CurrentExtent.Deref()
	extent := caps.CurrentExtent
	if extent.Width == math.MaxUint32 {
		w, h := s.win.GetFramebufferSize()
		extent.Width, extent.Height = uint32(w), uint32(h)
	}
	if extent.Width == 0 || extent.Height == 0 {
		return false, nil
	}
	if caps.SupportedUsageFlags&vk.ImageUsageFlags(vk.ImageUsageTransferDstBit) == 0 {
		return false, errors.New("window: this device cannot copy into a window")
	}
	if err := s.chooseFormat(); err != nil {
		return false, err
	}
	count := caps.MinImageCount + 1
	if caps.MaxImageCount > 0 {
		count = min(count, caps.MaxImageCount)
	}
	alpha := vk.CompositeAlphaOpaqueBit
	if caps.SupportedCompositeAlpha&vk.CompositeAlphaFlags(alpha) == 0 {
		alpha = vk.CompositeAlphaInheritBit
	}
	info := &vk.SwapchainCreateInfo{
		SType: vk.StructureTypeSwapchainCreateInfo, Surface: s.h, MinImageCount: count, ImageFormat: s.format.Format, ImageColorSpace: s.format.ColorSpace,
		ImageExtent: extent, ImageArrayLayers: 1, ImageUsage: vk.ImageUsageFlags(vk.ImageUsageTransferDstBit), ImageSharingMode: vk.SharingModeExclusive,
		PreTransform: caps.CurrentTransform, CompositeAlpha: alpha, PresentMode: vk.PresentModeFifo, Clipped: vk.True,
	}
	defer info.Free()
	var chain vk.Swapchain
	if err := check("making the swapchain", vk.CreateSwapchain(s.d, info, nil, &chain)); err != nil {
		return false, err
	}
	s.chain, s.w, s.h_ = chain, int(extent.Width), int(extent.Height)
	var n uint32
	if err := check("its images", vk.GetSwapchainImages(s.d, chain, &n, nil)); err != nil {
		return false, err
	}
	s.images = make([]vk.Image, n)
	if err := check("its images", vk.GetSwapchainImages(s.d, chain, &n, s.images)); err != nil {
		return false, err
	}
	return true, s.openBuffer(4 * s.w * s.h_)
}

// chooseFormat wants bytes as they are in a picture, in either order, without a conversion.
func (s *surface) chooseFormat() error {
	var n uint32
	if err := check("its formats", vk.GetPhysicalDeviceSurfaceFormats(s.physical, s.h, &n, nil)); err != nil {
		return err
	}
	list := make([]vk.SurfaceFormat, n)
	if err := check("its formats", vk.GetPhysicalDeviceSurfaceFormats(s.physical, s.h, &n, list)); err != nil {
		return err
	}
	for _, want := range []vk.Format{vk.FormatB8g8r8a8Unorm, vk.FormatR8g8b8a8Unorm, vk.FormatB8g8r8a8Srgb, vk.FormatR8g8b8a8Srgb} {
		for i := range list[:n] {
			if list[i].Deref(); list[i].Format == want {
				s.format = list[i]
				return nil
			}
		}
	}
	return errors.New("window: it takes no pixels of 8 bits a colour")
}

func (s *surface) bgr() bool {
	return s.format.Format == vk.FormatB8g8r8a8Unorm || s.format.Format == vk.FormatB8g8r8a8Srgb
}

// openBuffer makes the memory that the processor draws into.
func (s *surface) openBuffer(size int) error {
	info := &vk.BufferCreateInfo{
		SType: vk.StructureTypeBufferCreateInfo, Size: vk.DeviceSize(size), Usage: vk.BufferUsageFlags(vk.BufferUsageTransferSrcBit), SharingMode: vk.SharingModeExclusive,
	}
	defer info.Free()
	var b vk.Buffer
	if err := check("making a buffer", vk.CreateBuffer(s.d, info, nil, &b)); err != nil {
		return err
	}
	s.buffer = b
	var need vk.MemoryRequirements
	vk.GetBufferMemoryRequirements(s.d, b, &need)
	need.Deref()
	var props vk.PhysicalDeviceMemoryProperties
	vk.GetPhysicalDeviceMemoryProperties(s.physical, &props)
	props.Deref()
	const visible = vk.MemoryPropertyFlags(vk.MemoryPropertyHostVisibleBit | vk.MemoryPropertyHostCoherentBit)
	for i := range props.MemoryTypeCount {
		t := props.MemoryTypes[i]
		t.Deref()
		if need.MemoryTypeBits>>i&1 == 0 || t.PropertyFlags&visible != visible {
			continue
		}
		alloc := &vk.MemoryAllocateInfo{SType: vk.StructureTypeMemoryAllocateInfo, AllocationSize: need.Size, MemoryTypeIndex: i}
		defer alloc.Free()
		var m vk.DeviceMemory
		if err := check("memory", vk.AllocateMemory(s.d, alloc, nil, &m)); err != nil {
			return err
		}
		s.memory = m
		if err := check("memory", vk.BindBufferMemory(s.d, b, m, 0)); err != nil {
			return err
		}
		var p unsafe.Pointer
		if err := check("memory", vk.MapMemory(s.d, m, 0, vk.DeviceSize(size), 0, &p)); err != nil {
			return err
		}
		s.content = unsafe.Slice((*byte)(p), size)
		return nil
	}
	return errors.New("window: the device has no memory that the host reaches")
}

// draw shows a picture; nil is an empty window.
func (s *surface) draw(m *image.RGBA) error {
	for range 3 { // the window may change its size in between
		if s.chain == nil {
			if ok, err := s.resize(); err != nil || !ok {
				return err
			}
		}
		if w, h := s.win.GetFramebufferSize(); w != s.w || h != s.h_ {
			s.drop()
			continue
		}
		fit(s.content, s.w, s.h_, m, s.bgr())
		again, err := s.present()
		if err != nil || !again {
			return err
		}
		s.drop()
	}
	return nil
}

// present copies what was drawn into the next image; again means that the swapchain no longer fits the window.
func (s *surface) present() (again bool, err error) {
	var i uint32
	switch r := vk.AcquireNextImage(s.d, s.chain, math.MaxUint64, nil, s.fence, &i); r {
	case vk.ErrorOutOfDate:
		return true, nil
	case vk.Success, vk.Suboptimal:
	default:
		return false, check("the next image", r)
	}
	if err := s.wait(); err != nil {
		return false, err
	}
	begin := &vk.CommandBufferBeginInfo{SType: vk.StructureTypeCommandBufferBeginInfo}
	defer begin.Free()
	if err := check("recording", vk.BeginCommandBuffer(s.c, begin)); err != nil {
		return false, err
	}
	s.to(s.images[i], vk.ImageLayoutUndefined, vk.ImageLayoutTransferDstOptimal)
	region := []vk.BufferImageCopy{{
		ImageSubresource: vk.ImageSubresourceLayers{AspectMask: vk.ImageAspectFlags(vk.ImageAspectColorBit), LayerCount: 1},
		ImageExtent:      vk.Extent3D{Width: uint32(s.w), Height: uint32(s.h_), Depth: 1},
	}}
	vk.CmdCopyBufferToImage(s.c, s.buffer, s.images[i], vk.ImageLayoutTransferDstOptimal, 1, region)
	runtime.KeepAlive(region)
	s.to(s.images[i], vk.ImageLayoutTransferDstOptimal, vk.ImageLayoutPresentSrc)
	if err := check("recording", vk.EndCommandBuffer(s.c)); err != nil {
		return false, err
	}
	submit := []vk.SubmitInfo{{SType: vk.StructureTypeSubmitInfo, CommandBufferCount: 1, PCommandBuffers: []vk.CommandBuffer{s.c}}}
	r := vk.QueueSubmit(s.queue, 1, submit, s.fence)
	runtime.KeepAlive(submit)
	if err := check("drawing", r); err != nil {
		return false, err
	}
	if err := s.wait(); err != nil {
		return false, err
	}
	show := &vk.PresentInfo{SType: vk.StructureTypePresentInfo, SwapchainCount: 1, PSwapchains: []vk.Swapchain{s.chain}, PImageIndices: []uint32{i}}
	r = vk.QueuePresent(s.queue, show)
	runtime.KeepAlive(show)
	if r == vk.ErrorOutOfDate || r == vk.Suboptimal {
		return true, nil
	}
	return false, check("showing", r)
}

// to changes an image's layout.
func (s *surface) to(m vk.Image, from, to vk.ImageLayout) {
	barrier := []vk.ImageMemoryBarrier{{
		SType: vk.StructureTypeImageMemoryBarrier, SrcAccessMask: vk.AccessFlags(vk.AccessTransferWriteBit), DstAccessMask: vk.AccessFlags(vk.AccessTransferWriteBit | vk.AccessMemoryReadBit),
		OldLayout: from, NewLayout: to, SrcQueueFamilyIndex: vk.QueueFamilyIgnored, DstQueueFamilyIndex: vk.QueueFamilyIgnored, Image: m,
		SubresourceRange: vk.ImageSubresourceRange{AspectMask: vk.ImageAspectFlags(vk.ImageAspectColorBit), LevelCount: 1, LayerCount: 1},
	}}
	stage := vk.PipelineStageFlags(vk.PipelineStageTransferBit)
	vk.CmdPipelineBarrier(s.c, stage, stage, 0, 0, nil, 0, nil, 1, barrier)
	runtime.KeepAlive(barrier)
}

func (s *surface) wait() error {
	fences := []vk.Fence{s.fence}
	if err := check("waiting", vk.WaitForFences(s.d, 1, fences, vk.True, math.MaxUint64)); err != nil {
		return err
	}
	return check("waiting", vk.ResetFences(s.d, 1, fences))
}

// drop frees what depends on the window's size.
func (s *surface) drop() {
	vk.DeviceWaitIdle(s.d)
	if s.memory != nil {
		vk.FreeMemory(s.d, s.memory, nil)
	}
	if s.buffer != nil {
		vk.DestroyBuffer(s.d, s.buffer, nil)
	}
	if s.chain != nil {
		vk.DestroySwapchain(s.d, s.chain, nil)
	}
	s.memory, s.buffer, s.chain, s.content = nil, nil, nil, nil
}

func (s *surface) close() {
	if s.d != nil {
		s.drop()
		if s.fence != nil {
			vk.DestroyFence(s.d, s.fence, nil)
		}
		if s.pool != nil {
			vk.DestroyCommandPool(s.d, s.pool, nil)
		}
		vk.DestroyDevice(s.d, nil)
	}
	if s.h != nil {
		vk.DestroySurface(s.instance, s.h, nil)
	}
	if s.instance != nil {
		vk.DestroyInstance(s.instance, nil)
	}
}
