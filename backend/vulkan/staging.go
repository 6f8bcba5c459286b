//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"errors"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"
)

// staging is memory that both host and device reach: what goes to the device's own memory, or comes from it, passes here.
type staging struct {
	m     vk.DeviceMemory
	h     vk.Buffer
	c     vk.CommandBuffer
	fence vk.Fence
	bytes []byte
}

const stagingBytes = 8 * mib

func (b *Backend) openStaging() error {
	s := &b.staging
	info := &vk.BufferCreateInfo{
		SType: vk.StructureTypeBufferCreateInfo, Size: stagingBytes, SharingMode: vk.SharingModeExclusive,
		Usage: vk.BufferUsageFlags(vk.BufferUsageTransferSrcBit | vk.BufferUsageTransferDstBit),
	}
	var h vk.Buffer
	r := vk.CreateBuffer(b.d, info, nil, &h)
	info.Free()
	if err := check("making the staging buffer", r); err != nil {
		return err
	}
	s.h = h
	var need vk.MemoryRequirements
	vk.GetBufferMemoryRequirements(b.d, h, &need)
	need.Deref()
	defer need.Free()
	typ := b.memoryType(need.MemoryTypeBits, memVisible|memCoherent|memCached, memDevice)
	if typ < 0 {
		typ = b.memoryType(need.MemoryTypeBits, memVisible|memCoherent, memDevice)
	}
	if typ < 0 {
		return errors.New("vulkan: the device has no memory that the host reaches")
	}
	m, err := b.allocate(int(need.Size), typ)
	if err != nil {
		return err
	}
	s.m = m
	if err := check("binding memory", vk.BindBufferMemory(b.d, h, m, 0)); err != nil {
		return err
	}
	var p unsafe.Pointer
	if err := check("mapping memory", vk.MapMemory(b.d, m, 0, stagingBytes, 0, &p)); err != nil {
		return err
	}
	s.bytes = unsafe.Slice((*byte)(p), stagingBytes)
	list, err := b.commands(1)
	if err != nil {
		return err
	}
	s.c = list[0]
	s.fence, err = b.newFence()
	return err
}

// transfer records copies, submits them and waits.
func (b *Backend) transfer(record func(vk.CommandBuffer)) error {
	if b.lost != nil {
		return b.lost
	}
	c := b.staging.c
	if err := begin(c, false); err != nil {
		return err
	}
	everything(c)
	record(c)
	memoryBarrier(c, vk.PipelineStageTransferBit, vk.PipelineStageHostBit|vk.PipelineStageComputeShaderBit|vk.PipelineStageTransferBit, vk.AccessTransferWriteBit,
		vk.AccessHostReadBit|vk.AccessShaderReadBit|vk.AccessShaderWriteBit|vk.AccessTransferReadBit|vk.AccessTransferWriteBit)
	if err := check("recording", vk.EndCommandBuffer(c)); err != nil {
		return err
	}
	if err := b.send(b.staging.fence, c); err != nil {
		return err
	}
	return b.wait(b.staging.fence)
}

func (b *Backend) upload(h vk.Buffer, at int, p []byte) error {
	copy(b.staging.bytes, p)
	return b.transfer(func(c vk.CommandBuffer) { copyBuffer(c, b.staging.h, h, 0, at, len(p)) })
}

func (b *Backend) download(h vk.Buffer, at int, p []byte) error {
	if err := b.transfer(func(c vk.CommandBuffer) { copyBuffer(c, h, b.staging.h, at, 0, len(p)) }); err != nil {
		return err
	}
	copy(p, b.staging.bytes)
	return nil
}

func (b *Backend) closeStaging() {
	s := &b.staging
	vk.DestroyFence(b.d, s.fence, nil)
	if s.bytes != nil {
		vk.UnmapMemory(b.d, s.m)
	}
	vk.DestroyBuffer(b.d, s.h, nil)
	vk.FreeMemory(b.d, s.m, nil)
}
