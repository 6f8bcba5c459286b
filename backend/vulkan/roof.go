//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"context"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// The programs that measure what the device can do. They are operations only for Roof: no graph knows them.
const (
	opPeak   = "peak"        // multiply-adds in registers
	opMatrix = "matrix_peak" // products of cooperative matrices
)

// peakGroups is how many workgroups each of them has: enough for every unit of a large GPU to have several.
const peakGroups = 4096

// peak is how long a measurement goes on.
type peak struct{ iterations int }

func init() {
	ops[opPeak] = op{emit: func(c *call) {
		args := []uint32{uint32(c.step.Attrs.(peak).iterations), f32(0.999), f32(1e-3)}
		c.run(launch{shader: opPeak, groups: [3]int{c.peakGroups(), 1, 1}, args: args, bufs: []tensor{c.out[0]}})
	}}
	ops[opMatrix] = op{emit: func(c *call) {
		m, n := c.matrix, c.Limits.Subgroup
		spec := make([]int, 23)
		spec[20], spec[21], spec[22] = m.M, m.N, m.K
		c.run(launch{
			shader: opMatrix, groups: [3]int{c.peakGroups(), 1, 1}, local: 4 * n, subgroup: n, spec: spec,
			args: []uint32{uint32(c.step.Attrs.(peak).iterations), f32(1.0 / 64)}, bufs: []tensor{c.out[0]},
		})
	}}
}

func (b *Backend) peakGroups() int {
	if b.Kind == "cpu" {
		return 64
	}
	return peakGroups
}

// Roof implements backend.Roof: multiply-adds in registers, with cooperative matrices where programs of the precision use them, and the
// traffic of y = a x + b over arrays that no cache holds, the best of some runs of each. Zeros say that it could not be measured.
func (b *Backend) Roof(p backend.Precision) (flops, bytes float64) {
	op, each := opPeak, 2*8*4*32*b.local() // FLOPs of an iteration of a workgroup
	if m := b.matrixFor(&backend.Step{Precision: p}); m != nil {
		op, each = opMatrix, 4*8*2*m.M*m.N*m.K
	}
	out := backend.Shape{1, 1, 1, b.peakGroups() * max(b.local(), 4*b.Limits.Subgroup)}
	for n := 1; n <= 1<<16; n *= 2 { // as long as it takes to drown the cost of a submission
		s := backend.Step{Op: op, Attrs: peak{n}}
		took := b.measure(s, nil, out)
		if took == 0 {
			break
		}
		flops = max(flops, float64(n*each*b.peakGroups())/took.Seconds())
		if took > 30*time.Millisecond {
			break
		}
	}
	most := 256 * mib
	if b.Kind == "cpu" {
		most = 32 * mib
	}
	n := min(most, int(min(b.Limits.Binding, b.Free/8)), b.memory.chunk) / (4 * 1024) * 1024
	if took := b.measure(backend.Step{Op: "scale", Attrs: backend.Linear{A: 2, B: 1}}, backend.Shape{1, 1, 1, n}, backend.Shape{1, 1, 1, n}); took > 0 {
		bytes = 8 * float64(n) / took.Seconds()
	}
	return flops, bytes
}

// measure is the shortest of four runs of one step, after one to warm up; 0 if it does not run.
func (b *Backend) measure(s backend.Step, in, out backend.Shape) (best time.Duration) {
	s.Label, s.Scratch = "roof", backend.View{Buffer: backend.None}
	p := &backend.Program{Name: "roof", Buffers: []backend.Slot{{Name: "arena"}}}
	for _, shape := range []backend.Shape{in, out} {
		if shape == nil {
			continue
		}
		f, err := b.NewBuffer(4 * shape.Elems())
		if err != nil {
			return 0
		}
		defer f.Close()
		v := backend.View{Buffer: len(p.Buffers), DType: backend.F32, Shape: shape, Strides: shape.Dense()}
		p.Buffers = append(p.Buffers, backend.Slot{Name: s.Label, Bytes: 4 * shape.Elems(), Buffer: f})
		if s.Out = []backend.View{v}; len(p.Buffers) == 2 && in != nil {
			s.In, s.Out = []backend.View{v}, nil
		}
	}
	p.Segments = []backend.Segment{{Steps: []backend.Step{s}}}
	e, err := b.Compile(p)
	if err != nil {
		return 0
	}
	defer e.Close()
	for i := range 5 {
		start := time.Now()
		if e.Run(context.Background(), 1) != nil {
			return 0
		}
		if took := time.Since(start); i > 0 && (best == 0 || took < best) {
			best = took
		}
	}
	return best
}
