package metrics

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A maps is a picture of float64, [h,w,c], in the naive network.
type maps struct {
	h, w, c int
	v       []float64
}

// A naive is Inception-v3 written as torchvision and pytorch-fid have it: convolution, batch norm, ReLU, one after the other, with
// random weights that are made when a layer is first asked for.
type naive struct {
	r       *rand.Rand
	tensors []safetensors.Tensor
}

func (n *naive) tensor(name string, size int, f func() float64, shape ...int) []float64 {
	v, w := make([]float32, size), make([]float64, size)
	for i := range v {
		v[i] = float32(f())
		w[i] = float64(v[i])
	}
	n.tensors = append(n.tensors, safetensors.Float32(name, shape, v))
	return w
}

func (n *naive) conv(name string, x maps, out, kh, kw, stride, ph, pw int) maps {
	w := n.tensor(name+".conv.weight", out*x.c*kh*kw, func() float64 { return n.r.NormFloat64() * math.Sqrt(2/float64(x.c*kh*kw)) }, out, x.c, kh, kw)
	gamma := n.tensor(name+".bn.weight", out, func() float64 { return 1 + 0.2*n.r.NormFloat64() }, out)
	beta := n.tensor(name+".bn.bias", out, func() float64 { return 0.1 * n.r.NormFloat64() }, out)
	mean := n.tensor(name+".bn.running_mean", out, func() float64 { return 0.1 * n.r.NormFloat64() }, out)
	variance := n.tensor(name+".bn.running_var", out, func() float64 { return 0.5 + n.r.Float64() }, out)
	y := maps{h: (x.h+2*ph-kh)/stride + 1, w: (x.w+2*pw-kw)/stride + 1, c: out}
	y.v = make([]float64, y.h*y.w*out)
	parallel(out, func(o int) {
		for r := range y.h {
			for c := range y.w {
				sum := 0.0
				for i := range kh {
					for j := range kw {
						rr, cc := r*stride-ph+i, c*stride-pw+j
						if rr < 0 || cc < 0 || rr >= x.h || cc >= x.w {
							continue
						}
						pixel := x.v[(rr*x.w+cc)*x.c:][:x.c]
						for k, v := range pixel {
							sum += v * w[((o*x.c+k)*kh+i)*kw+j]
						}
					}
				}
				y.v[(r*y.w+c)*out+o] = max(0, (sum-mean[o])/math.Sqrt(variance[o]+0.001)*gamma[o]+beta[o])
			}
		}
	})
	return y
}

// pool is max_pool2d, or avg_pool2d with count_include_pad False.
func pool(x maps, k, stride, pad int, largest bool) maps {
	y := maps{h: (x.h+2*pad-k)/stride + 1, w: (x.w+2*pad-k)/stride + 1, c: x.c}
	y.v = make([]float64, y.h*y.w*y.c)
	for r := range y.h {
		for c := range y.w {
			for ch := range y.c {
				best, sum, n := math.Inf(-1), 0.0, 0.0
				for i := max(0, r*stride-pad); i < min(x.h, r*stride-pad+k); i++ {
					for j := max(0, c*stride-pad); j < min(x.w, c*stride-pad+k); j++ {
						v := x.v[(i*x.w+j)*x.c+ch]
						best, sum, n = max(best, v), sum+v, n+1
					}
				}
				if !largest {
					best = sum / n
				}
				y.v[(r*y.w+c)*y.c+ch] = best
			}
		}
	}
	return y
}

func cat(list ...maps) maps {
	y := maps{h: list[0].h, w: list[0].w}
	for _, x := range list {
		y.c += x.c
	}
	for p := range y.h * y.w {
		for _, x := range list {
			y.v = append(y.v, x.v[p*x.c:(p+1)*x.c]...)
		}
	}
	return y
}

