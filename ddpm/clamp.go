package ddpm

import (
	"math"
	"slices"
)

// predictX0 reads the clean image out of the network's output and clamps it as
// the options say. The result is valid until the next call.
func (p *process) predictX0(c x0eps, x, out []float32) []float64 {
	p.clean = slices.Grow(p.clean[:0], len(x))[:len(x)]
	for i := range x {
		p.clean[i] = c.x0(float64(x[i]), float64(out[i]))
	}
	switch {
	case p.opts.Thresholding:
		n := p.opts.ImageLen
		if n == 0 {
			n = len(x)
		}
		for image := range slices.Chunk(p.clean, n) {
			p.threshold(image)
		}
	case p.opts.Clip:
		r := p.opts.ClipRange
		for i, v := range p.clean {
			p.clean[i] = min(max(v, -r), r)
		}
	}
	return p.clean
}

// threshold clamps one image to the quantile of its magnitudes, itself kept in
// [1, ThresholdMax], and divides by it (Imagen, Saharia et al. 2022, section
// 2.3): saturated pixels move inward instead of piling up at the ends.
func (p *process) threshold(image []float64) {
	p.sorted = slices.Grow(p.sorted[:0], len(image))[:len(image)]
	for i, v := range image {
		p.sorted[i] = math.Abs(v)
	}
	slices.Sort(p.sorted)
	rank := p.opts.ThresholdRatio * float64(len(image)-1)
	below := int(rank)
	above := min(below+1, len(image)-1)
	s := p.sorted[below] + float64((rank-float64(below))*(p.sorted[above]-p.sorted[below]))
	s = min(max(s, 1), p.opts.ThresholdMax)
	for i, v := range image {
		image[i] = min(max(v, -s), s) / s
	}
}

// store copies the predicted clean image out, if anyone wants it.
func store(dst []float32, clean []float64) {
	if dst == nil {
		return
	}
	for i, v := range clean {
		dst[i] = float32(v)
	}
}
