//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"encoding/binary"
	"fmt"
	"slices"

	vk "github.com/vulkan-go/vulkan"
)

// A physical is a device that the driver lists, with all that is asked of it, read once.
type physical struct {
	DeviceInfo
	h          vk.PhysicalDevice
	extensions map[string]bool
	family     int // queue family that computes
	stampBits  int // of its timestamps
	types      []memoryType
	heaps      []int64 // bytes
	matrices   []matrixShape
	half       bool // fp16 arithmetic and storage
	subgroups  subgroups
	period     float64
	uuid       [16]byte
	alignment  int    // of a storage buffer's offset
	groups     [3]int // most workgroups a dispatch
	sizes      [3]int // most invocations a workgroup along each axis
	integrated bool   // shares the memory of the processor
}

type memoryType struct {
	flags uint32
	heap  int
}

// Structure types that the binding does not know.
const (
	sFeatures2     = 1000059000
	sProperties2   = 1000059001
	sMemory2       = 1000059006
	sSubgroup      = 1000094000
	s16BitStorage  = 1000083000
	sFloat16       = 1000082000
	sDriver        = 1000196000
	sMaintenance3  = 1000168000
	sBudget        = 1000237000
	sCooperative   = 1000506000
	sMemoryModel   = 1000211000
	sizeFeatures   = 55 * 4
	sizeProperties = 824
	sizeMemory     = 8 + 32*8 + 16*16
)

// Devices lists the physical devices.
func Devices() ([]DeviceInfo, error) {
	list, err := physicals()
	infos := make([]DeviceInfo, len(list))
	for i, p := range list {
		infos[i] = p.DeviceInfo
	}
	return infos, err
}

func physicals() ([]*physical, error) {
	l, err := theLoader()
	if err != nil {
		return nil, err
	}
	var n uint32
	if r := vk.EnumeratePhysicalDevices(l.instance, &n, nil); r != vk.Success || n == 0 {
		return nil, &Unavailable{"no device", "the Vulkan loader finds no driver that works; install the GPU's, or mesa-vulkan-drivers for one on the CPU"}
	}
	handles := make([]vk.PhysicalDevice, n)
	if err := check("listing the devices", vk.EnumeratePhysicalDevices(l.instance, &n, handles)); err != nil {
		return nil, err
	}
	list := make([]*physical, n)
	for i, h := range handles[:n] {
		list[i] = l.read(i, h)
	}
	return list, nil
}

// read asks a device for everything once.
func (l *loader) read(index int, h vk.PhysicalDevice) *physical {
	p := &physical{h: h, extensions: l.names(h, 0)}
	p.Index = index
	p.readProperties()
	p.readQueues(l)
	if p.Usable == "" {
		p.readMemory()
		p.readFeatures()
	}
	return p
}

func (p *physical) readProperties() {
	var v vk.PhysicalDeviceProperties
	vk.GetPhysicalDeviceProperties(p.h, &v)
	v.Deref()
	lim := v.Limits
	lim.Deref()
	p.Name, p.API = vk.ToString(v.DeviceName[:]), vk.Version(v.ApiVersion).String()
	kinds := map[vk.PhysicalDeviceType]string{
		vk.PhysicalDeviceTypeDiscreteGpu: "discrete", vk.PhysicalDeviceTypeIntegratedGpu: "integrated", vk.PhysicalDeviceTypeVirtualGpu: "virtual",
		vk.PhysicalDeviceTypeCpu: "cpu",
	}
	if p.Kind = kinds[v.DeviceType]; p.Kind == "" {
		p.Kind = "other"
	}
	p.integrated = p.Kind == "integrated" || p.Kind == "cpu"
	p.uuid, p.period = v.PipelineCacheUUID, float64(lim.TimestampPeriod)
	p.alignment = int(lim.MinStorageBufferOffsetAlignment)
	for i := range 3 {
		p.groups[i], p.sizes[i] = int(min(lim.MaxComputeWorkGroupCount[i], 1<<30)), int(lim.MaxComputeWorkGroupSize[i])
	}
	p.Limits = Limits{
		Allocation: 1 << 30, Binding: int64(lim.MaxStorageBufferRange), Shared: int(lim.MaxComputeSharedMemorySize),
		Invocations: int(lim.MaxComputeWorkGroupInvocations),
	}
	p.Driver = vk.Version(v.DriverVersion).String()
	v.Free()
	if vk.Version(v.ApiVersion).Major() == 1 && vk.Version(v.ApiVersion).Minor() < 1 {
		p.Usable = "it has Vulkan " + p.API + ", 1.1 is needed"
		return
	}
	var c chain
	defer c.free()
	subgroup, third := c.add(sSubgroup, 16), c.add(sMaintenance3, 16)
	var driver []byte
	if p.extensions[extDriver] {
		driver = c.add(sDriver, 4+256+256+4)
	}
	c.add(sProperties2, sizeProperties)
	properties2(p.h, &c)
	p.Limits.Subgroup = int(u32(subgroup, 0))
	if n := binary.LittleEndian.Uint64(third[8:]); n > 0 {
		p.Limits.Allocation = int64(min(n, 1<<62))
	}
	if driver != nil {
		p.Driver = vk.ToString(driver[4:260]) + " " + vk.ToString(driver[260:516])
	}
}

