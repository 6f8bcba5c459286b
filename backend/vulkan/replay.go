//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"context"
	"errors"
	"fmt"

	vk "github.com/vulkan-go/vulkan"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// inFlight is how many submissions wait at the device; more than one, so that it never waits for the host.
const inFlight = 4

// Run replays the program. It stops for ctx between replays only, so that state is never half updated.
func (e *executable) Run(ctx context.Context, times int) error {
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	if e.timed != nil {
		return e.runTimed(ctx, times)
	}
	return e.submit(ctx, times, nil)
}

// RunRecorded implements backend.Recorder: the device copies what is kept into a ring in memory that the host reaches.
func (e *executable) RunRecorded(ctx context.Context, from backend.Buffer, p [][]byte) error {
	f, ok := from.(*buffer)
	if !ok || f.b != e.b {
		return errors.New("vulkan: what is to be recorded is not memory of this device")
	}
	if e.timed != nil {
		for i := range p {
			if err := errors.Join(e.Run(ctx, 1), f.Read(0, p[i])); err != nil {
				return err
			}
		}
		return nil
	}
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	for len(p) > 0 {
		n := len(p[0])
		if n == 0 || n > min(f.size, f.chunks[0].size, stagingBytes) {
			return fmt.Errorf("vulkan: %d bytes to record of a buffer of %d", n, f.size)
		}
		now := p[:min(len(p), stagingBytes/n)]
		ring, err := e.ring(f, n, len(now))
		if err == nil {
			err = e.submit(ctx, len(now), ring)
		}
		if err != nil {
			return err
		}
		for i := range now {
			copy(now[i], e.b.staging.bytes[i*n:])
		}
		p = p[len(now):]
	}
	return nil
}

// A ringKey is what a ring is of: the first bytes of a buffer.
type ringKey struct {
	f     *buffer
	bytes int
}

// ring is at least n command buffers, each of which copies the first bytes of a buffer to its place in the staging memory.
func (e *executable) ring(f *buffer, bytes, n int) ([]vk.CommandBuffer, error) {
	key := ringKey{f, bytes}
	list := e.rings[key]
	if len(list) >= n {
		return list, nil
	}
	more, err := e.b.commands(n - len(list))
	if err != nil {
		return nil, err
	}
	if e.rings == nil {
		e.rings = map[ringKey][]vk.CommandBuffer{}
	}
	e.rings[key] = append(list, more...)
	for i, c := range more {
		if err := begin(c, true); err != nil {
			return nil, err
		}
		everything(c)
		copyBuffer(c, f.chunks[0].h, e.b.staging.h, 0, (len(list)+i)*bytes, bytes)
		memoryBarrier(c, vk.PipelineStageTransferBit, vk.PipelineStageHostBit, vk.AccessTransferWriteBit, vk.AccessHostReadBit)
		if err := check("recording", vk.EndCommandBuffer(c)); err != nil {
			return nil, err
		}
	}
	return e.rings[key], nil
}

// submit submits replays, as many at a time as share allows, each followed by its command of after, if there are any, and waits for them.
func (e *executable) submit(ctx context.Context, times int, after []vk.CommandBuffer) error {
	var q queue
	var list []vk.CommandBuffer
	work := int64(0)
	flush := func() error {
		now := list
		list, work = list[:0], 0
		if len(now) == 0 {
			return nil
		}
		return q.push(e, now)
	}
	for i := range times {
		if err := ctx.Err(); err != nil {
			return q.finish(e, errors.Join(err, flush()))
		}
		for k, c := range e.replay {
			if len(list) > 0 && (work+e.work[k] > e.b.share() || len(list) >= mostCommands) {
				if err := flush(); err != nil {
					return q.finish(e, err)
				}
			}
			list, work = append(list, c), work+e.work[k]
		}
		if after != nil {
			list = append(list, after[i])
		}
	}
	return q.finish(e, flush())
}

// mostCommands is how many command buffers one submission holds, or one more.
const mostCommands = 64

// queue is the submissions that the device has not finished, oldest first, as a window on the fences.
type queue struct{ first, n int }

func (q *queue) push(e *executable, list []vk.CommandBuffer) error {
	if q.n == inFlight {
		if err := q.pop(e); err != nil {
			return err
		}
	}
	if err := e.b.send(e.fences[(q.first+q.n)%inFlight], list...); err != nil {
		return err
	}
	q.n++
	return nil
}

func (q *queue) pop(e *executable) error {
	f := e.fences[q.first%inFlight]
	q.first, q.n = q.first+1, q.n-1
	return e.b.wait(f)
}

// finish waits for what was submitted, also after an error: then nothing is at work any more. A device that is lost is all there is to say.
func (q *queue) finish(e *executable, err error) error {
	for q.n > 0 && e.b.lost == nil {
		err = errors.Join(err, q.pop(e))
	}
	if e.b.lost != nil {
		return e.b.lost
	}
	return err
}
