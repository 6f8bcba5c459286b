// Package cpu runs programs on the processor: SIMD kernels over a pool of workers.
//
// Results do not depend on the number of workers: every task computes its own part of the output, and sums over tasks are
// added up in a fixed order.
package cpu

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// ExactEnv names the environment variable that, set to anything, is Options.Exact.
const ExactEnv = "DDPM_EXACT"

// Options of New.
type Options struct {
	Threads int    // workers; 0 is one a processor
	Level   string // instruction set (generic, avx2, avx512); "" is the best there is, or what DDPM_CPU says
	Exact   bool   // direct convolutions only; also set by a non-empty DDPM_EXACT
	Dot     string // the kernels of precision bf16 (amx, avx512_bf16; go anywhere); "" is the best that the processor has, if it has any
}

// Backend is the processor.
type Backend struct {
	level   simd.Level
	tile    simd.Tile
	wino4   simd.Wino // of tiles of 4x4
	wino2   simd.Wino // and of 2x2
	exact   bool
	dotName string
	dotOnce sync.Once
	dot     *simd.Dot // nil before the first step in bf16
	vec     *simd.Vec
	pool    *pool
	workers []worker
	mu      sync.Mutex // one program at a time
}

// worker is what one worker keeps for itself.
type worker struct {
	gemm    simd.GEMMArgs
	outer   simd.OuterArgs
	wino    simd.WinoArgs
	product simd.WinoProductArgs
	tile    [8 * 32]float32 // a tile whose rows or columns do not all exist

	// In bf16 mode.
	dot    simd.DotArgs
	blocks []float32 // what it computes: [dotBlocks][32][32]; or dotTemp floats
}

