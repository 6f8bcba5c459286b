//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"errors"
	"fmt"
	"slices"

	vk "github.com/vulkan-go/vulkan"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Memory comes in blocks of the device's own memory, from which buffers are cut: drivers allow few allocations. A buffer larger
// than a shader or an allocation may reach lies in several chunks; the plan keeps values from crossing their borders.
type memory struct {
	b      *Backend
	block  int // bytes of a block
	chunk  int // most bytes of a chunk
	typ    int // memory type, -1 before the first buffer
	blocks []*block
}

type block struct {
	m    vk.DeviceMemory
	size int
	used []span // by start
}

type span struct{ start, size int }

const (
	mib        = 1 << 20
	leastBlock = 256 * mib
	mostBlock  = 1024 * mib
	cut        = 256 // alignment of a chunk's size
)

func (m *memory) init(b *Backend, size int) {
	m.b, m.typ = b, -1
	m.chunk = int(min(int64(mostBlock), b.Limits.Allocation)) / cut * cut
	m.block = min(m.chunk, max(leastBlock, min(mostBlock, int(b.Memory/32)/cut*cut)))
	if size > 0 {
		m.block = min(m.chunk, (size+cut-1)/cut*cut)
		m.chunk = m.block
	}
}

// unused is the bytes of blocks that no buffer has taken.
func (m *memory) unused() (n int64) {
	for _, b := range m.blocks {
		n += int64(b.size)
		for _, s := range b.used {
			n -= int64(s.size)
		}
	}
	return n
}

// A chunk is a Vulkan buffer on a piece of a block.
type chunk struct {
	h     vk.Buffer
	size  int
	block *block
	at    span
}

// take makes a chunk of n bytes.
func (m *memory) take(n int) (chunk, error) {
	c := chunk{size: (n + cut - 1) / cut * cut}
	info := &vk.BufferCreateInfo{
		SType: vk.StructureTypeBufferCreateInfo, Size: vk.DeviceSize(c.size), SharingMode: vk.SharingModeExclusive,
		Usage: vk.BufferUsageFlags(vk.BufferUsageStorageBufferBit | vk.BufferUsageTransferSrcBit | vk.BufferUsageTransferDstBit),
	}
	var h vk.Buffer
	r := vk.CreateBuffer(m.b.d, info, nil, &h)
	info.Free()
	if err := check("making a buffer", r); err != nil {
		return c, err
	}
	c.h = h
	var need vk.MemoryRequirements
	vk.GetBufferMemoryRequirements(m.b.d, h, &need)
	need.Deref()
	size, align, types := int(need.Size), int(need.Alignment), need.MemoryTypeBits
	need.Free()
	err := m.place(&c, size, align, types)
	if err == nil {
		err = check("binding memory", vk.BindBufferMemory(m.b.d, h, c.block.m, vk.DeviceSize(c.at.start)))
	}
	if err != nil {
		m.give(c)
	}
	return c, err
}

// place finds room for a chunk in a block, or makes a block.
func (m *memory) place(c *chunk, size, align int, types uint32) error {
	if m.typ < 0 {
		if m.typ = m.b.memoryType(types, memDevice, memVisible); m.typ < 0 {
			return errors.New("vulkan: the device has no memory of its own for buffers")
		}
	}
	for _, b := range m.blocks {
		if at, ok := b.room(size, align); ok {
			c.block, c.at = b, span{at, size}
			b.occupy(c.at)
			return nil
		}
	}
	n := m.block
	if size > n/2 {
		n = size
	}
	h, err := m.b.allocate(n, m.typ)
	if err != nil && n > size { // a whole block is too much: what is asked for may still fit
		n = size
		h, err = m.b.allocate(n, m.typ)
	}
	if err != nil {
		return err
	}
	b := &block{m: h, size: n}
	m.blocks = append(m.blocks, b)
	c.block, c.at = b, span{0, size}
	b.occupy(c.at)
	return nil
}

// room is the first place in the block where size bytes are free.
func (b *block) room(size, align int) (at int, ok bool) {
	for _, s := range append(b.used[:len(b.used):len(b.used)], span{b.size, 0}) {
		if at+size <= s.start {
			return at, true
		}
		at = (s.start + s.size + align - 1) / align * align
	}
	return 0, false
}

func (b *block) occupy(s span) {
	i, _ := slices.BinarySearchFunc(b.used, s, func(a, b span) int { return a.start - b.start })
	b.used = slices.Insert(b.used, i, s)
}

// give returns a chunk; a block with no chunk left is given back to the driver.
func (m *memory) give(c chunk) {
	vk.DestroyBuffer(m.b.d, c.h, nil)
	if c.block == nil {
		return
	}
	c.block.used = slices.DeleteFunc(c.block.used, func(s span) bool { return s == c.at })
	if len(c.block.used) == 0 {
		vk.FreeMemory(m.b.d, c.block.m, nil)
		m.blocks = slices.DeleteFunc(m.blocks, func(b *block) bool { return b == c.block })
	}
}

func (m *memory) close() {
	for _, b := range m.blocks {
		vk.FreeMemory(m.b.d, b.m, nil)
	}
	m.blocks = nil
}

