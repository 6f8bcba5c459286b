package metrics

import (
	"context"
	"errors"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// The autoencoder's training. Its numbers are part of what a distance on its code means, and so of the key of kept work.
const (
	autoBatch = 32
	autoPart  = 50 // steps of a chunk
	autoLR    = 2e-3
	autoSeed  = 20201006
)

// AutoencoderName is what features of the autoencoder are called. A distance on them is no FID.
const AutoencoderName = "the code of a small autoencoder trained on these training images"

// autoSteps is the length of the training; a variable for tests.
var autoSteps = 600

// autoencoder is the network with what it needs to train.
type autoencoder struct {
	net    nn.Autoencoder
	params *nn.Params
	mem    *model.Memory
	train  backend.Executable
	encode backend.Executable
}

func buildAutoencoder(b backend.Backend, training Images) (*autoencoder, error) {
	a := &autoencoder{net: nn.Autoencoder{Size: training.Size, Channels: training.Channels}, params: nn.NewParams(), mem: model.NewMemory(b)}
	S, C := training.Size, training.Channels
	state := func(name string, t graph.Type) *graph.Value { return graph.State(name, 0, t, name) }
	forward := func(g *graph.Graph, x *graph.Value) (code, y *graph.Value) {
		code = a.net.Encode(g, a.params, x)
		return code, a.net.Decode(g, a.params, code)
	}
	if _, err := graph.Build(func(g *graph.Graph) { forward(g, state("x", graph.F32(1, S, S, C))) }); err != nil {
		return nil, err
	}
	a.params.Finish()
	p := a.params
	step, err := graph.Build(func(g *graph.Graph) {
		control, hyper := state("control", graph.U32(backend.CtlWords)), state("hyper", graph.F32(backend.HypWords))
		index := g.BatchIndices(control, autoBatch, autoBatch, training.N)
		x := g.BatchImages(state("images", graph.U8(training.N, S, S, C)), index, control, false, 0)
		_, y := forward(g, x)
		loss, _ := g.MSE(y, x)
		grads := p.Bind(g.Grad(loss, state("one", graph.F32(1)), p.Values()), "grads")
		g.AdamW(p.Flat(nn.ParamsBuffer), p.Flat("m"), p.Flat("v"), p.Flat("ema"), grads, g.GlobalNorm(grads), hyper, g.Schedule(control, hyper), nil)
		g.Advance(control)
		graph.Keep(loss, "loss", 0)
	})
	if err != nil {
		return nil, err
	}
	encode, err := graph.Build(func(g *graph.Graph) {
		graph.Keep(a.net.Encode(g, p, state("x", graph.F32(autoBatch, S, S, C))), "code", 0)
	})
	if err != nil {
		return nil, err
	}
	var programs []*backend.Program
	for _, g := range []*graph.Graph{step, encode} {
		program, _, err := a.mem.Plan("autoencoder", g)
		if err != nil {
			return nil, err
		}
		programs = append(programs, program)
	}
	es, err := a.mem.Compile(programs...)
	if err != nil {
		return nil, err
	}
	a.train, a.encode = es[0], es[1]
	hyper := make([]float32, backend.HypWords)
	hyper[backend.HypLR], hyper[backend.HypWarmup], hyper[backend.HypBeta1], hyper[backend.HypBeta2] = autoLR, 20, 0.9, 0.99
	hyper[backend.HypEps], hyper[backend.HypClip], hyper[backend.HypEMA], hyper[backend.HypEMAPower] = 1e-8, 1, 0.99, 0.75
	hyper[backend.HypLRKind], hyper[backend.HypLRSteps], hyper[backend.HypLRFloor] = backend.LRCosine, float32(autoSteps), 0.02
	for _, err := range []error{
		model.Write(a.mem, "images", 0, training.Pixels), model.Write(a.mem, "one", 0, []float32{1}), model.Write(a.mem, "hyper", 0, hyper),
	} {
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

// autoState are the buffers that training changes, in the order in which a chunk holds them.
var autoState = []string{nn.ParamsBuffer, "m", "v", "ema"}

// restore puts the training where a chunk left it; nil is the start.
func (a *autoencoder) restore(chunk []float32, steps int) error {
	n := a.params.Elems()
	if chunk == nil {
		start := a.params.Init(autoSeed)
		chunk = make([]float32, len(autoState)*n)
		copy(chunk, start)
		copy(chunk[3*n:], start)
	}
	for i, name := range autoState {
		if err := model.Write(a.mem, name, 0, chunk[i*n:(i+1)*n]); err != nil {
			return err
		}
	}
	control := make([]uint32, backend.CtlWords)
	control[backend.CtlStep], control[backend.CtlSeed] = uint32(steps), autoSeed
	return model.Write(a.mem, "control", 0, control)
}

// fit trains up to the end, part by part, and puts the averaged weights in place.
func (a *autoencoder) fit(ctx context.Context, w *Work, deps any) error {
	n := a.params.Elems()
	behind := -1 // the chunk that the device's state is behind
	all, err := chunks(ctx, w, task{
		name: "autoencoder", about: "training the autoencoder", n: autoSteps / autoPart, deps: deps, chain: true,
	}, func(i int, before []float32, tick func(float64)) ([]float32, error) {
		if i == 0 || behind != i-1 {
			if err := a.restore(before, i*autoPart); err != nil {
				return nil, err
			}
		}
		for k := range autoPart {
			if err := a.train.Run(ctx, 1); err != nil {
				return nil, err
			}
			tick(float64(k+1) / autoPart)
		}
		chunk := make([]float32, len(autoState)*n)
		for k, name := range autoState {
			if err := model.Read(a.mem, name, 0, chunk[k*n:(k+1)*n]); err != nil {
				return nil, err
			}
		}
		behind = i
		return chunk, nil
	})
	if err != nil {
		return err
	}
	return model.Write(a.mem, nn.ParamsBuffer, 0, all[0][3*n:4*n])
}

// codes are the codes of pictures [from,to), at most autoBatch of them.
func (a *autoencoder) codes(ctx context.Context, images Images, from, to int, out []float64) error {
	if err := model.Write(a.mem, "x", 0, images.floats(from, to)); err != nil {
		return err
	}
	if err := a.encode.Run(ctx, 1); err != nil {
		return err
	}
	v := make([]float32, len(out))
	if err := model.Read(a.mem, "code", 0, v); err != nil {
		return err
	}
	for i, x := range v {
		out[i] = float64(x)
	}
	return nil
}

// OwnFeatures trains the autoencoder on training pictures, or takes what was trained before, and returns its codes, each number divided by its
// deviation over those pictures.
func OwnFeatures(ctx context.Context, b backend.Backend, w *Work, training Images) (*Features, error) {
	a, err := buildAutoencoder(b, training)
	if err != nil {
		return nil, err
	}
	deps := []any{"1", training.hash(), training.N, training.Size, training.Channels, autoSteps, autoBatch, autoLR, autoSeed, b.Info().ISA}
	if err := a.fit(ctx, w, deps); err != nil {
		return nil, errors.Join(err, a.mem.Close())
	}
	key, err := task{deps: deps}.key()
	if err != nil {
		return nil, errors.Join(err, a.mem.Close())
	}
	f := &Features{Name: AutoencoderName, D: a.net.Code().Elems(), Key: "autoencoder " + key, Batch: autoBatch, Run: a.codes, Close: a.mem.Close}
	some, err := Extract(ctx, w, f, training.First(scaleImages), "the autoencoder's scale")
	if err != nil {
		return nil, errors.Join(err, a.mem.Close())
	}
	scale := make([]float64, f.D)
	for k := range scale {
		var sum, sq float64
		for i := range some.N {
			sum += some.Row(i)[k]
			sq += some.Row(i)[k] * some.Row(i)[k]
		}
		m := sum / float64(some.N)
		scale[k] = 1 / math.Sqrt(max(sq/float64(some.N)-m*m, 1e-12))
	}
	f.Key += " scaled"
	f.Run = func(ctx context.Context, images Images, from, to int, out []float64) error {
		if err := a.codes(ctx, images, from, to, out); err != nil {
			return err
		}
		for i := range out {
			out[i] *= scale[i%f.D]
		}
		return nil
	}
	return f, nil
}

// scaleImages is how many pictures the scale of the codes is taken from.
const scaleImages = 2048