func u32(p []byte, i int) uint32 { return binary.LittleEndian.Uint32(p[4*i:]) }

// readQueues finds the queue family: one that only computes if there is one, since it keeps the display's queue free.
func (p *physical) readQueues(l *loader) {
	const graphics, compute = 1, 2
	p.family = -1
	for i, f := range l.families(p.h) {
		if f.flags&compute != 0 && (p.family < 0 || f.flags&graphics == 0) {
			p.family, p.stampBits = i, f.stampBits
			if f.flags&graphics == 0 {
				break
			}
		}
	}
	if p.family < 0 && p.Usable == "" {
		p.Usable = "it has no queue that computes"
	}
}

// Memory property flags.
const (
	memDevice   = 1
	memVisible  = 2
	memCoherent = 4
	memCached   = 8
)

// readMemory reads heaps and types, and what of the device's heaps is free.
func (p *physical) readMemory() {
	var c chain
	defer c.free()
	var budget []byte
	if p.extensions[extBudget] {
		budget = c.add(sBudget, 2*16*8)
	}
	m := c.add(sMemory2, sizeMemory)
	memory2(p.h, &c)
	p.types, p.heaps, p.Memory, p.Free = nil, nil, 0, 0
	for i := range u32(m, 0) {
		p.types = append(p.types, memoryType{u32(m, 1+2*int(i)), int(u32(m, 2+2*int(i)))})
	}
	heaps := m[8+32*8:]
	for i := range int(u32(m, 65)) {
		size := int64(binary.LittleEndian.Uint64(heaps[16*i:]))
		p.heaps = append(p.heaps, size)
		if flags := u32(heaps[16*i:], 2); flags&1 == 0 || size < p.Memory {
			continue // not the device's own, or a smaller one beside the large
		}
		p.Memory, p.Free = size, size/10*9
		if budget != nil {
			have, used := binary.LittleEndian.Uint64(budget[8*i:]), binary.LittleEndian.Uint64(budget[128+8*i:])
			p.Free = int64(have) - int64(min(have, used))
		}
	}
}

// readFeatures finds the precisions.
func (p *physical) readFeatures() {
	p.Formats = []string{"fp32"}
	var c chain
	defer c.free()
	storage := c.add(s16BitStorage, 16)
	var float16, cooperative []byte
	if p.extensions[extFloat16] {
		float16 = c.add(sFloat16, 8)
	}
	if p.extensions[extCooperative] {
		cooperative = c.add(sCooperative, 8)
	}
	c.add(sFeatures2, sizeFeatures)
	features2(p.h, &c)
	p.half = u32(storage, 0) != 0 && float16 != nil && u32(float16, 0) != 0
	if p.half {
		p.Formats = append(p.Formats, "fp16 storage")
	}
	if cooperative == nil || u32(cooperative, 0) == 0 {
		return
	}
	types := []string{"f16", "f32", "f64", "s8", "s16", "s32", "s64", "u8", "u16", "u32", "u64"}
	word := func(t uint32) string {
		if int(t) < len(types) {
			return types[t]
		}
		return fmt.Sprint("type ", t)
	}
	for _, m := range cooperativeMatrices(p.h) {
		if m.Scope != 3 {
			continue // of a subgroup only
		}
		p.matrices = append(p.matrices, m)
		s := fmt.Sprintf("%dx%dx%d %s to %s", m.M, m.N, m.K, word(m.A), word(m.R))
		if !slices.Contains(p.Limits.Matrices, s) {
			p.Limits.Matrices = append(p.Limits.Matrices, s)
		}
	}
	p.readSubgroups()
	m, why := p.units()
	if p.Matrices = unused + why; m != nil {
		p.Matrices = fmt.Sprintf("%dx%dx%d with --precision fp16 (%s=off: never)", m.M, m.N, m.K, MatricesEnv)
		p.Formats = append(p.Formats, "fp16 cooperative matrices")
	}
}
