package conformance

import (
	"math"
	"math/rand/v2"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// A model is a whole training step in small, made of nothing but graph's ops, with the state it starts from.
type model struct {
	name string
	g    *graph.Graph

	precision backend.Precision

	state map[string]*graph.Tensor // each buffer holds one element type

	r      *rand.Rand
	params []*graph.Value
	values []float64 // of all parameters
}

// newModel builds the graph from the forward pass that f describes, up to its loss.
func newModel(name string, f func(m *model) (loss *graph.Value)) (*model, error) {
	m := &model{name: name, state: map[string]*graph.Tensor{}, r: source(name)}
	var err error
	m.g, err = graph.Build(func(g *graph.Graph) {
		m.g = g
		loss := f(m)
		n := len(m.values)
		m.fill("params", graph.F32(n), func(i int) float64 { return m.values[i] })
		m.fill("ema", graph.F32(n), func(i int) float64 { return m.values[i] })
		flat := func(buffer string) *graph.Value {
			if m.state[buffer] == nil {
				m.state[buffer] = graph.NewTensor(graph.F32(n))
			}
			return graph.State(buffer, 0, graph.F32(n), buffer)
		}
		hyper := m.fill("hyper", graph.F32(backend.HypWords), func(i int) float64 {
			return []float64{1e-3, 2, 0.9, 0.99, 1e-8, 0.01, 1, 0.999, 0.75, 15: 0}[i]
		})
		at := 0
		for i, d := range g.Grad(loss, m.fill("one", graph.F32(1), func(int) float64 { return 1 }), m.params) {
			graph.Keep(d, "grads", at)
			at += m.params[i].Bytes()
		}
		graph.Keep(loss, "out", 0)
		norm := graph.Keep(g.GlobalNorm(flat("grads")), "out", 4)
		m.state["out"] = graph.NewTensor(graph.F32(2))
		scalars := g.Schedule(m.control(), hyper)
		g.AdamW(flat("params"), flat("m"), flat("v"), flat("ema"), flat("grads"), norm, hyper, scalars, nil)
		g.Advance(m.control())
	})
	return m, err
}

// fill makes a state buffer with one value in it.
func (m *model) fill(buffer string, t graph.Type, f func(i int) float64) *graph.Value {
	d := graph.NewTensor(t)
	for i := range d.Data {
		d.Data[i] = round(t.DType, f(i))
	}
	m.state[buffer] = d
	return graph.State(buffer, 0, t, buffer)
}

func (m *model) control() *graph.Value {
	if m.state["control"] == nil {
		m.fill("control", graph.U32(backend.CtlWords), func(i int) float64 { return []float64{0, 0, 7, 1, 7: 0}[i] })
	}
	return graph.State("control", 0, graph.U32(backend.CtlWords), "control")
}

// param is a parameter of normals in the flat buffer.
func (m *model) param(mean, std float64, shape ...int) *graph.Value {
	v := graph.State("params", 4*len(m.values), graph.F32(shape...), "param")
	for range v.Shape.Elems() {
		m.values = append(m.values, mean+std*m.r.NormFloat64())
	}
	m.params = append(m.params, v)
	return v
}

func (m *model) conv(x *graph.Value, out, k, stride int) *graph.Value {
	in, p := x.Shape[3], k/2
	std := 1 / math.Sqrt(float64(k*k*in))
	return m.g.Conv2D(x, m.param(0, std, out, k, k, in), m.param(0, 0.1, out), stride, [4]int{p, p, p, p})
}

func (m *model) norm(x *graph.Value, silu bool) *graph.Value {
	c := x.Shape[3]
	return m.g.GroupNorm(x, m.param(1, 0.2, c), m.param(0, 0.2, c), 4, 1e-5, silu)
}

// residual is a block of a U-Net: norm, SiLU, convolution, twice, with the time embedding between if there is one.
func (m *model) residual(x, emb *graph.Value, out int) *graph.Value {
	h := m.conv(m.norm(x, true), out, 3, 1)
	if emb != nil {
		h = m.g.AddRow(h, m.conv(emb, out, 1, 1))
	}
	h = m.conv(m.norm(h, true), out, 3, 1)
	if x.Shape[3] != out {
		x = m.conv(x, out, 1, 1)
	}
	return m.g.Add(x, h)
}

func (m *model) attention(x *graph.Value) *graph.Value {
	c := x.Shape[3]
	n := m.norm(x, false)
	q, k, v := m.conv(n, c, 1, 1), m.conv(n, c, 1, 1), m.conv(n, c, 1, 1)
	return m.g.Add(x, m.conv(m.g.Attention(q, k, v, 2), c, 1, 1))
}

// residualModel is one block on given images.
func residualModel() (*model, error) {
	return newModel("residual block", func(m *model) *graph.Value {
		normal := func(int) float64 { return m.r.NormFloat64() }
		x := m.fill("x", graph.F32(3, 5, 7, 4), normal)
		y := m.fill("y", graph.F32(3, 5, 7, 8), normal)
		loss, each := m.g.MSE(m.residual(x, nil, 8), y)
		m.state["each"] = graph.NewTensor(each.Type)
		graph.Keep(each, "each", 0)
		return loss
	})
}

// unetModel is a diffusion step: a batch from a set of images, noise, a U-Net of two levels, and the loss.
func unetModel() (*model, error) {
	return newModel("diffusion step", func(m *model) *graph.Value {
		const n, images, T = 4, 9, 10
		g, size := m.g, []int{n, 8, 8, 3}
		set := m.fill("images", graph.U8(images, 8, 8, 3), func(int) float64 { return float64(m.r.IntN(256)) })
		signal := func(t int) float64 { return math.Sqrt(1 - float64(t+1)/(T+1)) }
		a := m.fill("signal", graph.F32(T), signal)
		b := m.fill("noise", graph.F32(T), func(t int) float64 { return math.Sqrt(1 - signal(t)*signal(t)) })
		table := m.fill("times", graph.F32(T, 12), func(i int) float64 { return math.Sin(float64(i/12+1) * float64(i%12)) })

		x0 := g.BatchImages(set, g.BatchIndices(m.control(), n, n, images), m.control(), true, 0)
		t := g.RandomTimesteps(m.control(), n, T)
		eps := g.RandomNormal(m.control(), rng.StreamNoise, size...)
		xt := g.Mix(x0, eps, a, b, t)

		emb := g.SiLU(m.conv(g.Gather(table, t), 16, 1, 1))
		top := m.residual(m.conv(xt, 8, 3, 1), emb, 8)
		low := m.conv(top, 8, 3, 2)
		h := m.attention(m.residual(low, emb, 12))
		h = m.residual(g.Concat(h, low), emb, 12)
		h = m.conv(g.Upsample(h), 8, 3, 1)
		h = m.residual(g.Concat(h, top), emb, 8)
		loss, _ := g.MSE(m.conv(m.norm(h, true), 3, 3, 1), eps)
		return loss
	})
}
