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
	for i, q := range p.sorted() {
		values := make([]float32, q.Shape.Elems())
		switch q.Kind {
		case NormWeight:
			for e := range values {
				values[e] = 1
			}
		case Embedding:
			rng.Normals(values, seed, rng.StreamInit, uint32(i), 0)
		case Frequencies: // of the scale that diffusers has
			rng.Normals(values, seed, rng.StreamInit, uint32(i), 0)
			for e := range values {
				values[e] *= 16
			}
		case ConvWeight, LinearWeight, Bias:
			bound := float32(1 / math.Sqrt(float64(q.FanIn)))
			var words [4]uint32
			for e := range values {
				if e%4 == 0 {
					words = rng.Block(seed, rng.StreamInit, uint32(e/4), uint32(i), 0)
				}
				values[e] = bound * (2*rng.Uniform(words[e%4]) - 1) // one rounding: 2u-1 is exact
			}
		}
		q.each(func(file, at int) { flat[q.Offset+at] = values[file] })
	}
	return flat
}
