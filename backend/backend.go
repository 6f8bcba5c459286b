// Package backend is the boundary between what is computed and what computes it.
//
// The planner (backend/plan) turns a graph into a Program: steps over views of a few buffers, every offset decided. A
// Backend compiles a Program once and replays it. Nothing here knows what a U-Net is.
package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Backend is one device that can run programs.
type Backend interface {
	Info() Info
	NewBuffer(bytes int) (Buffer, error)  // zeroed
	Compile(*Program) (Executable, error) // ErrUnsupported names the op
	Close() error
}

// A Buffer is memory of a device. Offsets are in bytes.
type Buffer interface {
	Size() int
	Write(offset int, p []byte) error
	Read(offset int, p []byte) error
	Close() error
}

// An Executable is a compiled program. Run replays all of it, times times, and returns when it is done. Not safe for concurrent use.
type Executable interface {
	Run(ctx context.Context, times int) error
	Timings() []Timing // one a step; sums since SetTiming(true) where the backend is a Timer
	Close() error
}

// Info is what a person wants to know of a device.
type Info struct {
	Backend string   // cpu, vulkan
	Device  string   // its name
	ISA     string   // instruction set or API version in use
	Threads int      // workers, 0 where that means nothing
	Memory  int64    // bytes that programs may take, 0 if unknown
	Formats []string // precisions, fp32 first, for people

	Precisions []Precision // what programs may be planned with, fp32 first
}

// A Precision is what activations and their gradients are held in, or what products take. Sums, parameters and all that an optimizer
// keeps are always fp32.
type Precision string

// The precisions. Which of them a device has, and what it makes of one, is the backend's to say.
const (
	FP32 Precision = "fp32"
	FP16 Precision = "fp16"
	BF16 Precision = "bf16"
)

// Known are all precisions.
var Known = []Precision{FP32, FP16, BF16}

// Has reports whether programs of that precision run on the device; "" is fp32.
func (i Info) Has(p Precision) bool { return p == "" || p == FP32 || slices.Contains(i.Precisions, p) }

// A Timing is the time spent in one step of a program.
type Timing struct {
	Step  *Step
	Calls int
	Total time.Duration
	At    time.Duration // when its last call began, since that replay did
	Last  time.Duration // how long that call took
}

// What can be wrong with a device, for errors.Is.
var (
	ErrUnsupported = errors.New("unsupported")        // no kernel for an op
	ErrMemory      = errors.New("out of memory")      // less than was promised
	ErrLost        = errors.New("the device is lost") // nothing works any more
)

// Powers that a backend or an executable may have besides, asked for by type assertion.
type (
	// A Planner is asked by the planner what layout and how much scratch memory its kernels want.
	Planner interface {
		// Halo is how many rings of zeros the kernel of op wants around its i-th input, an image [N,H,W,C].
		Halo(op string, attrs any, i int, in []Shape) int
		// Dense reports whether the kernel of op takes no halo at all, on any input or output.
		Dense(op string) bool
		// Scratch is how many bytes of scratch memory the step's kernel wants.
		Scratch(*Step) int
	}
	// A Fuser is a Planner whose kernels can do a little more to their first output: Fuses reports whether the kernel of op can
	// apply next to it, of whose two inputs it is the operand-th.
	Fuser interface {
		Fuses(op string, attrs any, in []Shape, next string, operand int) bool
	}
	// A Tallier is a Planner some of whose kernels can tell of an image what sums over its pixels come to while they write it, and others
	// of which take that in place of going over the image. Tally is what the step's kernel would tell of its first output, [N, ...] in a form
	// of the backend's own, nil for nothing; TakesTally reports whether the kernel of op takes that of its first input. Of what the plan has
	// not decided yet the step has shapes alone.
	Tallier interface {
		Tally(*Step) Shape
		TakesTally(op string) bool
	}
	// A Recomputer is a Planner that says of which ops the kernels are quick enough to run once more in the backward pass, where that
	// saves keeping their first output until then. They must give the same bytes again.
	Recomputer interface{ Recomputes(op string) bool }
	// A Strider is a Planner some of whose kernels take images whose pixels lie apart (View.Apart). Strided is asked of the kernel of
	// op: does it as its in-th input, or, for -1, as its first output? StridedAfter is asked where that kernel also does the work of
	// next (Fuser): does it as what next reads besides? What the kernel of next does by itself is another question, for Strided.
	Strider interface {
		Strided(op string, attrs any, in int) bool
		StridedAfter(op, next string) bool
	}
	// Chunked is a planner whose buffers lie in chunks of memory: no value of the arena may cross a multiple of Chunk bytes.
	Chunked interface{ Chunk() int }
	// A Packer is a Planner whose kernels bring weights into another form, which they can keep where the weights stay as they are.
	Packer interface {
		Packed(*Step) int // bytes, 0 for nothing
	}
	// A Rounder has kernels that round operands or values in programs of lower precision: Rounding is the largest relative error of
	// that for op, 2^-11 for halfs, 0 where nothing is rounded.
	Rounder interface {
		Rounding(op string, p Precision) float64
	}
	// A Noter has something that a person should know of its optional paths: which are left out, and why.
	Noter interface{ Notes() []string }
	// A Halver is a Planner whose kernels can read and write values of the arena as halfs. It is asked where the precision is FP16.
	Halver interface {
		Halves() error                                   // why they cannot here, after all
		HalfInput(op string, i int) bool                 // the kernel of op reads its i-th input as halfs as well as as floats
		HalfOutput(op string, i int, halfIn []bool) bool // it writes its i-th output as halfs, where those inputs are
	}
	// Mapped is a buffer whose memory the host shares with the device, at no cost.
	Mapped interface{ Map() []byte }
	// A Timer can time each step, at a small cost.
	Timer interface{ SetTiming(on bool) }
	// A Roof is a backend that can measure what its device can do at most: FLOP/s of multiply-adds, and bytes/s of memory read
	// and written in order. Where programs of a precision have faster units than fp32, the FLOP/s are theirs.
	Roof interface {
		Roof(p Precision) (flops, bytes float64)
	}
	// A Recorder is an executable that can go through several replays without a word to the host, and keeps what a buffer holds after each.
	Recorder interface {
		// RunRecorded replays the program len(p) times; p[i], all of one length, becomes the first bytes of from after the i-th.
		RunRecorded(ctx context.Context, from Buffer, p [][]byte) error
	}
	// An Inspector can run its program once and call look after each step, while what the step wrote is still there. It ends with
	// the first error.
	Inspector interface {
		Inspect(look func(*Step) error) error
	}
)

