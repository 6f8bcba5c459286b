package metrics

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// inceptionBatch is how many pictures go through the network at a time.
const inceptionBatch = 8

// Inception reads Inception-v3's weights and returns its 2048 features, the mean of the last map: those of the FID.
func Inception(b backend.Backend, path string) (*Features, error) {
	file, err := safetensors.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return inceptionFeatures(b, file, nn.InceptionSize, inceptionBatch)
}

func inceptionFeatures(b backend.Backend, file *safetensors.File, size, batch int) (*Features, error) {
	params, mem := nn.NewParams(), model.NewMemory(b)
	pixels := 0
	build := func() (*graph.Graph, error) {
		return graph.Build(func(g *graph.Graph) {
			x := graph.State("x", 0, graph.F32(batch, size, size, 3), "x")
			var y *graph.Value
			y, pixels = nn.Inception(g, params, x)
			graph.Keep(y, "features", 0)
		})
	}
	if _, err := build(); err != nil { // says what parameters there are
		return nil, err
	}
	params.Finish()
	flat := make([]float32, params.Elems())
	if err := params.DecodeInception(flat, file); err != nil {
		return nil, err
	}
	g, err := build()
	if err != nil {
		return nil, err
	}
	program, _, err := mem.Plan("inception", g)
	if err != nil {
		return nil, err
	}
	es, err := mem.Compile(program)
	if err != nil {
		return nil, errors.Join(err, mem.Close())
	}
	if err := model.Write(mem, nn.ParamsBuffer, 0, flat); err != nil {
		return nil, errors.Join(err, mem.Close())
	}
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, flat) // a hash takes all
	f := &Features{
		Name: "Inception-v3's features", Standard: fidWeights(file), D: nn.InceptionFeatures, Batch: batch, Close: mem.Close,
		Key: fmt.Sprintf("inception %s %s", hex.EncodeToString(h.Sum(nil)[:8]), b.Info().ISA),
	}
	if !f.Standard {
		f.Name = "the features of an Inception-v3 that is not the FID's (whose fc.weight has 1008 rows)"
	}
	f.Run = func(ctx context.Context, images Images, from, to int, out []float64) error {
		x := make([]float32, (to-from)*size*size*3)
		parallel(to-from, func(i int) { enlarge(images, from+i, size, x[i*size*size*3:][:size*size*3]) })
		if err := model.Write(mem, "x", 0, x); err != nil {
			return err
		}
		if err := es[0].Run(ctx, 1); err != nil {
			return err
		}
		v := make([]float32, len(out))
		if err := model.Read(mem, "features", 0, v); err != nil {
			return err
		}
		for i, s := range v {
			out[i] = float64(s) / float64(pixels)
		}
		return nil
	}
	return f, nil
}

// fidWeights reports whether a file has the weights that the FID is defined with, those of 2015, which pytorch-fid has: they tell 1008
// classes apart. torchvision's, under the same names, tell 1000, and give other distances.
func fidWeights(file *safetensors.File) bool {
	fc, err := file.Tensor("fc.weight")
	return err == nil && len(fc.Shape) > 0 && fc.Shape[0] == 1008
}

// enlarge resizes a picture bilinearly to [size,size,3] in [-1,1]; pixel centres keep their places (align_corners false), and nothing
// is blurred when it shrinks, as the FID is defined. Grey becomes three equal channels.
func enlarge(images Images, i, size int, out []float32) {
	src, s, C := images.At(i), images.Size, images.Channels
	scale := float32(s) / float32(size)
	at := func(o int) (lo, hi int, w float32) {
		f := max((float32(o)+0.5)*scale-0.5, 0)
		lo = min(int(f), s-1)
		return lo, min(lo+1, s-1), f - float32(lo)
	}
	for r := range size {
		r0, r1, wr := at(r)
		for c := range size {
			c0, c1, wc := at(c)
			for ch := range 3 {
				k := min(ch, C-1)
				p := func(r, c int) float32 { return float32(src[(r*s+c)*C+k]) / 255 }
				top := p(r0, c0)*(1-wc) + p(r0, c1)*wc
				bottom := p(r1, c0)*(1-wc) + p(r1, c1)*wc
				out[(r*size+c)*3+ch] = 2*(top*(1-wr)+bottom*wr) - 1
			}
		}
	}
}