func (n *naive) features(x maps) []float64 {
	c := n.conv
	h := c("Conv2d_2b_3x3", c("Conv2d_2a_3x3", c("Conv2d_1a_3x3", x, 32, 3, 3, 2, 0, 0), 32, 3, 3, 1, 0, 0), 64, 3, 3, 1, 1, 1)
	h = c("Conv2d_4a_3x3", c("Conv2d_3b_1x1", pool(h, 3, 2, 0, true), 80, 1, 1, 1, 0, 0), 192, 3, 3, 1, 0, 0)
	h = pool(h, 3, 2, 0, true)
	for i, m := range []string{"Mixed_5b.", "Mixed_5c.", "Mixed_5d."} {
		h = cat(c(m+"branch1x1", h, 64, 1, 1, 1, 0, 0),
			c(m+"branch5x5_2", c(m+"branch5x5_1", h, 48, 1, 1, 1, 0, 0), 64, 5, 5, 1, 2, 2),
			c(m+"branch3x3dbl_3", c(m+"branch3x3dbl_2", c(m+"branch3x3dbl_1", h, 64, 1, 1, 1, 0, 0), 96, 3, 3, 1, 1, 1), 96, 3, 3, 1, 1, 1),
			c(m+"branch_pool", pool(h, 3, 1, 1, false), []int{32, 64, 64}[i], 1, 1, 1, 0, 0))
	}
	m := "Mixed_6a."
	h = cat(c(m+"branch3x3", h, 384, 3, 3, 2, 0, 0),
		c(m+"branch3x3dbl_3", c(m+"branch3x3dbl_2", c(m+"branch3x3dbl_1", h, 64, 1, 1, 1, 0, 0), 96, 3, 3, 1, 1, 1), 96, 3, 3, 2, 0, 0),
		pool(h, 3, 2, 0, true))
	for i, m := range []string{"Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."} {
		k := []int{128, 160, 160, 192}[i]
		h = cat(c(m+"branch1x1", h, 192, 1, 1, 1, 0, 0),
			c(m+"branch7x7_3", c(m+"branch7x7_2", c(m+"branch7x7_1", h, k, 1, 1, 1, 0, 0), k, 1, 7, 1, 0, 3), 192, 7, 1, 1, 3, 0),
			c(m+"branch7x7dbl_5", c(m+"branch7x7dbl_4", c(m+"branch7x7dbl_3", c(m+"branch7x7dbl_2", c(m+"branch7x7dbl_1", h, k, 1, 1, 1, 0, 0),
				k, 7, 1, 1, 3, 0), k, 1, 7, 1, 0, 3), k, 7, 1, 1, 3, 0), 192, 1, 7, 1, 0, 3),
			c(m+"branch_pool", pool(h, 3, 1, 1, false), 192, 1, 1, 1, 0, 0))
	}
	m = "Mixed_7a."
	h = cat(c(m+"branch3x3_2", c(m+"branch3x3_1", h, 192, 1, 1, 1, 0, 0), 320, 3, 3, 2, 0, 0),
		c(m+"branch7x7x3_4", c(m+"branch7x7x3_3", c(m+"branch7x7x3_2", c(m+"branch7x7x3_1", h, 192, 1, 1, 1, 0, 0), 192, 1, 7, 1, 0, 3), 192, 7, 1, 1, 3, 0), 192, 3, 3, 2, 0, 0),
		pool(h, 3, 2, 0, true))
	for i, m := range []string{"Mixed_7b.", "Mixed_7c."} {
		three := c(m+"branch3x3_1", h, 384, 1, 1, 1, 0, 0)
		double := c(m+"branch3x3dbl_2", c(m+"branch3x3dbl_1", h, 448, 1, 1, 1, 0, 0), 384, 3, 3, 1, 1, 1)
		h = cat(c(m+"branch1x1", h, 320, 1, 1, 1, 0, 0),
			cat(c(m+"branch3x3_2a", three, 384, 1, 3, 1, 0, 1), c(m+"branch3x3_2b", three, 384, 3, 1, 1, 1, 0)),
			cat(c(m+"branch3x3dbl_3a", double, 384, 1, 3, 1, 0, 1), c(m+"branch3x3dbl_3b", double, 384, 3, 1, 1, 1, 0)),
			c(m+"branch_pool", pool(h, 3, 1, 1, i == 1), 192, 1, 1, 1, 0, 0))
	}
	mean := make([]float64, h.c)
	for i, v := range h.v {
		mean[i%h.c] += v / float64(h.h*h.w)
	}
	return mean
}

// The features are those of the network as its authors' code has it, with its batch norms apart, in float64; what the file has besides
// does not matter, and what it lacks is named. 107 pixels are enough for every layer to have more than one.
func TestInceptionIsItsDefinition(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short mode")
	}
	const size = 107
	images := noise(rand.New(rand.NewPCG(1, 9)), 1, 8, 3, true)
	x := make([]float32, size*size*3)
	enlarge(images, 0, size, x)
	n := &naive{r: rand.New(rand.NewPCG(2, 9))}
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	want := n.features(maps{size, size, 3, wide})
	decode := func(tensors []safetensors.Tensor) *safetensors.File {
		p, err := safetensors.Encode(tensors, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Decode("inception.safetensors", p)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	b, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	classes := func(n int) safetensors.Tensor {
		return safetensors.Float32("fc.weight", []int{n, 1}, make([]float32, n))
	}
	if fidWeights(decode([]safetensors.Tensor{classes(1000)})) { // torchvision's
		t.Error("weights for 1000 classes are taken for the FID's")
	}
	f, err := inceptionFeatures(b, decode(append(n.tensors, classes(1008))), size, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]float64, f.D)
	if err := f.Run(context.Background(), images, 0, 1, got); err != nil {
		t.Fatal(err)
	}
	worst, largest := 0.0, 0.0
	for i, v := range want {
		worst, largest = max(worst, math.Abs(got[i]-v)), max(largest, math.Abs(v))
	}
	t.Logf("largest feature %.3g, largest difference %.2g", largest, worst)
	if !(worst <= 1e-4*largest) || !f.Standard || len(want) != f.D {
		t.Errorf("%d features, the largest %g, the largest difference %g", len(want), largest, worst)
	}
	if _, err := inceptionFeatures(b, decode(n.tensors[:7]), size, 1); err == nil || !strings.Contains(err.Error(), "Inception-v3") {
		t.Errorf("a part of the weights: %v", err)
	}
}

// The picture is enlarged as PyTorch's bilinear interpolation with align_corners False does, worked out by hand for a row of two.
func TestEnlarge(t *testing.T) {
	m := Images{N: 1, Size: 2, Channels: 1, Pixels: []byte{0, 255, 0, 255}}
	out := make([]float32, 4*4*3)
	enlarge(m, 0, 4, out)
	for c, want := range []float64{-1, -0.5, 0.5, 1} {
		for r := range 4 {
			for ch := range 3 {
				if got := float64(out[(r*4+c)*3+ch]); math.Abs(got-want) > 1e-6 {
					t.Errorf("pixel %d,%d is %v, want %v", r, c, got, want)
				}
			}
		}
	}
}