// memoryType is the best type among those allowed: it must have the flags of must and should lack those of avoid; -1 if there is none.
func (p *physical) memoryType(allowed, must, avoid uint32) int {
	best, score := -1, -1
	for i, t := range p.types {
		if allowed>>i&1 == 0 || t.flags&must != must {
			continue
		}
		s := 0
		if t.flags&avoid == 0 {
			s++
		}
		if p.heaps[t.heap] == p.Memory {
			s += 2
		}
		if s > score {
			best, score = i, s
		}
	}
	return best
}

// allocate takes memory from the driver.
func (b *Backend) allocate(n, typ int) (vk.DeviceMemory, error) {
	info := &vk.MemoryAllocateInfo{SType: vk.StructureTypeMemoryAllocateInfo, AllocationSize: vk.DeviceSize(n), MemoryTypeIndex: uint32(typ)}
	defer info.Free()
	var h vk.DeviceMemory
	r := vk.AllocateMemory(b.d, info, nil, &h)
	return h, check(fmt.Sprintf("%d MiB of memory on %s", (n+mib-1)/mib, b.Name), r)
}

// buffer is a backend.Buffer: one chunk, or several of the same size but the last.
type buffer struct {
	b      *Backend
	size   int
	chunks []chunk
}

// NewBuffer makes a zeroed buffer.
func (b *Backend) NewBuffer(bytes int) (backend.Buffer, error) {
	if bytes < 0 {
		return nil, fmt.Errorf("vulkan: a buffer of %d bytes", bytes)
	}
	if int64(bytes) > b.Memory {
		return nil, check(fmt.Sprintf("%d MiB of memory on %s, which has %d", bytes/mib, b.Name, b.Memory/mib), vk.ErrorOutOfDeviceMemory)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &buffer{b: b, size: bytes}
	for left := max(bytes, 1); left > 0; left -= b.memory.chunk {
		c, err := b.memory.take(min(left, b.memory.chunk))
		if err != nil {
			f.free()
			return nil, err
		}
		f.chunks = append(f.chunks, c)
	}
	err := b.transfer(func(c vk.CommandBuffer) {
		for _, k := range f.chunks {
			vk.CmdFillBuffer(c, k.h, 0, vk.DeviceSize(k.size), 0)
		}
	})
	if err != nil {
		if b.idle() {
			f.free()
		}
		return nil, err
	}
	b.buffers[f] = true
	return f, nil
}

func (f *buffer) Size() int { return f.size }

func (f *buffer) Write(offset int, p []byte) error { return f.move("write", offset, p, true) }

func (f *buffer) Read(offset int, p []byte) error { return f.move("read", offset, p, false) }

// move copies between the host and the buffer, through the staging buffer.
func (f *buffer) move(what string, offset int, p []byte, in bool) error {
	if offset < 0 || offset+len(p) > f.size {
		return fmt.Errorf("vulkan: %s of %d bytes at %d in a buffer of %d", what, len(p), offset, f.size)
	}
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	for len(p) > 0 {
		c := f.chunks[offset/f.b.memory.chunk]
		at := offset % f.b.memory.chunk
		n := min(len(p), c.size-at, len(f.b.staging.bytes))
		var err error
		if in {
			err = f.b.upload(c.h, at, p[:n])
		} else {
			err = f.b.download(c.h, at, p[:n])
		}
		if err != nil {
			return err
		}
		offset, p = offset+n, p[n:]
	}
	return nil
}

// reach is how many of the bytes from an offset on a shader sees at once: those up to the end of the chunk, and no more than the device
// lets it.
func (f *buffer) reach(offset int) int {
	at := offset % f.b.memory.chunk
	before := at % max(f.b.alignment, 4)
	return min(f.b.memory.chunk-at, f.size-offset, (int(f.b.Limits.Binding)-before)/4*4)
}

// window is what a shader sees of bytes at an offset, and how many of them come before: a range must begin at a multiple of the
// device's alignment.
func (f *buffer) window(offset, bytes int) (w window, before int, err error) {
	if offset < 0 || bytes < 1 || offset+bytes > f.size {
		return w, 0, fmt.Errorf("%d bytes at %d in a buffer of %d", bytes, offset, f.size)
	}
	i, at := offset/f.b.memory.chunk, offset%f.b.memory.chunk
	align := max(f.b.alignment, 4)
	before = at % align
	w = window{f.chunks[i].h, at - before, (before + bytes + 3) / 4 * 4}
	if int64(w.size) > f.b.Limits.Binding {
		return w, 0, fmt.Errorf("%d MiB in one piece, more than a shader on this device reaches (%d MiB): try a smaller --batch or --size", bytes/mib, f.b.Limits.Binding/mib)
	}
	if at+bytes > f.chunks[i].size {
		return w, 0, fmt.Errorf("%d MiB across the border of two blocks of memory (%d MiB each)", bytes/mib, f.b.memory.chunk/mib)
	}
	return w, before, nil
}

func (f *buffer) free() {
	for _, c := range f.chunks {
		f.b.memory.give(c)
	}
	delete(f.b.buffers, f)
	f.chunks, f.size = nil, 0
}

// Close frees the memory. No executable that uses it may run any more.
func (f *buffer) Close() error {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	if f.b.idle() {
		f.free()
	}
	return nil
}
