//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/plan"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// A net is a program of a few layers on one backend, with what the tests look at.
type net struct {
	t    *testing.T
	prog *backend.Program
	exec backend.Executable
	bufs map[string]backend.Buffer
}

// newNet compiles a small training step: noise, a convolution, a group norm, the loss, gradients, AdamW, the counter.
func newNet(t *testing.T, b backend.Backend) *net {
	t.Helper()
	return newNetIn(t, b, backend.FP32)
}

func newNetIn(t *testing.T, b backend.Backend, precision backend.Precision) *net {
	t.Helper()
	const n, size, c = 2, 4, 8
	g, err := graph.Build(func(g *graph.Graph) {
		control := graph.State("control", 0, graph.U32(backend.CtlWords), "control")
		hyper := graph.State("hyper", 0, graph.F32(backend.HypWords), "hyper")
		at := 0
		var params []*graph.Value
		param := func(shape ...int) *graph.Value {
			v := graph.State("params", at, graph.F32(shape...), "param")
			at += v.Bytes()
			params = append(params, v)
			return v
		}
		x := g.RandomNormal(control, rng.StreamNoise, n, size, size, c)
		y := g.Conv2D(x, param(c, 3, 3, c), param(c), 1, [4]int{1, 1, 1, 1})
		y = g.GroupNorm(y, param(c), param(c), 2, 1e-5, true)
		loss, _ := g.MSE(g.Conv2D(y, param(c, 1, 1, c), param(c), 1, [4]int{}), x)
		to := 0
		for _, d := range g.Grad(loss, graph.State("one", 0, graph.F32(1), "one"), params) {
			graph.Keep(d, "grads", to)
			to += d.Bytes()
		}
		flat := func(name string) *graph.Value { return graph.State(name, 0, graph.F32(at/4), name) }
		norm := graph.Keep(g.GlobalNorm(flat("grads")), "out", 4)
		graph.Keep(loss, "out", 0)
		g.AdamW(flat("params"), flat("m"), flat("v"), flat("ema"), flat("grads"), norm, hyper, g.Schedule(control, hyper), nil)
		g.Advance(control)
	})
	if err != nil {
		t.Fatal(err)
	}
	planner, _ := b.(backend.Planner)
	p, _, err := plan.Compile(g, plan.Options{Name: "net", Planner: planner, Reuse: true, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	x := &net{t: t, prog: p, bufs: map[string]backend.Buffer{}}
	for _, s := range p.Buffers {
		f, err := b.NewBuffer(s.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		x.bufs[s.Name] = f
		if err := p.Bind(s.Name, f); err != nil {
			t.Fatal(err)
		}
	}
	x.start()
	if x.exec, err = b.Compile(p); err != nil {
		t.Fatal(err)
	}
	return x
}

// start puts the state back to where it was before the first step.
func (x *net) start() {
	x.t.Helper()
	weights := make([]float32, x.bufs["params"].Size()/4)
	rng.Normals(weights, 1, rng.StreamInit, 0, 0)
	for i := range weights {
		weights[i] *= 0.2
	}
	zeros := make([]float32, len(weights))
	for name, v := range map[string][]float32{
		"params": weights, "ema": weights, "m": zeros, "v": zeros, "one": {1}, "hyper": {1e-2, 3, 0.9, 0.99, 1e-8, 0.01, 1, 0.999, 0.75},
		"control": {0, 0, math.Float32frombits(9), 0, 0, 0, 0, 0},
	} {
		var p []byte
		for _, f := range v {
			b := math.Float32bits(f)
			p = append(p, byte(b), byte(b>>8), byte(b>>16), byte(b>>24))
		}
		if err := x.bufs[name].Write(0, p); err != nil {
			x.t.Fatal(err)
		}
	}
}

func (x *net) run(ctx context.Context, times int) {
	x.t.Helper()
	if err := x.exec.Run(ctx, times); err != nil {
		x.t.Fatal(err)
	}
}

func (x *net) read(name string) []byte {
	x.t.Helper()
	p := make([]byte, x.bufs[name].Size())
	if err := x.bufs[name].Read(0, p); err != nil {
		x.t.Fatal(err)
	}
	return p
}

func (x *net) close() {
	x.exec.Close()
	for _, b := range x.bufs {
		b.Close()
	}
}

// out is the loss and the gradient norm of the last step.
func (x *net) out() (loss, norm float64) {
	p := x.read("out")
	f := func(i int) float64 {
		return float64(math.Float32frombits(uint32(p[i]) | uint32(p[i+1])<<8 | uint32(p[i+2])<<16 | uint32(p[i+3])<<24))
	}
	return f(0), f(4)
}

// TestSixtySteps trains beside the CPU: the loss and the gradient norm of every step agree.
func TestSixtySteps(t *testing.T) {
	processor, err := cpu.New(cpu.Options{Threads: 1, Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	defer processor.Close()
	a, b := newNet(t, processor), newNet(t, device(t, Options{}))
	var first, last float64
	for step := range 60 {
		a.run(context.Background(), 1)
		b.run(context.Background(), 1)
		la, na := a.out()
		lb, nb := b.out()
		if math.Abs(la-lb) > 1e-4*la || math.Abs(na-nb) > 1e-3*na {
			t.Fatalf("step %d: loss %g and gradient norm %g, on the CPU %g and %g", step+1, lb, nb, la, na)
		}
		if step == 0 {
			first = lb
		}
		last = lb
	}
	if last > 0.9*first {
		t.Errorf("the loss went from %g to %g: nothing was learned", first, last)
	}
	t.Logf("loss %g to %g", first, last)
}

// TestReplay runs the same steps one by one, all in one call, and timed: the state is the same, byte for byte.
func TestReplay(t *testing.T) {
	x := newNet(t, device(t, Options{}))
	var want []byte
	var outs [20]string // what is kept of each step
	record := func(times ...int) {
		step := 0
		for _, n := range times {
			p := make([][]byte, n)
			for i := range p {
				p[i] = make([]byte, 8)
			}
			if err := x.exec.(backend.Recorder).RunRecorded(context.Background(), x.bufs["out"], p); err != nil {
				t.Fatal(err)
			}
			for _, p := range p {
				if string(p) != outs[step] {
					t.Errorf("step %d of %v: %x is recorded, want %x", step+1, times, p, outs[step])
				}
				step++
			}
		}
	}
	for i, run := range []func(){
		func() { x.run(context.Background(), 20) },
		func() {
			for i := range 20 {
				x.run(context.Background(), 1)
				outs[i] = string(x.read("out")[:8])
			}
		},
		func() { record(7, 12, 1) },
		func() {
			x.exec.(backend.Timer).SetTiming(true)
			record(3)
			x.run(context.Background(), 17)
			x.exec.(backend.Timer).SetTiming(false)
		},
		func() {
			for range 20 {
				if err := x.exec.(backend.Inspector).Inspect(func(*backend.Step) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		x.start()
		run()
		got := append(x.read("params"), x.read("v")...)
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Errorf("way %d to run 20 steps gives other bytes than the first", i+1)
		}
	}
}

func TestTimings(t *testing.T) {
	x := newNet(t, device(t, Options{}))
	x.exec.(backend.Timer).SetTiming(true)
	x.run(context.Background(), 3)
	for _, m := range x.exec.Timings() {
		if m.Calls != 3 || m.Total < 0 {
			t.Errorf("%s: %d calls, %v", m.Step.Op, m.Calls, m.Total)
		}
	}
}

// TestCancelled ends between replays.
func TestCancelled(t *testing.T) {
	x := newNet(t, device(t, Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := x.exec.Run(ctx, 5); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	x.run(context.Background(), 1)
}

// TestSmallBlocks has a buffer in many chunks: writes and reads go across their borders, and the plan keeps values inside.
func TestSmallBlocks(t *testing.T) {
	b := device(t, Options{Block: 4096})
	f, err := b.NewBuffer(3*4096 + 100)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 9000)
	for i := range p {
		p[i] = byte(i * 7)
	}
	if err := f.Write(1000, p); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, f.Size())
	if err := f.Read(0, got); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, f.Size())
	copy(want[1000:], p)
	if !bytes.Equal(got, want) {
		t.Error("a buffer in chunks does not hold what was written")
	}
	small, large := newNet(t, b), newNet(t, device(t, Options{}))
	small.run(context.Background(), 3)
	large.run(context.Background(), 3)
	if !bytes.Equal(small.read("params"), large.read("params")) {
		t.Error("memory in small blocks changes results")
	}
	if _, err := b.NewBuffer(1 << 50); err == nil || !errors.Is(err, backend.ErrMemory) {
		t.Errorf("a petabyte: %v", err)
	}
}

// resident is this process's memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	p, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("memory is read from /proc: ", err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(p))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestRecompilations compiles the same program again and again: what it takes is given back.
func TestRecompilations(t *testing.T) {
	if Validating() && os.Getenv("DDPM_RECOMPILE") == "" {
		// The layer keeps books of its own about everything that ever was. A process without it does the counting.
		subprocess(t, "TestRecompilations", ValidateEnv+"=", "DDPM_RECOMPILE=1")
		return
	}
	b := device(t, Options{})
	again := func(n int) int {
		for range n {
			newNet(t, b).close()
		}
		runtime.GC()
		runtime.GC()
		return resident(t)
	}
	before := again(200)
	after := again(800)
	if len(b.live) != 0 || len(b.buffers) != 0 || len(b.memory.blocks) != 0 {
		t.Errorf("%d programs, %d buffers and %d blocks are left", len(b.live), len(b.buffers), len(b.memory.blocks))
	}
	if grown := after - before; grown > 24*mib {
		t.Errorf("800 recompilations took %d MiB for good", grown/mib)
	}
	t.Logf("%d MiB after 200 recompilations, %d MiB after 1000", before/mib, after/mib)
}

// subprocess runs one test of this package in a process with other variables.
func subprocess(t *testing.T, test string, env ...string) string {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run", "^"+test+"$", "-test.v")
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", env, err, out)
	}
	return string(out)
}

// TestPipelineCache starts twice: the second finds what the first compiled, and a file that is damaged is passed over.
func TestPipelineCache(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(CacheEnv, folder)
	newNet(t, device(t, Options{}))
	files, err := filepath.Glob(filepath.Join(folder, "vulkan-*.cache"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v in %s: %v", files, folder, err)
	}
	if len(readCache(files[0])) == 0 {
		t.Error("the cache is empty")
	}
	p, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	p[len(p)-1] ^= 1
	if err := os.WriteFile(files[0], p, 0o600); err != nil {
		t.Fatal(err)
	}
	if readCache(files[0]) != nil {
		t.Error("a damaged cache is believed")
	}
	newNet(t, device(t, Options{})).run(context.Background(), 1)
}

// TestLost tells what happens once the device is gone: an error that says so, from then on.
func TestLost(t *testing.T) {
	b := device(t, Options{})
	x := newNet(t, b)
	b.lost = b.fate(check("submitting work", -4)) // VK_ERROR_DEVICE_LOST
	if err := x.exec.Run(context.Background(), 1); !errors.Is(err, backend.ErrLost) {
		t.Errorf("running: %v", err)
	}
	if err := x.bufs["out"].Read(0, make([]byte, 4)); !errors.Is(err, backend.ErrLost) || !strings.Contains(err.Error(), "lost") {
		t.Errorf("reading: %v", err)
	}
}

// TestStuck has a device that gives no answer in time: it counts as lost, and nothing that it may still write to is given back.
func TestStuck(t *testing.T) {
	b, err := open(Options{Device: os.Getenv("DDPM_VULKAN_DEVICE")}) // which stays open to the end of the process
	if err != nil {
		t.Skip(err)
	}
	x := newNet(t, b)
	b.impatient = true
	start := time.Now()
	for { // until one is not there before it is asked for
		if err = x.exec.Run(context.Background(), 64); err != nil || time.Since(start) > time.Minute {
			break
		}
	}
	if !errors.Is(err, backend.ErrLost) || !strings.Contains(err.Error(), "no answer in time") {
		t.Fatalf("running: %v", err)
	}
	blocks, buffers := len(b.memory.blocks), len(b.buffers)
	x.close()
	if err := b.Close(); err != nil || b.d == nil || len(b.memory.blocks) != blocks || len(b.buffers) != buffers || len(b.live) == 0 {
		t.Errorf("closing: %v; of %d blocks %d are left, of %d buffers %d", err, blocks, len(b.memory.blocks), buffers, len(b.buffers))
	}
	if _, err := b.NewBuffer(4); !errors.Is(err, backend.ErrLost) {
		t.Errorf("a new buffer: %v", err)
	}
}

func TestChoose(t *testing.T) {
	list := []DeviceInfo{{Index: 0, Name: "llvmpipe", Kind: "cpu"}, {Index: 1, Name: "Intel UHD", Kind: "integrated"}, {Index: 2, Name: "NVIDIA RTX", Kind: "discrete"},
		{Index: 3, Name: "Old", Kind: "discrete", Usable: "it has Vulkan 1.0"}}
	for want, index := range map[string]int{"": 2, "1": 1, "uhd": 1, "LLVM": 0} {
		if i, err := choose(list, want); err != nil || i != index {
			t.Errorf("%q: %d, %v", want, i, err)
		}
	}
	if _, err := choose(list, "radeon"); !errors.Is(err, ErrNoSuchDevice) || !strings.Contains(err.Error(), "NVIDIA RTX") {
		t.Errorf("%v", err)
	}
	if _, err := choose(list, "3"); err == nil || !strings.Contains(err.Error(), "1.0") {
		t.Errorf("%v", err)
	}
	if _, err := choose(nil, ""); !errors.As(err, new(*Unavailable)) {
		t.Errorf("%v", err)
	}
}
