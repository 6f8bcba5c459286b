package nn

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// Init returns initial parameters: [Elems], distributed as PyTorch's own: weights and biases of convolutions and linear
// layers uniform in +-1/sqrt(fan in) (Kaiming with a = sqrt(5)), norms 1 and 0, embeddings standard normal. No layer
// starts at zero: the network learns as fast without that.
//
// A number depends on the seed, the parameter's place among the sorted names and the element's place in the file's
// order, so that it survives any change of the layout inside.
func (p *Params) Init(seed uint64) []float32 {
	flat := make([]float32, p.elems)
	_ = p.Draw(seed, func(offset int, values []float32) error {
		copy(flat[offset:], values)
		return nil
	})
	return flat
}

// Draw calls write with the initial values of one parameter after the other, as Init has them, and where they begin in the flat
// buffer, in floats. The values are the callee's until it returns: large models are never on the host as a whole. It ends with the
// first error.
func (p *Params) Draw(seed uint64, write func(offset int, values []float32) error) error {
	most := 0
	for _, q := range p.list {
		most = max(most, q.Shape.Elems())
	}
	laid := make([]float32, most)
	for i, q := range p.sorted() {
		flat := laid[:q.Shape.Elems()]
		switch q.Kind {
		case NormWeight:
			for e := range flat {
				flat[e] = 1
			}
		case NormBias:
			clear(flat)
		case Embedding:
			rng.Normals(flat, seed, rng.StreamInit, uint32(i), 0)
		case Frequencies: // of the scale that diffusers has
			rng.Normals(flat, seed, rng.StreamInit, uint32(i), 0)
			for e := range flat {
				flat[e] *= 16
			}
		case ConvWeight, LinearWeight, Bias:
			bound := float32(1 / math.Sqrt(float64(q.FanIn)))
			var words [4]uint32
			q.each(func(e, at int) { // in the file's order
				if e%4 == 0 {
					words = rng.Block(seed, rng.StreamInit, uint32(e/4), uint32(i), 0)
				}
				flat[at] = bound * (2*rng.Uniform(words[e%4]) - 1) // one rounding: 2u-1 is exact
			})
		}
		if err := write(q.Offset, flat); err != nil {
			return err
		}
	}
	return nil
}
