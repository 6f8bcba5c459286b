//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"errors"
	"os"
	"sync"
	"time"

	vk "github.com/vulkan-go/vulkan"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Backend is one opened device.
type Backend struct {
	*physical
	d       vk.Device
	queue   vk.Queue
	pool    vk.CommandPool
	layouts map[int]layout // by number of bindings
	kernels map[string]*kernel
	cache   pipelineCache
	memory  memory
	staging staging
	halfPath
	live       map[*executable]bool
	buffers    map[*buffer]bool
	mu         sync.Mutex   // the queue, one program at a time
	lost       error        // what it was lost with; nothing works from then on
	stuck      bool         // it was lost because it gave no answer in time, and may still be at work
	impatient  bool         // wait for nothing, for tests
	matrix     *matrixShape // of the cooperative matrices in use, nil for none
	notes      []string     // what a person should know
	onlyTiling int          // of cooperative matrices, from 1, for tests; 0 for the rule
}

// Open opens the device that o asks for.
func Open(o Options) (backend.Backend, error) {
	b, err := open(o)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func open(o Options) (*Backend, error) {
	list, err := physicals()
	if err != nil {
		return nil, err
	}
	infos := make([]DeviceInfo, len(list))
	for i, p := range list {
		infos[i] = p.DeviceInfo
	}
	i, err := choose(infos, o.Device)
	if err != nil {
		return nil, err
	}
	b := &Backend{physical: list[i], layouts: map[int]layout{}, kernels: map[string]*kernel{}, live: map[*executable]bool{}, buffers: map[*buffer]bool{}}
	b.memory.init(b, o.Block)
	matrices := func() error { return b.openMatrices(o) }
	for _, f := range []func() error{b.createDevice, b.createPool, b.openStaging, b.openCache, matrices} {
		if err := f(); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	return b, nil
}

// createDevice makes the logical device with its one queue and the features that the kernels use.
func (b *Backend) createDevice() error {
	var c chain
	defer c.free()
	extensions := b.wishes(&c)
	priorities, free := inC([]float32{1})
	defer free()
	info := &vk.DeviceCreateInfo{
		SType: vk.StructureTypeDeviceCreateInfo, PNext: c.head, QueueCreateInfoCount: 1,
		PQueueCreateInfos: []vk.DeviceQueueCreateInfo{{
			SType: vk.StructureTypeDeviceQueueCreateInfo, QueueFamilyIndex: uint32(b.family), QueueCount: 1, PQueuePriorities: priorities,
		}},
		EnabledExtensionCount: uint32(len(extensions)), PpEnabledExtensionNames: extensions,
	}
	var d vk.Device
	r := vk.CreateDevice(b.h, info, nil, &d)
	info.Free()
	if err := check("opening "+b.Name, r); err != nil {
		return err
	}
	b.d = d
	var q vk.Queue
	vk.GetDeviceQueue(d, uint32(b.family), 0, &q)
	b.queue = q
	return nil
}

// wishes fills the chain of features and names the extensions.
func (b *Backend) wishes(c *chain) (extensions []string) {
	put := func(p []byte, i int) { p[4*i] = 1 }
	if b.half {
		extensions = append(extensions, extFloat16)
		put(c.add(s16BitStorage, 16), 0)
		put(c.add(sFloat16, 8), 0)
	}
	extensions = append(extensions, b.wishMatrices(c)...)
	if b.extensions[extSubset] {
		extensions = append(extensions, extSubset)
	}
	return extensions
}

func (b *Backend) createPool() error {
	info := &vk.CommandPoolCreateInfo{
		SType: vk.StructureTypeCommandPoolCreateInfo, Flags: vk.CommandPoolCreateFlags(vk.CommandPoolCreateResetCommandBufferBit), QueueFamilyIndex: uint32(b.family),
	}
	defer info.Free()
	var p vk.CommandPool
	r := vk.CreateCommandPool(b.d, info, nil, &p)
	b.pool = p
	return check("making a command pool", r)
}

// Info describes the device; its memory is what is free now.
func (b *Backend) Info() backend.Info {
	b.mu.Lock()
	b.readMemory()
	free := b.Free + b.memory.unused()
	b.mu.Unlock()
	return backend.Info{Backend: "vulkan", Device: b.Name, ISA: "Vulkan " + b.API, Memory: free, Formats: b.Formats, Precisions: b.precisions()}
}

// Halo implements backend.Planner: the shaders read dense images and look where an image ends.
func (b *Backend) Halo(string, any, int, []backend.Shape) int { return 0 }

// Dense implements backend.Planner.
func (b *Backend) Dense(string) bool { return true }

// Chunk implements backend.Chunked.
func (b *Backend) Chunk() int { return b.memory.chunk }

// Scratch implements backend.Planner.
func (b *Backend) Scratch(s *backend.Step) int {
	if op := ops[s.Op]; op.scratch != nil {
		return op.scratch(b, s) * 4
	}
	return 0
}

// commands allocates command buffers.
func (b *Backend) commands(n int) ([]vk.CommandBuffer, error) {
	info := &vk.CommandBufferAllocateInfo{
		SType: vk.StructureTypeCommandBufferAllocateInfo, CommandPool: b.pool, Level: vk.CommandBufferLevelPrimary, CommandBufferCount: uint32(n),
	}
	defer info.Free()
	list := make([]vk.CommandBuffer, n)
	r := vk.AllocateCommandBuffers(b.d, info, list)
	return list, check("making command buffers", r)
}

// begin starts recording; times is whether the buffer may be pending more than once.
func begin(c vk.CommandBuffer, again bool) error {
	info := &vk.CommandBufferBeginInfo{SType: vk.StructureTypeCommandBufferBeginInfo}
	if again {
		info.Flags = vk.CommandBufferUsageFlags(vk.CommandBufferUsageSimultaneousUseBit)
	}
	defer info.Free()
	return check("recording", vk.BeginCommandBuffer(c, info))
}

// everything is the barrier between whatever ran before, on the queue or by the host, and whatever comes.
func everything(c vk.CommandBuffer) {
	const compute, transfer = vk.PipelineStageComputeShaderBit, vk.PipelineStageTransferBit
	memoryBarrier(c, compute|transfer, compute|transfer, vk.AccessShaderWriteBit|vk.AccessTransferWriteBit,
		vk.AccessShaderReadBit|vk.AccessShaderWriteBit|vk.AccessTransferReadBit|vk.AccessTransferWriteBit)
}

func (b *Backend) newFence() (vk.Fence, error) {
	info := &vk.FenceCreateInfo{SType: vk.StructureTypeFenceCreateInfo}
	defer info.Free()
	var f vk.Fence
	r := vk.CreateFence(b.d, info, nil, &f)
	return f, check("making a fence", r)
}

// patience is how long a submission may take before the device counts as lost. A driver in software also compiles meanwhile, on processors
// that others may use.
func (b *Backend) patience() time.Duration {
	switch {
	case b.impatient:
		return 0
	case b.Kind == "cpu":
		return 2 * time.Hour
	}
	return 10 * time.Minute
}

// send submits command buffers; f is signalled at their end.
func (b *Backend) send(f vk.Fence, list ...vk.CommandBuffer) error {
	if b.lost != nil {
		return b.lost
	}
	r := vk.ErrorDeviceLost
	if !loses() {
		r = submit(b.queue, list, f)
	}
	return b.fate(check("submitting work", r))
}

// loses says, for tests, that the device is to be lost now.
func loses() bool {
	file := os.Getenv(LoseEnv)
	if file == "" {
		return false
	}
	_, err := os.Stat(file)
	return err == nil
}

// wait waits for a fence and resets it.
func (b *Backend) wait(f vk.Fence) error {
	if b.lost != nil {
		return b.lost
	}
	fences := []vk.Fence{f}
	r := vk.WaitForFences(b.d, 1, fences, vk.True, uint64(b.patience()))
	b.stuck = b.stuck || r == vk.Timeout
	if err := b.fate(check("waiting for the device", r)); err != nil {
		return err
	}
	return check("resetting a fence", vk.ResetFences(b.d, 1, fences))
}

// fate remembers that the device is lost.
func (b *Backend) fate(err error) error {
	if errors.Is(err, backend.ErrLost) {
		b.lost = err
	}
	return err
}

// idle says that nothing on the device is at work any more when something is freed. Not so where it gave no answer in time: what it may
// still be writing to stays until the process ends.
func (b *Backend) idle() bool { return b.d != nil && !b.stuck }

// Close frees everything of the device, with the buffers and executables that are still there.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.idle() {
		return nil
	}
	vk.DeviceWaitIdle(b.d)
	for e := range b.live {
		e.free()
	}
	for f := range b.buffers {
		f.free()
	}
	err := b.closeCache()
	b.closeStaging()
	for _, k := range b.kernels {
		vk.DestroyPipeline(b.d, k.pipeline, nil)
	}
	for _, l := range b.layouts {
		vk.DestroyPipelineLayout(b.d, l.pipeline, nil)
		vk.DestroyDescriptorSetLayout(b.d, l.set, nil)
	}
	b.memory.close()
	if b.pool != nil {
		vk.DestroyCommandPool(b.d, b.pool, nil)
	}
	vk.DestroyDevice(b.d, nil)
	b.d = nil
	return err
}
