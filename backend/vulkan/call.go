//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// An op is this backend's side of an operation: it turns a step into dispatches of shaders. Everything that depends on shapes is
// decided there, once.
type op struct {
	scratch func(b *Backend, s *backend.Step) int // in floats
	emit    func(c *call)
}

// ops are the operations by name; each file adds its own.
var ops = map[string]op{}

// A tensor is a view with the range of memory that a shader sees of it. The zero tensor is left out.
type tensor struct {
	backend.View
	window
	first int   // elements from the window's start to element 0
	err   error // why a shader cannot see it whole
}

func (t tensor) elems() int { return t.Shape.Elems() }

// A dispatch is one launch of a shader.
type dispatch struct {
	*kernel
	step    int
	windows []window
	push    [pushWords]uint32
	groups  [3]int
	barrier bool // waits for the dispatches before it
}

// A call is a step while it is turned into dispatches.
type call struct {
	*Backend
	step    *backend.Step
	index   int
	in, out []tensor
	scratch tensor
	bufs    []*buffer
	list    []dispatch
	waits   bool // the next dispatch begins with a barrier
	err     error
}

// bind finds a view's memory.
func (c *call) bind(v backend.View) tensor {
	if v.Absent() || v.DType == backend.U8 || c.err != nil {
		return tensor{View: v} // bytes are the image set, which may be larger than a shader reaches: its op binds parts
	}
	_, n := v.Span()
	return c.part(v, v.Offset, n)
}

// floats finds a step's scratch memory, which the plan counts in bytes.
func (c *call) floats(v backend.View) tensor {
	if v.Absent() {
		return tensor{View: v}
	}
	t := c.part(v, v.Offset, v.Shape[0])
	t.first /= 4
	return t
}

// part is n bytes of a view's buffer.
func (c *call) part(v backend.View, offset, n int) tensor {
	w, before, err := c.bufs[v.Buffer].window(offset, n)
	return tensor{v, w, before / v.DType.Size(), err}
}

// pieces calls f for ranges of elements that a shader sees of all views at once, multiples of step but for the last; only flat buffers,
// whose elements an op goes through one by one, may be larger than that. Where all of the views fit there is one.
func (c *call) pieces(step int, views []backend.View, f func(from, n int, parts []tensor)) {
	for from, total := 0, views[0].Shape.Elems(); from < total; {
		n := total - from
		for _, v := range views {
			size := v.DType.Size()
			n = min(n, c.bufs[v.Buffer].reach(v.Offset+from*size)/size)
		}
		if from+n < total {
			n = n / step * step
		}
		if n < 1 {
			c.fail(fmt.Errorf("%d elements in one piece are more than a shader on this device reaches (%d bytes)", step, c.Limits.Binding))
			return
		}
		var parts []tensor
		for _, v := range views {
			size := v.DType.Size()
			parts = append(parts, c.part(v, v.Offset+from*size, n*size))
		}
		f(from, n, parts)
		from += n
	}
}

func (c *call) fail(err error) {
	if c.err == nil {
		c.err = fmt.Errorf("vulkan: %s at %q: %w", c.step.Op, c.step.Label, err)
	}
}

// barrier makes the next dispatch wait for those before it.
func (c *call) barrier() { c.waits = true }

// local is the size of a workgroup of the shaders that take any.
func (b *Backend) local() int { return min(256, b.Limits.Invocations, b.sizes[0]) }

// A launch is what a dispatch is made of: the shader, how many workgroups of what size, its specialisation constants after the
// workgroup's size, its arguments, and its buffers by binding.
type launch struct {
	shader   string
	groups   [3]int
	local    int // 0 for what suits
	subgroup int // the size that its subgroups must have, 0 for any
	spec     []int
	args     []uint32
	bufs     []tensor
}

// run appends a dispatch. A buffer that is left out is bound to the one before it, which the shader does not read through it.
func (c *call) run(l launch) {
	if c.err != nil {
		return
	}
	if l.local == 0 {
		l.local = c.local()
	}
	constants := []uint32{uint32(l.local)}
	for _, s := range l.spec {
		constants = append(constants, uint32(s))
	}
	if mask := halfMask(l.bufs); mask != 0 { // the shader's variant that takes halfs, and which of its buffers have them
		l.shader += ".half"
		constants = append(append(constants, make([]uint32, halvesConstant-len(constants))...), mask)
	}
	k, err := c.kernel(l.shader, len(l.bufs), constants, l.subgroup)
	if err != nil {
		c.fail(err)
		return
	}
	d := dispatch{kernel: k, step: c.index, groups: l.groups, barrier: c.waits}
	c.waits = false
	for i, t := range l.bufs {
		if t.err != nil {
			c.fail(t.err)
			return
		}
		if t.window == (window{}) {
			t = l.bufs[i-1]
		}
		d.windows = append(d.windows, t.window)
		d.push[i] = uint32(t.first)
	}
	copy(d.push[16:], l.args)
	for i, n := range d.groups {
		if n < 1 || n > c.Backend.groups[i] {
			c.fail(fmt.Errorf("%d workgroups along axis %d, the device allows %d", n, i, c.Backend.groups[i]))
			return
		}
	}
	c.list = append(c.list, d)
}

// each is as many workgroups as n elements want; the shaders go on until all are done.
func (c *call) each(n int) [3]int { return [3]int{min(ceil(n, c.local()), 65535), 1, 1} }

func ceil(a, b int) int { return (a + b - 1) / b }

// u32s are arguments that are integers.
func u32s(v ...int) []uint32 {
	w := make([]uint32, len(v))
	for i, n := range v {
		w[i] = uint32(n)
	}
	return w
}

// f32 is an argument that is a float.
func f32(v float32) uint32 { return math.Float32bits(v) }
