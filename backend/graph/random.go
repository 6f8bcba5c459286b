package graph

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// Everything random in a training step is a function of the control buffer (step, seed, the batch's first sample) and the
// place of the element; see backend/rng. These ops have no gradient.

// random_normal: eps ~ N(0, I) of attrs.Shape [N,H,W,C]; random_timesteps: t uniform in 0..Limit-1, [N] u32.
var randomNormal, randomTimesteps *Op

// batch_indices: which images of the set make this step's batch, [N] u32: position step*Batch + sample in an endless row of
// epochs, each a permutation of the set's Limit images.
var batchIndices *Op

// batch_images: y[n] = images[index[n]]/127.5 - 1, mirrored left to right for half of the samples if Flip, and shifted by up to Crop
// pixels in both directions, what comes in being the mirror image of what is inside: a crop of the padded image.
// images: [M,H,W,C] u8, index: [N] u32; y: [N,H,W,C].
var batchImages *Op

// shift draws how far the image of a sample is shifted, at most crop pixels either way.
func shift(seed uint64, sample uint32, step uint64, crop int) (dy, dx int) {
	w := rng.Block(seed, rng.StreamCrop, 0, sample, step)
	span := uint32(2*crop + 1)
	return int(rng.Below(w[0], span)) - crop, int(rng.Below(w[1], span)) - crop
}

// reflect is where index i of 0..n-1 comes from if it lies outside by less than n.
func reflect(i, n int) int {
	if i < 0 {
		i = -i
	}
	if i >= n {
		i = 2*n - 2 - i
	}
	return i
}

// control reads the control buffer.
func control(t *Tensor) (seed, step uint64, sample uint32) {
	w := func(i int) uint64 { return uint64(t.Data[i]) }
	return w(backend.CtlSeed) | w(backend.CtlSeedHi)<<32, w(backend.CtlStep) | w(backend.CtlStepHi)<<32, uint32(w(backend.CtlSample))
}

func wantControl(t Type) error {
	if t.DType != backend.U32 || t.Shape.Elems() != backend.CtlWords {
		return fmt.Errorf("control is %v, wants u32[%d]", t, backend.CtlWords)
	}
	return nil
}

// controlled is the shape inference of an op with one control input and an output of attrs.Shape.
func controlled(d backend.DType) func(any, []Type) ([]Type, error) {
	return func(attrs any, in []Type) ([]Type, error) {
		if len(in) != 1 {
			return nil, fmt.Errorf("wants the control buffer")
		}
		return []Type{{d, attrs.(backend.Random).Shape}}, wantControl(in[0])
	}
}

