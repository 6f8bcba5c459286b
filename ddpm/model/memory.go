// Package model puts a U-Net on a backend: its buffers, its forward program, and the images it samples.
package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Memory is the buffers of one device that programs share by name. The arena is one of them: programs that never run at
// the same time share it too.
type Memory struct {
	Backend   backend.Backend
	Precision backend.Precision // of the programs that are planned for it; "" is fp32
	buffers   map[string]backend.Buffer
	execs     []backend.Executable
}

// NewMemory holds nothing yet.
func NewMemory(b backend.Backend) *Memory {
	return &Memory{Backend: b, buffers: map[string]backend.Buffer{}}
}

// Need is the bytes that programs want besides what is there, by name of the buffer.
func (m *Memory) Need(ps ...*backend.Program) (total int64, byName map[string]int) {
	byName = map[string]int{}
	for _, p := range ps {
		for _, s := range p.Buffers {
			byName[s.Name] = max(byName[s.Name], s.Bytes)
		}
	}
	for name, n := range byName {
		if m.buffers[name] == nil {
			total += int64(n)
		}
	}
	return total, byName
}

// Compile makes the buffers that the programs need and compiles them. Nothing is allocated if the device has not enough
// memory for all of it.
func (m *Memory) Compile(ps ...*backend.Program) ([]backend.Executable, error) {
	total, byName := m.Need(ps...)
	if free := m.Backend.Info().Memory; free > 0 && total > free {
		return nil, &NoMemoryError{Need: total, Free: free, Arena: int64(byName[plan.Arena]), Device: m.Backend.Info().Device}
	}
	for name, n := range byName {
		old := m.buffers[name]
		if old != nil && old.Size() >= n {
			continue
		}
		if old != nil {
			return nil, fmt.Errorf("model: buffer %q has %d bytes, a later program wants %d: compile them together", name, old.Size(), n)
		}
		b, err := m.Backend.NewBuffer(n)
		if err != nil {
			if errors.Is(err, backend.ErrMemory) { // the driver has less than it said
				return nil, &NoMemoryError{Need: total, Arena: int64(byName[plan.Arena]), Device: m.Backend.Info().Device, Cause: err}
			}
			return nil, fmt.Errorf("model: %d bytes for %q: %w", n, name, err)
		}
		m.buffers[name] = b
	}
	var list []backend.Executable
	for _, p := range ps {
		for _, s := range p.Buffers {
			if err := p.Bind(s.Name, m.buffers[s.Name]); err != nil {
				return nil, err
			}
		}
		e, err := m.Backend.Compile(p)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		m.execs = append(m.execs, e)
	}
	return list, nil
}

// A NoMemoryError says that a plan does not fit, before anything was allocated.
type NoMemoryError struct {
	Need, Free, Arena int64 // bytes; Arena is the part that grows with the batch
	Device            string
	Fits              int   // a batch that would fit, 0 where none is known
	FitsNeed          int64 // its bytes
	Cause             error // what the device said, where it had promised more
}

func (e *NoMemoryError) Error() string {
	advice := "try a smaller --batch or --size"
	if e.Fits > 0 {
		advice = fmt.Sprintf("--batch %d would fit (%s)", e.Fits, Bytes(e.FitsNeed))
	}
	if e.Cause != nil {
		return fmt.Sprintf("not enough memory: the plan needs %s, and %s gave out before that (%v): close what else uses it, or try a smaller --batch or --size",
			Bytes(e.Need), e.Device, e.Cause)
	}
	return fmt.Sprintf("not enough memory: the plan needs %s (%s of it for activations, which grow with the batch), %s has %s free: %s",
		Bytes(e.Need), Bytes(e.Arena), e.Device, Bytes(e.Free), advice)
}

// Fault implements what run.FaultOf looks for.
func (e *NoMemoryError) Fault() *run.Fault { return &run.FaultMemory }

// Bytes writes a size for people.
func Bytes(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}

// Word is an element of a buffer that the host writes or reads.
type Word interface{ ~float32 | ~uint32 | ~uint8 }

// BytesOf is the memory of v.
func BytesOf[E Word](v []E) []byte { return bytesOf(v) }

func bytesOf[E Word](v []E) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// Write copies v into the buffer of that name at a byte offset.
func Write[E Word](m *Memory, name string, offset int, v []E) error {
	b := m.buffers[name]
	if b == nil {
		return fmt.Errorf("model: there is no buffer %q", name)
	}
	return b.Write(offset, bytesOf(v))
}

// Read copies the buffer of that name at a byte offset into v.
func Read[E Word](m *Memory, name string, offset int, v []E) error {
	b := m.buffers[name]
	if b == nil {
		return fmt.Errorf("model: there is no buffer %q", name)
	}
	return b.Read(offset, bytesOf(v))
}

// Buffer is the buffer of that name, nil if there is none.
func (m *Memory) Buffer(name string) backend.Buffer { return m.buffers[name] }

// Map is the memory of the buffer of that name, where the host shares it with the device; nil elsewhere.
func (m *Memory) Map(name string) []float32 {
	if b, ok := m.buffers[name].(backend.Mapped); ok {
		if p := b.Map(); len(p) >= 4 {
			return unsafe.Slice((*float32)(unsafe.Pointer(&p[0])), len(p)/4)
		}
	}
	return nil
}

// ReadView reads floats, or halfs, from a byte offset on in the buffer of a view of a compiled program.
func (m *Memory) ReadView(p *backend.Program, v backend.View, offset, bytes int) ([]float32, error) {
	f := make([]float32, bytes/v.DType.Size())
	if v.DType != backend.F16 {
		return f, p.Buffers[v.Buffer].Buffer.Read(offset, bytesOf(f))
	}
	raw := make([]byte, bytes)
	if err := p.Buffers[v.Buffer].Buffer.Read(offset, raw); err != nil {
		return nil, err
	}
	for i := range f {
		f[i] = backend.FromHalf(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return f, nil
}

// Close frees the buffers and what was compiled on them.
func (m *Memory) Close() error {
	for _, e := range m.execs {
		e.Close()
	}
	m.execs = nil
	for _, b := range m.buffers {
		b.Close()
	}
	m.buffers = map[string]backend.Buffer{}
	return nil
}
