package cpu

import (
	"fmt"
	"unsafe"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// slack is memory behind every buffer: tiles may read, never write, past the last element of a view.
const slack = 8192

// buffer is aligned memory.
type buffer struct {
	data []byte // with slack
	size int
}

// NewBuffer makes a zeroed buffer.
func (b *Backend) NewBuffer(bytes int) (backend.Buffer, error) {
	if bytes < 0 {
		return nil, fmt.Errorf("cpu: a buffer of %d bytes", bytes)
	}
	raw := make([]byte, bytes+slack+64)
	hugePages(raw)
	skip := int(-uintptr(unsafe.Pointer(&raw[0])) & 63)
	return &buffer{raw[skip : skip+bytes+slack], bytes}, nil
}

// aligned is n floats at the start of a cache line.
func aligned(n int) []float32 {
	s := make([]float32, n+15)
	return s[-uintptr(unsafe.Pointer(&s[0]))&63/4:][:n:n]
}

func (b *buffer) Size() int { return b.size }

func (b *buffer) check(what string, offset, n int) error {
	if offset < 0 || offset+n > b.size {
		return fmt.Errorf("cpu: %s of %d bytes at %d in a buffer of %d", what, n, offset, b.size)
	}
	return nil
}

func (b *buffer) Write(offset int, p []byte) error {
	if err := b.check("write", offset, len(p)); err != nil {
		return err
	}
	copy(b.data[offset:], p)
	return nil
}

func (b *buffer) Read(offset int, p []byte) error {
	if err := b.check("read", offset, len(p)); err != nil {
		return err
	}
	copy(p, b.data[offset:])
	return nil
}

// Map implements backend.Mapped.
func (b *buffer) Map() []byte { return b.data[:b.size:b.size] }

func (b *buffer) Close() error {
	b.data, b.size = nil, 0
	return nil
}

// tensor is a view with its memory.
type tensor struct {
	p unsafe.Pointer // element 0
	v backend.View
}

func (t tensor) absent() bool { return t.p == nil }

func (t tensor) elems() int { return t.v.Shape.Elems() }

// f32, u32 and u8 are a dense view's elements.
func (t tensor) f32() []float32 { return unsafe.Slice((*float32)(t.p), t.elems()) }
func (t tensor) u32() []uint32  { return unsafe.Slice((*uint32)(t.p), t.elems()) }
func (t tensor) u8() []uint8    { return unsafe.Slice((*uint8)(t.p), t.elems()) }

// image is an image view [N,H,W,C]; strides in floats.
type image struct {
	p                *float32
	n, h, w, c       int
	imgs, rows, pixs int
	halo             int
}

func (t tensor) image() image {
	s, st := t.v.Shape, t.v.Strides
	return image{(*float32)(t.p), s[0], s[1], s[2], s[3], st[0], st[1], st[2], t.v.Halo}
}

// at is the memory from the k-th float after element 0 (k may be negative), n floats.
func at(p *float32, k, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(p), k*4)), n)
}

// floats is the memory from p on.
func floats(p *float32, n int) []float32 { return unsafe.Slice(p, n) }

func ptr(p *float32, k int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), k*4)) }

// row is the floats of row h of image n, from the first of the first pixel to the last of the last.
func (m image) row(n, h int) []float32 { return at(m.p, n*m.imgs+h*m.rows, (m.w-1)*m.pixs+m.c) }

// zeroHalos returns what writes zeros around the outputs that have a halo, or nil.
func (c *call) zeroHalos() func() {
	var ms []image
	for _, t := range c.out {
		if t.v.Halo > 0 {
			ms = append(ms, t.image())
		}
	}
	if ms == nil {
		return nil
	}
	images := 0
	for _, m := range ms {
		images += m.n
	}
	task := func(_, i int) {
		for _, m := range ms {
			if i < m.n {
				m.zeroHalo(i)
				return
			}
			i -= m.n
		}
	}
	return func() { c.pool.run(images, task) }
}

func (m image) zeroHalo(n int) {
	side := m.halo * m.pixs
	top := n*m.imgs - m.halo*m.rows - side
	clear(at(m.p, top, m.halo*m.rows+side)) // the rows above and the first row's left side
	for h := range m.h - 1 {
		clear(at(m.p, n*m.imgs+h*m.rows+m.w*m.pixs, 2*side)) // a row's right side and the next one's left side
	}
	clear(at(m.p, n*m.imgs+(m.h-1)*m.rows+m.w*m.pixs, side+m.halo*m.rows))
}