func init() {
	ctl := func(step, stepHi, seed, seedHi, sample float64) Input {
		return Input{U32(backend.CtlWords), exactly(step, stepHi, seed, seedHi, sample)}
	}
	randomNormal = register(&Op{
		Name:  "random_normal",
		Infer: controlled(backend.F32),
		Ref: func(attrs any, in, out []*Tensor) {
			a := attrs.(backend.Random)
			seed, step, first := control(in[0])
			per := a.Shape.Elems() / a.Shape[0]
			row := make([]float32, per)
			for n := range a.Shape[0] {
				rng.Normals(row, seed, a.Stream, first+uint32(n), step)
				for i, v := range row {
					out[0].Data[n*per+i] = float64(v)
				}
			}
		},
		FLOPs: elementwise(40),
		Cases: []Case{
			{Name: "odd", Attrs: backend.Random{Stream: rng.StreamNoise, Shape: Shape{3, 3, 5, 3}}, In: []Input{ctl(7, 0, 12345, 6, 0)}, Tol: 1e-12},
			{Name: "far", Attrs: backend.Random{Stream: rng.StreamNoise, Shape: Shape{2, 8, 8, 3}}, In: []Input{ctl(4e9, 3, 4e9, 1, 100)}, Tol: 1e-12},
		},
	})
	randomTimesteps = register(&Op{
		Name:  "random_timesteps",
		Infer: controlled(backend.U32),
		Ref: func(attrs any, in, out []*Tensor) {
			a := attrs.(backend.Random)
			seed, step, first := control(in[0])
			for n := range out[0].Data {
				out[0].Data[n] = float64(rng.Below(rng.Uint32(seed, rng.StreamTimestep, 0, first+uint32(n), step), uint32(a.Limit)))
			}
		},
		Cases: []Case{{Name: "odd", Attrs: backend.Random{Shape: Shape{37}, Limit: 1000}, In: []Input{ctl(7, 0, 12345, 6, 3)}, Tol: 1e-12}},
	})
	batchIndices = register(&Op{
		Name:  "batch_indices",
		Infer: controlled(backend.U32),
		Ref: func(attrs any, in, out []*Tensor) {
			a := attrs.(backend.Random)
			seed, step, first := control(in[0])
			for n := range out[0].Data {
				at, size := step*uint64(a.Batch)+uint64(first)+uint64(n), uint64(a.Limit)
				out[0].Data[n] = float64(rng.Permute(uint32(at%size), uint32(size), seed, at/size))
			}
		},
		Cases: []Case{{Name: "across epochs", Attrs: backend.Random{Shape: Shape{40}, Limit: 33, Batch: 40}, In: []Input{ctl(7, 0, 12345, 6, 0)}, Tol: 1e-12}},
	})
	batchImages = register(&Op{
		Name: "batch_images",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if len(in) != 3 || in[0].DType != backend.U8 || len(in[0].Shape) != 4 {
				return nil, fmt.Errorf("wants images, index and control")
			}
			if err := wantIndex(in[1], 0); err != nil {
				return nil, err
			}
			s := in[0].Shape
			if crop := attrs.(backend.Random).Crop; crop < 0 || crop >= min(s[1], s[2]) {
				return nil, fmt.Errorf("shifts of %d pixels in images of %dx%d", crop, s[1], s[2])
			}
			return []Type{F32(in[1].Shape[0], s[1], s[2], s[3])}, wantControl(in[2])
		},
		Ref: func(attrs any, in, out []*Tensor) {
			s := out[0].Shape
			seed, step, first := control(in[2])
			for n := range s[0] {
				dy, dx := 0, 0
				if crop := attrs.(backend.Random).Crop; crop > 0 {
					dy, dx = shift(seed, first+uint32(n), step, crop)
				}
				flip := attrs.(backend.Random).Flip && rng.Uint32(seed, rng.StreamFlip, 0, first+uint32(n), step)>>31 == 1
				for h := range s[1] {
					for w := range s[2] {
						from := w
						if flip {
							from = s[2] - 1 - w
						}
						row, col := reflect(h+dy, s[1]), reflect(from+dx, s[2])
						for c := range s[3] {
							out[0].Data[out[0].at4(n, h, w, c)] = in[0].Data[in[0].at4(int(in[1].Data[n]), row, col, c)]/127.5 - 1
						}
					}
				}
			}
		},
		Cases: []Case{
			{Name: "plain", Attrs: backend.Random{}, In: []Input{{U8(9, 3, 5, 3), integers(256)}, {U32(4), integers(9)}, ctl(1, 0, 2, 0, 0)}, Tol: 2e-7},
			{Name: "many", Attrs: backend.Random{}, In: []Input{{U8(64, 4, 4, 1), integers(256)}, {U32(4), integers(64)}, ctl(1, 0, 2, 0, 0)}, Tol: 2e-7},
			{Name: "flip", Attrs: backend.Random{Flip: true}, In: []Input{{U8(9, 4, 6, 3), integers(256)}, {U32(8), integers(9)}, ctl(1, 0, 2, 0, 0)}, Tol: 2e-7},
			{Name: "crop", Attrs: backend.Random{Crop: 3}, In: []Input{{U8(9, 4, 6, 3), integers(256)}, {U32(8), integers(9)}, ctl(1, 0, 2, 0, 0)}, Tol: 2e-7},
			{Name: "flip and crop", Attrs: backend.Random{Flip: true, Crop: 2}, In: []Input{{U8(9, 16, 16, 1), integers(256)}, {U32(8), integers(9)}, ctl(1, 3, 2, 0, 5)}, Tol: 2e-7},
		},
	})
}

// RandomNormal draws standard normals of a shape [N,...] from a stream.
func (g *Graph) RandomNormal(control *Value, stream uint32, shape ...int) *Value {
	return g.one(randomNormal, backend.Random{Stream: stream, Shape: shape}, control)
}

// RandomTimesteps draws n timesteps uniformly from 0..T-1.
func (g *Graph) RandomTimesteps(control *Value, n, T int) *Value {
	return g.one(randomTimesteps, backend.Random{Shape: Shape{n}, Limit: T}, control)
}

// BatchIndices picks this device's n of the step's batch images, out of images in all.
func (g *Graph) BatchIndices(control *Value, n, batch, images int) *Value {
	return g.one(batchIndices, backend.Random{Shape: Shape{n}, Limit: images, Batch: batch}, control)
}

// BatchImages takes images: [M,H,W,C] bytes by index: [N] as floats in [-1,1], half of them mirrored if flip, shifted by up to crop
// pixels.
func (g *Graph) BatchImages(images, index, control *Value, flip bool, crop int) *Value {
	return g.one(batchImages, backend.Random{Flip: flip, Crop: crop}, images, index, control)
}
