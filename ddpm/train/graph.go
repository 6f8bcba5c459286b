package train

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// The buffers of a training step, besides the arena: flat state, what the host writes, what it reads.
const (
	bufParams  = nn.ParamsBuffer
	bufGrads   = "grads"
	bufM       = "m"
	bufV       = "v"
	bufEMA     = "ema"
	bufControl = "control"
	bufHyper   = "hyper"
	bufImages  = "images"
	bufTables  = "mix"     // [2 or 3,T]: sqrt(alphabar), sqrt(1-alphabar), and for v its negative
	bufOne     = "one"     // the gradient of the step's loss with respect to that of a micro-batch
	bufWeights = "weights" // [T,2C], for min-SNR: what a loss is multiplied with, see snrTable
	bufScale   = "scale"   // under loss scaling: its state, then the steps that were taken, see lossscale.go
	bufMetrics = "metrics" // loss, gradient norm, scalars, then each sample's loss and t
)

// Where the metrics lie in their buffer, in words.
const (
	metLoss    = 0
	metNorm    = 1
	metScale   = 8 // the loss scale's state after the step
	metScalars = 16
	metSamples = 32
)

// state is a value that is the whole of a buffer.
func state(name string, t graph.Type) *graph.Value { return graph.State(name, 0, t, name) }

// controlOf is the control buffer of a micro-batch: they differ in their first sample.
func controlOf(i int) *graph.Value {
	return graph.State(bufControl, i*backend.CtlWords*4, graph.U32(backend.CtlWords), bufControl)
}

// buildStep is a whole training step (Ho et al. 2020, algorithm 1) as one graph: for each micro-batch its images, t, eps, x_t, the
// network, the loss and the gradients; then AdamW, the averages, the step counter. images is the size of the data set, B the samples of
// each micro-batch that are computed here.
func buildStep(c *Config, params *nn.Params, images, B int) (*graph.Graph, error) {
	return graph.Build(func(g *graph.Graph) {
		var loss *graph.Value
		var sums []*graph.Value
		if c.micro() == 1 {
			loss, sums = buildMicro(g, c, params, images, B, 0)
		} else {
			loss, sums = accumulate(g, c, params, images, B)
		}
		grads := params.Bind(sums, bufGrads)
		g.Scope("loss.optimizer", func() {
			hyper, control := state(bufHyper, graph.F32(backend.HypWords)), controlOf(0)
			taken, norm := control, g.GlobalNorm(grads)
			var unscale *graph.Value
			if c.scaled() {
				taken, unscale = takenSteps(), scaleWord(backend.LscInverse)
				norm = g.Mul(norm, unscale)
			}
			// A loss that is not finite makes the norm NaN (0 times it is), so that AdamW leaves the weights alone.
			norm = g.Add(norm, g.Scale(loss, 0, 0))
			if !c.scaled() { // nor do the steps after it that are under way
				norm = g.Add(norm, g.Scale(graph.State(bufMetrics, 4*metNorm, graph.F32(1), bufMetrics), 0, 0))
			}
			scalars := g.Schedule(taken, hyper)
			g.AdamW(params.Flat(bufParams), params.Flat(bufM), params.Flat(bufV), params.Flat(bufEMA), grads, norm, hyper, scalars, unscale)
			for i, std := range c.EMA.Lengths {
				g.EMAPower(params.Flat(averageBuffer(i)), params.Flat(bufParams), taken, norm, float32(ddpm.EMAGamma(std)))
			}
			if c.scaled() {
				graph.Keep(g.LossScale(graph.State(bufScale, 0, graph.F32(backend.LscWords), bufScale), taken, norm, scaleGrowth), bufMetrics, 4*metScale)
			}
			for i := range c.micro() {
				g.Advance(controlOf(i))
			}
			graph.Keep(norm, bufMetrics, 4*metNorm)
			graph.Keep(scalars, bufMetrics, 4*metScalars)
		})
		graph.Keep(loss, bufMetrics, 4*metLoss)
	})
}