// A Program is a list of segments, so that a caller can act between them (see Split); most have one.
type Program struct {
	Name     string
	Buffers  []Slot // Buffers[0] is the arena of temporary values
	Segments []Segment
}

// A Slot names a buffer of a program and how much of it the program reaches. The caller binds it before Compile.
type Slot struct {
	Name   string
	Bytes  int
	Buffer Buffer
}

// A Segment runs without a word from the host.
type Segment struct {
	Name  string
	Steps []Step
}

// A Step is one kernel call.
type Step struct {
	Op    string
	Label string // where in the model, for people
	Attrs any    // one of the structs of attrs.go, or nil

	Precision Precision // of the program: one that the backend's Info names; "" and FP32 are the same

	In, Out []View
	After   []After // what the kernel does to its first output before it is done; each reads one more input, at the end of In
	Tally   bool    // the last output is the tally of the first one
	Tallied int     // so many inputs, behind those of After, are tallies of the first input: of its parts, in the order of their channels
	Scratch View    // bytes for the kernel's own use; undefined content
	Packed  View    // what the kernel made of the step's weights, and keeps between runs; absent: nothing is kept
	Pack    bool    // this step only makes what Packed holds, for the step that is otherwise the same
	Barrier bool    // touches memory that a step since the last barrier wrote, or writes what one read
	FLOPs   int64
	Bytes   int64 // least traffic: inputs read once, outputs written once
}

// An After is an element-wise op of two inputs, the first output of its step and one more.
type After struct {
	Op    string
	Attrs any
}

// Bind sets the buffer of the slot called name, and says whether there is one.
func (p *Program) Bind(name string, b Buffer) error {
	for i := range p.Buffers {
		if s := &p.Buffers[i]; s.Name == name {
			if b.Size() < s.Bytes {
				return fmt.Errorf("backend: program %s needs %d bytes of %q, the buffer has %d", p.Name, s.Bytes, name, b.Size())
			}
			s.Buffer = b
			return nil
		}
	}
	return fmt.Errorf("backend: program %s has no buffer %q", p.Name, name)
}

// Split makes each segment a program of its own, to be run in order. They share the slots of p, and its buffers once they are bound:
// what one leaves in the arena the next finds there.
func (p *Program) Split() []*Program {
	var list []*Program
	for _, s := range p.Segments {
		list = append(list, &Program{Name: s.Name, Buffers: p.Buffers, Segments: []Segment{s}})
	}
	return list
}

// Steps calls f with every step in order.
func (p *Program) Steps(f func(*Step)) {
	for i := range p.Segments {
		for j := range p.Segments[i].Steps {
			f(&p.Segments[i].Steps[j])
		}
	}
}