// New starts the workers.
func New(o Options) (*Backend, error) {
	level, err := simd.Resolve()
	if err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	if o.Level != "" {
		found := false
		for _, l := range simd.Supported() {
			if l.String() == o.Level {
				level, found = l, true
			}
		}
		if !found {
			return nil, fmt.Errorf("cpu: instruction set %q: this machine has %v", o.Level, simd.Supported())
		}
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	b := &Backend{
		level: level, tile: simd.TileFor(level), wino4: simd.WinoFor(level, 4), wino2: simd.WinoFor(level, 2),
		vec: simd.VecFor(level), pool: newPool(o.Threads),
		dotName: o.Dot, exact: o.Exact || os.Getenv(ExactEnv) != "",
	}
	b.workers = make([]worker, o.Threads)
	return b, nil
}

// Info names the processor.
func (b *Backend) Info() backend.Info {
	i := backend.Info{
		Backend: "cpu", Device: processorName(), ISA: b.level.String(), Threads: b.pool.n, Memory: systemMemory(), Formats: []string{"fp32"}, Precisions: []backend.Precision{backend.FP32},
	}
	if b.dotName != "" || b.level == simd.AVX512 && simd.HasDot() {
		i.Formats, i.Precisions = append(i.Formats, "bf16"), append(i.Precisions, backend.BF16)
	}
	return i
}

// Level is the instruction set in use.
func (b *Backend) Level() simd.Level { return b.level }

// Close stops the workers.
func (b *Backend) Close() error {
	b.pool.close()
	return nil
}

// Halo implements backend.Planner.
func (b *Backend) Halo(op string, attrs any, i int, in []backend.Shape) int {
	if k := kernels[op]; k.halo != nil {
		return k.halo(attrs, i)
	}
	return 0
}

// Dense implements backend.Planner.
func (b *Backend) Dense(op string) bool { return kernels[op].dense }

// Scratch implements backend.Planner.
func (b *Backend) Scratch(s *backend.Step) int {
	if k := kernels[s.Op]; k.scratch != nil {
		return k.scratch(b, s) * 4
	}
	return 0
}

// Recomputes implements backend.Recomputer: what is bound by memory is quick beside convolutions.
func (b *Backend) Recomputes(op string) bool { return kernels[op].again }

// Strided implements backend.Strider.
func (b *Backend) Strided(op string, _ any, in int) bool {
	switch op {
	case "conv2d":
		return in <= 0
	case "conv2d_weight", "group_norm", "group_norm_again", "group_norm_grad":
		return in == 0
	}
	return false
}

// StridedAfter implements backend.Strider: every kernel that adds an image to its output goes over that pixel by pixel.
func (b *Backend) StridedAfter(_, next string) bool { return next == "add" }

// Packed implements backend.Packer.
func (b *Backend) Packed(s *backend.Step) int {
	if k := kernels[s.Op]; k.packed != nil {
		return k.packed(b, s) * 4
	}
	return 0
}

// A kernel is the CPU's side of an op.
type kernel struct {
	halo    func(attrs any, i int) int            // see backend.Planner
	dense   bool                                  // reads and writes dense views only
	again   bool                                  // see backend.Recomputer
	scratch func(b *Backend, s *backend.Step) int // in floats
	packed  func(b *Backend, s *backend.Step) int // in floats: see backend.Packer; scratch counts them where nothing is kept
	prepare func(c *call) func()                  // all that can be decided is decided here; the result only computes
}

var kernels = map[string]kernel{}

// A call is one step with its memory.
type call struct {
	*Backend
	step    *backend.Step
	in, out []tensor
	after   []follower
	tally   *tally   // of the first output, or nil
	tallied []*tally // of the parts of the first input
	scratch []float32
	kept    []float32 // backend.Step.Packed, nil for none
}

// Compile binds the kernels to their memory.
func (b *Backend) Compile(p *backend.Program) (backend.Executable, error) {
	bufs := make([]*buffer, len(p.Buffers))
	for i, s := range p.Buffers {
		if s.Bytes == 0 && s.Buffer == nil {
			continue
		}
		buf, ok := s.Buffer.(*buffer)
		if !ok {
			return nil, fmt.Errorf("cpu: program %s: buffer %q is not bound to memory of this backend", p.Name, s.Name)
		}
		bufs[i] = buf
	}
	e := &executable{b: b}
	var err error
	p.Steps(func(s *backend.Step) {
		k, ok := kernels[s.Op]
		if !ok {
			err = fmt.Errorf("cpu: op %q at %q: %w", s.Op, s.Label, backend.ErrUnsupported)
			return
		}
		if !b.Info().Has(s.Precision) {
			err = fmt.Errorf("cpu: program %s: precision %s: %w", p.Name, s.Precision, backend.ErrUnsupported)
			return
		}
		c := &call{Backend: b, step: s}
		bind := func(v backend.View) tensor {
			if v.Absent() {
				return tensor{v: v}
			}
			return tensor{unsafe.Pointer(&bufs[v.Buffer].data[v.Offset]), v}
		}
		for _, v := range s.In {
			c.in = append(c.in, bind(v))
		}
		for _, v := range s.Out {
			c.out = append(c.out, bind(v))
		}
		c.followers()
		if !s.Scratch.Absent() {
			c.scratch = unsafe.Slice((*float32)(bind(s.Scratch).p), s.Scratch.Shape[0]/4)
		}
		if !s.Packed.Absent() {
			c.kept = unsafe.Slice((*float32)(bind(s.Packed).p), s.Packed.Shape[0]/4)
		}
		halos := c.zeroHalos()
		if s.Pack {
			halos = nil
		}
		e.steps = append(e.steps, prepared{s, k.prepare(c), halos})
	})
	if err != nil {
		return nil, err
	}
	e.timings = make([]backend.Timing, len(e.steps))
	for i, s := range e.steps {
		e.timings[i].Step = s.step
	}
	return e, nil
}

type prepared struct {
	step  *backend.Step
	run   func()
	halos func() // nil where no output has one
}

type executable struct {
	b       *Backend
	steps   []prepared
	timed   bool
	timings []backend.Timing
}

// Run replays the program. It stops for ctx between replays only, so that state is never half updated.
func (e *executable) Run(ctx context.Context, times int) error {
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	for range times {
		if err := ctx.Err(); err != nil {
			return err
		}
		var began, start time.Time
		if e.timed {
			began = time.Now()
		}
		for i := range e.steps {
			s := &e.steps[i]
			if e.timed {
				start = time.Now()
			}
			if s.halos != nil {
				s.halos()
			}
			s.run()
			if e.timed {
				t := &e.timings[i]
				t.At, t.Last = start.Sub(began), time.Since(start)
				t.Calls++
				t.Total += t.Last
			}
		}
	}
	return nil
}

// SetTiming implements backend.Timer.
func (e *executable) SetTiming(on bool) { e.timed = on }

func (e *executable) Timings() []backend.Timing { return e.timings }

func (e *executable) Close() error { return nil }