// accumulate is the mean loss and gradient of all micro-batches, one after the other in the same memory.
func accumulate(g *graph.Graph, c *Config, params *nn.Params, images, B int) (loss *graph.Value, sums []*graph.Value) {
	for i := range c.micro() {
		g.Scope(fmt.Sprintf("micro%d", i), func() {
			part, grads := buildMicro(g, c, params, images, B, i)
			part = g.Scale(part, 1/float32(c.micro()), 0)
			if i == 0 {
				loss, sums = part, grads
				return
			}
			loss = g.Add(loss, part)
			for k := range sums {
				sums[k] = g.Add(sums[k], grads[k])
			}
		})
	}
	return loss, sums
}

// buildMicro is the i-th micro-batch of a step: its loss: [1] and the parameters' gradients.
func buildMicro(g *graph.Graph, c *Config, params *nn.Params, images, B, i int) (loss *graph.Value, grads []*graph.Value) {
	S, C := c.UNet.SampleSize, c.Channels()
	control := controlOf(i)
	var x0, t, each, class *graph.Value
	var drop *nn.LabelDrop
	g.Scope("batch", func() {
		index := g.BatchIndices(control, B, c.Batch, images)
		x0 = g.BatchImages(state(bufImages, graph.U8(images, S, S, C)), index, control, c.Flip, c.Crop)
		if c.Augment > 0 {
			x0 = g.Augment(x0, control, float32(c.Augment))
		}
		class, drop = buildLabels(g, c, control, index, B, images)
	})
	if c.masked() {
		loss, each, t = c.Lab.Objective(g, params, c.UNet, control, x0)
	} else {
		loss, each, t = buildDiffusion(g, c, params, control, x0, class, drop)
	}
	g.Scope("loss", func() {
		one := state(bufOne, graph.F32(1))
		if c.scaled() {
			one = g.Mul(one, scaleWord(backend.LscScale))
		}
		grads = g.Grad(loss, one, params.Values())
		graph.Keep(each, bufMetrics, 4*(metSamples+i*B))
		graph.Keep(t, bufMetrics, 4*(metSamples+c.micro()*B+i*B))
	})
	return loss, grads
}

// buildDiffusion draws t and eps for images x0: [B,S,S,C], and is the loss of what the network says of x_t: [1], that of each image, and
// t: [B]. class and drop are nil for a network that is not told the class.
func buildDiffusion(g *graph.Graph, c *Config, params *nn.Params, control, x0, class *graph.Value, drop *nn.LabelDrop) (loss, each, t *graph.Value) {
	B, T, S, C := x0.Shape[0], c.Schedule.T, x0.Shape[1], x0.Shape[3]
	table := func(i int) *graph.Value { return graph.State(bufTables, i*T*4, graph.F32(T), bufTables) }
	signal, noise, minusNoise := table(0), table(1), table(2)

	var eps, xt *graph.Value
	g.Scope("batch", func() {
		t = g.RandomTimesteps(control, B, T)
		eps = g.RandomNormal(control, rng.StreamNoise, B, S, S, C)
		xt = g.Mix(x0, eps, signal, noise, t) // x_t = sqrt(alphabar) x_0 + sqrt(1-alphabar) eps
	})
	in := xt
	if c.Lab != nil {
		in = c.Lab.NoiseInput(g, xt)
	}
	out := nn.UNetInTraining(g, params, c.UNet, in, t, state(model.TableBuffer, graph.F32(T, c.UNet.BlockOutChannels[0])), class, control, drop)
	g.Scope("loss", func() {
		target := eps
		switch c.Prediction {
		case ddpm.Sample0:
			target = x0
		case ddpm.VPrediction:
			target = g.Mix(eps, x0, signal, minusNoise, t) // v = sqrt(alphabar) eps - sqrt(1-alphabar) x_0
		}
		loss, each = g.MSE(out, target)
		if c.MinSNR > 0 { // what is reported of each sample stays the plain error
			root := g.Gather(state(bufWeights, graph.F32(T, 2*C)), t)
			loss, _ = g.MSE(g.Modulate(out, root), g.Modulate(target, root))
		}
	})
	return loss, each, t
}
