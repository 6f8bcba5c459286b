package model

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// TableBuffer is the name of the buffer of time embeddings, see nn.TimeTable.
const TableBuffer = "table"

// Table is what TableBuffer holds for T timesteps of a network that embeds them by position, as those that are trained here do.
func Table(cfg *nn.UNetConfig, T int) []float32 { return nn.TimeTable(cfg, T, nil, nil) }

// Plan compiles a graph for the memory's backend; a segment ends after each of cuts.
func (m *Memory) Plan(name string, g *graph.Graph, cuts ...*graph.Node) (*backend.Program, plan.Stats, error) {
	return m.plan(g, plan.Options{Name: name, Reuse: true, Cuts: cuts})
}

// PlanLending is Plan where values may lie in a buffer until the program writes it: nobody may need what it held before.
func (m *Memory) PlanLending(name, buffer string, g *graph.Graph, cuts ...*graph.Node) (*backend.Program, plan.Stats, error) {
	return m.plan(g, plan.Options{Name: name, Reuse: true, Lend: buffer, Cuts: cuts})
}

// packedBuffer is the name of the buffer of what kernels keep of weights that stay.
const packedBuffer = "packed"

func (m *Memory) planPacked(name string, g *graph.Graph) (*backend.Program, plan.Stats, error) {
	return m.plan(g, plan.Options{Name: name, Reuse: true, Packed: packedBuffer})
}

func (m *Memory) plan(g *graph.Graph, o plan.Options) (*backend.Program, plan.Stats, error) {
	if err := CheckPrecision(m.Backend.Info(), m.Precision); err != nil {
		return nil, plan.Stats{}, err
	}
	o.Planner, _ = m.Backend.(backend.Planner)
	o.Precision = m.Precision
	return plan.Compile(g, o)
}

// A PrecisionError says that a device does not have a precision.
type PrecisionError struct {
	Want backend.Precision
	On   backend.Info
}

func (e *PrecisionError) Error() string {
	where := map[backend.Precision]string{
		backend.FP16: "Vulkan devices with 16-bit storage (--backend vulkan)", backend.BF16: "CPUs with AVX512_BF16 (--backend cpu)",
	}[e.Want]
	have := make([]string, len(e.On.Precisions))
	for i, p := range e.On.Precisions {
		have[i] = string(p)
	}
	return fmt.Sprintf("precision %s: the %s backend (%s) has %s only; %s is for %s, and ddpm-tui devices lists what each device has", e.Want, e.On.Backend, e.On.Device, strings.Join(have, " and "), e.Want, where)
}

// CheckPrecision is a *PrecisionError unless the device has the precision.
func CheckPrecision(i backend.Info, p backend.Precision) error {
	if i.Has(p) {
		return nil
	}
	return &PrecisionError{p, i}
}

// A Forward is the network's forward pass for a fixed batch, planned, and once Bind is called, compiled.
type Forward struct {
	Batch, Size, In, Out int
	Program              *backend.Program
	Stats                plan.Stats
	Named                int  // classes that have a name; Run takes one more for none if there are more
	classes              int  // labels that Run wants, 0 for none
	fourier              bool // there is no timestep 0
	mem                  *Memory
	pack                 backend.Executable // run once, before exec is for the first time; nil for nothing to do
	exec                 backend.Executable
	t                    []uint32
}

// PlanForward plans the forward pass of batch images with the weights in the buffer called weights; T is the number of
// timesteps in the table. With fixed, the weights stay as they are at the first Run, so that kernels may keep them in a form of
// their own.
func PlanForward(m *Memory, params *nn.Params, cfg *nn.UNetConfig, batch, T int, weights string, fixed bool) (*Forward, error) {
	f := &Forward{Batch: batch, Size: cfg.SampleSize, In: cfg.InChannels, Out: cfg.OutChannels, mem: m, t: make([]uint32, batch),
		classes: cfg.Classes(), fourier: cfg.Fourier()}
	if cfg.ClassEmbedType != nil { // labels are rows of the table of timesteps
		f.classes = min(f.classes, T)
	}
	f.Named = f.classes
	g, y, err := nn.BuildUNet(params, cfg, batch, T)
	if err != nil {
		return nil, err
	}
	graph.Keep(y, "out", 0)
	if fixed {
		f.Program, f.Stats, err = m.planPacked("forward", g)
	} else {
		f.Program, f.Stats, err = m.Plan("forward", g)
	}
	if err != nil {
		return nil, err
	}
	for i := range f.Program.Buffers {
		if s := &f.Program.Buffers[i]; s.Name == nn.ParamsBuffer {
			s.Name = weights
		}
	}
	return f, nil
}

// Programs are what must be compiled, for Bind.
func (f *Forward) Programs() []*backend.Program { return f.Program.Split() }

// Bind takes the compiled programs.
func (f *Forward) Bind(es ...backend.Executable) {
	f.exec = es[len(es)-1]
	if len(es) > 1 {
		f.pack = es[0]
	}
}

// Executable is the compiled program.
func (f *Forward) Executable() backend.Executable { return f.exec }

// Run computes out = network(x, t). x: [n,H,W,In] with n at most Batch, t: [n]; out: [n,H,W,Out]. A network with classes wants
// class: [n]; nil is none of them, if it knows that.
func (f *Forward) Run(ctx context.Context, x []float32, t []int, class []uint32, out []float32) error {
	per := f.Size * f.Size
	if len(t) > f.Batch || len(x) != len(t)*per*f.In || len(out) != len(t)*per*f.Out {
		return fmt.Errorf("model: %d timesteps for %d values in and %d out, a batch of at most %d", len(t), len(x), len(out), f.Batch)
	}
	for i := range f.t {
		f.t[i] = 0
		if i < len(t) {
			f.t[i] = uint32(t[i])
		}
	}
	if err := Write(f.mem, "t", 0, f.t); err != nil {
		return err
	}
	if f.classes > 0 {
		if class == nil && f.Named < f.classes {
			class = slices.Repeat([]uint32{uint32(f.Named)}, len(t))
		}
		if len(class) != len(t) {
			return fmt.Errorf("model: %d labels for %d images", len(class), len(t))
		}
		for _, label := range class {
			if int(label) >= f.classes {
				return fmt.Errorf("model: label %d of %d classes", label, f.classes)
			}
		}
		if err := Write(f.mem, "class", 0, class); err != nil {
			return err
		}
	}
	if err := Write(f.mem, "x", 0, x); err != nil {
		return err
	}
	if f.pack != nil {
		if err := f.pack.Run(ctx, 1); err != nil {
			return err
		}
		f.pack = nil
	}
	if err := f.exec.Run(ctx, 1); err != nil {
		return err
	}
	return Read(f.mem, "out", 0, out)
}
