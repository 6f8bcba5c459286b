package ddpm

import (
	"context"
	"fmt"
	"math"
)

// An Inpainting is a picture of which a part is painted anew (RePaint, Lugmayr
// et al. 2022). After each step the known part is put back, with the noise that
// belongs to the new level. So that the new part comes to agree with the known
// one, the way down is walked several times: after every Jump steps noise is
// added for Jump steps, and they are taken again.
type Inpainting struct {
	Known []float32 // the picture, as long as x
	Mask  []float32 // as long as x: 1 is painted anew, 0 stays, between the two is a mixture
	Jump  int       // steps that are walked again, default 10
	Walks int       // how often each stretch is walked, default 1
}

// single is implemented by the samplers whose steps need nothing of the steps
// before, so that they can be taken again.
type single interface{ single() }

func (*ddpmSampler) single()  {}
func (*ddimSampler) single()  {}
func (*eulerSampler) single() {}

// path calls down for each step in order, and up where noise is added from
// level i to the one before. It ends with the first error.
func (p *Inpainting) path(steps int, down, up func(i int) error) error {
	jump, walks := p.Jump, p.Walks
	if jump <= 0 {
		jump = 10
	}
	again := make([]int, steps) // how often a level still sends back
	for i := jump; i < steps; i += jump {
		again[i] = max(walks, 1) - 1
	}
	for i := 0; i < steps; i++ {
		if err := down(i); err != nil {
			return err
		}
		if at := i + 1; at < steps && again[at] > 0 {
			again[at]--
			for range jump {
				if err := up(at); err != nil {
					return err
				}
				at--
			}
			i = at - 1
		}
	}
	return nil
}

// Evaluations is how many there are for a sampler's steps.
func (p *Inpainting) Evaluations(steps int) (n int) {
	_ = p.path(steps, func(int) error { n++; return nil }, func(int) error { return nil }) // neither fails
	return n
}

// Inpaint is Sample with a part of the picture given. noise fills with the
// next normals, each time others. onStep's i counts evaluations.
func Inpaint(ctx context.Context, s Sampler, p *Inpainting, x []float32, predict Predict, noise func(dst []float32), onStep func(i, t int, x, x0 []float32)) error {
	if _, ok := s.(single); !ok {
		return fmt.Errorf("inpainting takes steps again, which a sampler that remembers the steps before cannot: take ddpm, ddim, euler or euler-a")
	}
	if len(p.Known) != len(x) || len(p.Mask) != len(x) {
		return fmt.Errorf("inpainting: %d values of the picture and %d of the mask for %d of x", len(p.Known), len(p.Mask), len(x))
	}
	z, done := make([]float32, len(x)), 0
	walk := walker{s: s, predict: predict, out: make([]float32, len(x))}
	if onStep != nil {
		walk.x0 = make([]float32, len(x))
	}
	down := func(i int) error {
		if err := walk.step(ctx, i, x, noise); err != nil {
			return err
		}
		noise(z)
		bar := s.Level(i + 1)
		a, b := math.Sqrt(bar), math.Sqrt(1-bar)
		for e, m := range p.Mask {
			known := float64(a*float64(p.Known[e])) + float64(b*float64(z[e]))
			x[e] = float32(float64(float64(m)*float64(x[e])) + float64((1-float64(m))*known))
		}
		if onStep != nil {
			onStep(done, s.Timesteps()[i], x, walk.x0)
		}
		done++
		return nil
	}
	up := func(i int) error {
		noise(z)
		keep := s.Level(i-1) / s.Level(i)
		combine(x, math.Sqrt(keep), x, math.Sqrt(1-keep), z)
		return nil
	}
	return p.path(len(s.Timesteps()), down, up)
}
