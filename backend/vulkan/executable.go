//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	vk "github.com/vulkan-go/vulkan"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// executable is a program as recorded command buffers. Each is short enough for the watchdog of a display's GPU; together they are
// one replay, and any number of replays is submitted without recording anything.
type executable struct {
	b       *Backend
	steps   []*backend.Step
	list    []dispatch
	pool    vk.DescriptorPool
	sets    []vk.DescriptorSet
	replay  []vk.CommandBuffer
	work    []int64 // of each part of a replay, see share
	rings   map[ringKey][]vk.CommandBuffer
	timed   *timed // nil unless steps are timed
	timings []backend.Timing
	fences  []vk.Fence
}

// Compile turns a program into dispatches and records them.
func (b *Backend) Compile(p *backend.Program) (backend.Executable, error) {
	bufs := make([]*buffer, len(p.Buffers))
	for i, s := range p.Buffers {
		if s.Bytes == 0 && s.Buffer == nil {
			continue
		}
		buf, ok := s.Buffer.(*buffer)
		if !ok || buf.b != b {
			return nil, fmt.Errorf("vulkan: program %s: buffer %q is not bound to memory of this backend", p.Name, s.Name)
		}
		bufs[i] = buf
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &executable{b: b}
	var err error
	p.Steps(func(s *backend.Step) {
		if err == nil {
			err = e.add(s, bufs)
		}
	})
	if err == nil {
		err = e.bind()
	}
	if err == nil {
		err = e.record()
	}
	if err != nil {
		e.free()
		return nil, err
	}
	_ = b.saveCache() // see closeCache
	b.live[e] = true
	return e, nil
}

// add turns a step into dispatches.
func (e *executable) add(s *backend.Step, bufs []*buffer) error {
	o, ok := ops[s.Op]
	if !ok {
		return fmt.Errorf("vulkan: op %q at %q: %w", s.Op, s.Label, backend.ErrUnsupported)
	}
	c := &call{Backend: e.b, step: s, index: len(e.steps), bufs: bufs, waits: s.Barrier}
	for _, v := range s.In {
		c.in = append(c.in, c.bind(v))
	}
	for _, v := range s.Out {
		c.out = append(c.out, c.bind(v))
	}
	c.scratch = c.floats(s.Scratch)
	if c.err == nil {
		o.emit(c)
	}
	e.steps, e.list = append(e.steps, s), append(e.list, c.list...)
	e.timings = append(e.timings, backend.Timing{Step: s})
	return c.err
}

// bind writes the descriptor sets, one a dispatch.
func (e *executable) bind() error {
	if len(e.list) == 0 {
		return nil
	}
	n := 0
	layouts := make([]vk.DescriptorSetLayout, len(e.list))
	for i, d := range e.list {
		n += d.bindings
		layouts[i] = d.set
	}
	info := &vk.DescriptorPoolCreateInfo{
		SType: vk.StructureTypeDescriptorPoolCreateInfo, MaxSets: uint32(len(e.list)), PoolSizeCount: 1,
		PPoolSizes: []vk.DescriptorPoolSize{{Type: vk.DescriptorTypeStorageBuffer, DescriptorCount: uint32(n)}},
	}
	defer info.Free()
	var pool vk.DescriptorPool
	if err := check("making a descriptor pool", vk.CreateDescriptorPool(e.b.d, info, nil, &pool)); err != nil {
		return err
	}
	e.pool = pool
	held, free := inC(layouts)
	defer free()
	all := &vk.DescriptorSetAllocateInfo{
		SType: vk.StructureTypeDescriptorSetAllocateInfo, DescriptorPool: pool, DescriptorSetCount: uint32(len(held)), PSetLayouts: held,
	}
	defer all.Free()
	e.sets = make([]vk.DescriptorSet, len(held))
	if err := check("making descriptor sets", vk.AllocateDescriptorSets(e.b.d, all, &e.sets[0])); err != nil {
		return err
	}
	for i, d := range e.list {
		writeStorage(e.b.d, e.sets[i], d.windows)
	}
	return nil
}

// share is how much work one submission holds, in FLOPs plus 50 times the bytes: some milliseconds on a GPU of the kind.
func (b *Backend) share() int64 {
	if b.integrated {
		return 2e9
	}
	return 50e9
}

// record fills the command buffers of a replay.
func (e *executable) record() error {
	var parts [][2]int // ranges of dispatches
	from, work := 0, int64(0)
	for i, d := range e.list {
		if i+1 < len(e.list) && e.list[i+1].step == d.step {
			continue
		}
		s := e.steps[d.step]
		if work += s.FLOPs + 50*s.Bytes; work >= e.b.share() || i+1 == len(e.list) {
			parts, e.work = append(parts, [2]int{from, i + 1}), append(e.work, work)
			from, work = i+1, 0
		}
	}
	var err error
	if e.replay, err = e.b.commands(len(parts)); err != nil {
		return err
	}
	for i, r := range parts {
		c := e.replay[i]
		if err := begin(c, true); err != nil {
			return err
		}
		everything(c)
		for k := r[0]; k < r[1]; k++ {
			e.launch(c, k, k > r[0] && e.list[k].barrier)
		}
		if err := check("recording", vk.EndCommandBuffer(c)); err != nil {
			return err
		}
	}
	for range inFlight {
		f, err := e.b.newFence()
		if err != nil {
			return err
		}
		e.fences = append(e.fences, f)
	}
	return nil
}

// launch records one dispatch, after a barrier or not.
func (e *executable) launch(c vk.CommandBuffer, i int, barrier bool) {
	d := &e.list[i]
	push := d.push // on its own: C must not be shown memory that holds pointers
	if barrier {
		memoryBarrier(c, vk.PipelineStageComputeShaderBit, vk.PipelineStageComputeShaderBit, vk.AccessShaderWriteBit, vk.AccessShaderReadBit|vk.AccessShaderWriteBit)
	}
	vk.CmdBindPipeline(c, vk.PipelineBindPointCompute, d.pipeline)
	vk.CmdBindDescriptorSets(c, vk.PipelineBindPointCompute, d.layout.pipeline, 0, 1, e.sets[i:i+1], 0, nil)
	vk.CmdPushConstants(c, d.layout.pipeline, vk.ShaderStageFlags(vk.ShaderStageComputeBit), 0, 4*pushWords, unsafe.Pointer(&push[0]))
	vk.CmdDispatch(c, uint32(d.groups[0]), uint32(d.groups[1]), uint32(d.groups[2]))
}

// Inspect implements backend.Inspector.
func (e *executable) Inspect(look func(*backend.Step) error) error {
	for i, s := range e.steps {
		if err := e.one(i); err != nil {
			return err
		}
		if err := look(s); err != nil {
			return err
		}
	}
	return nil
}

// one runs a single step and waits for it.
func (e *executable) one(step int) error {
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	return e.b.transfer(func(c vk.CommandBuffer) {
		for i, d := range e.list {
			if d.step == step {
				e.launch(c, i, d.barrier)
			}
		}
		everything(c)
	})
}

// timed is the program recorded once more, with a time stamp before the first step and after every one.
type timed struct {
	c     vk.CommandBuffer
	pool  vk.QueryPool
	fence vk.Fence
	stamp []byte
}

// SetTiming implements backend.Timer. Steps that are timed run one after the other.
func (e *executable) SetTiming(on bool) {
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	for i := range e.timings {
		e.timings[i].Calls, e.timings[i].Total = 0, 0
	}
	if !on || e.b.stampBits == 0 {
		e.freeTimed()
		return
	}
	if e.timed == nil {
		if err := e.recordTimed(); err != nil {
			e.freeTimed() // the steps run all the same, without times
		}
	}
}

func (e *executable) recordTimed() error {
	n := len(e.steps) + 1
	info := &vk.QueryPoolCreateInfo{SType: vk.StructureTypeQueryPoolCreateInfo, QueryType: vk.QueryTypeTimestamp, QueryCount: uint32(n)}
	defer info.Free()
	var pool vk.QueryPool
	if err := check("making time stamps", vk.CreateQueryPool(e.b.d, info, nil, &pool)); err != nil {
		return err
	}
	e.timed = &timed{pool: pool, fence: e.fences[0], stamp: make([]byte, 8*n)}
	list, err := e.b.commands(1)
	if err != nil {
		return err
	}
	c := list[0]
	e.timed.c = c
	if err := begin(c, false); err != nil {
		return err
	}
	everything(c)
	vk.CmdResetQueryPool(c, pool, 0, uint32(n))
	vk.CmdWriteTimestamp(c, vk.PipelineStageBottomOfPipeBit, pool, 0)
	for i, at := 0, 0; i < len(e.steps); i++ {
		for ; at < len(e.list) && e.list[at].step == i; at++ {
			e.launch(c, at, e.list[at].barrier)
		}
		everything(c)
		vk.CmdWriteTimestamp(c, vk.PipelineStageBottomOfPipeBit, pool, uint32(i+1))
	}
	return check("recording", vk.EndCommandBuffer(c))
}

func (e *executable) runTimed(ctx context.Context, times int) error {
	t := e.timed
	for range times {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.b.send(t.fence, t.c); err != nil {
			return err
		}
		if err := e.b.wait(t.fence); err != nil {
			return err
		}
		const wide = vk.QueryResultFlags(vk.QueryResult64Bit)
		r := vk.GetQueryPoolResults(e.b.d, t.pool, 0, uint32(len(e.steps)+1), uint(len(t.stamp)), unsafe.Pointer(&t.stamp[0]), 8, wide)
		if err := check("reading time stamps", r); err != nil {
			return err
		}
		for i := range e.timings {
			ticks := binary.LittleEndian.Uint64(t.stamp[8*i+8:]) - binary.LittleEndian.Uint64(t.stamp[8*i:])
			if bits := e.b.stampBits; bits < 64 {
				ticks &= 1<<bits - 1
			}
			took := time.Duration(float64(ticks) * e.b.period)
			e.timings[i].Calls++
			e.timings[i].Total += took
			e.timings[i].Last = took
		}
	}
	return nil
}

func (e *executable) Timings() []backend.Timing { return e.timings }

func (e *executable) freeTimed() {
	if e.timed == nil || !e.b.idle() {
		return
	}
	vk.DestroyQueryPool(e.b.d, e.timed.pool, nil)
	if e.timed.c != nil {
		vk.FreeCommandBuffers(e.b.d, e.b.pool, 1, []vk.CommandBuffer{e.timed.c})
	}
	e.timed = nil
}

func (e *executable) free() {
	e.freeTimed()
	for _, f := range e.fences {
		vk.DestroyFence(e.b.d, f, nil)
	}
	for _, list := range e.rings {
		vk.FreeCommandBuffers(e.b.d, e.b.pool, uint32(len(list)), list)
	}
	if len(e.replay) > 0 {
		vk.FreeCommandBuffers(e.b.d, e.b.pool, uint32(len(e.replay)), e.replay)
	}
	vk.DestroyDescriptorPool(e.b.d, e.pool, nil)
	delete(e.b.live, e)
	*e = executable{b: e.b}
}

// Close frees what the device holds of the program.
func (e *executable) Close() error {
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	if e.b.idle() {
		e.free()
	}
	return nil
}
