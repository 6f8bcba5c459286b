package nn

import "github.com/ddpm-tui/ddpm-tui/backend/graph"

// A builder puts the layers of one U-Net into a graph. Its path is diffusers' module path, which names parameters and,
// below whatever scope the caller has, labels nodes.
type builder struct {
	*graph.Graph
	params *Params
	cfg    *UNetConfig
	path   string
	temb   *graph.Value // SiLU of the time (and class) embedding: [N,1,1,4 C0], shared by all resnets

	control *graph.Value // nil where nothing is dropped out
	dropped int          // elements of a sample that dropout has numbered
}

// in runs f inside a module.
func (b *builder) in(module string, f func()) {
	old := b.path
	if b.path = module; old != "" {
		b.path = old + "." + module
	}
	b.Scope(module, f)
	b.path = old
}

// make runs f inside a module and returns its value.
func (b *builder) make(module string, f func() *graph.Value) (y *graph.Value) {
	b.in(module, func() { y = f() })
	return y
}

func (b *builder) param(name string, kind Kind, fanIn int, shape ...int) *graph.Value {
	return b.params.get(b.path+"."+name, kind, shape, fanIn)
}

var (
	same     = [4]int{1, 1, 1, 1} // padding of a 3x3 convolution: top, left, bottom, right
	onesided = [4]int{0, 0, 1, 1}
)

// conv is a 3x3 convolution. x: [N,H,W,I], y: [N,H/stride,W/stride,out]
func (b *builder) conv(name string, x *graph.Value, out, stride int, pad [4]int) *graph.Value {
	return b.make(name, func() *graph.Value {
		in := x.Shape[3]
		w := b.param("weight", ConvWeight, 9*in, out, 3, 3, in)
		return b.Conv2D(x, w, b.param("bias", Bias, 9*in, out), stride, pad)
	})
}

// pointwise multiplies every pixel by a matrix. x: [N,H,W,I], y: [N,H,W,out]. Files hold it as a 1x1 convolution or as a
// linear layer.
func (b *builder) pointwise(name string, kind Kind, x *graph.Value, out int) *graph.Value {
	return b.make(name, func() *graph.Value {
		in := x.Shape[3]
		w := b.param("weight", kind, in, out, 1, 1, in)
		return b.Conv2D(x, w, b.param("bias", Bias, in, out), 1, [4]int{})
	})
}

func (b *builder) linear(name string, x *graph.Value, out int) *graph.Value {
	return b.pointwise(name, LinearWeight, x, out)
}

// norm is a group norm, followed by SiLU or not. x: [N,H,W,C]
func (b *builder) norm(name string, x *graph.Value, groups int, silu bool) *graph.Value {
	return b.make(name, func() *graph.Value {
		C := x.Shape[3]
		gamma := b.param("weight", NormWeight, 0, C)
		return b.GroupNorm(x, gamma, b.param("bias", NormBias, 0, C), groups, float32(b.cfg.NormEps), silu)
	})
}

// sum is (x + h) / factor.
func (b *builder) sum(x, h *graph.Value, factor float64) *graph.Value {
	y := b.Add(x, h)
	if factor != 1 {
		y = b.Scale(y, float32(1/factor), 0)
	}
	return y
}

// resnet is a residual block that learns of the time. x: [N,H,W,I], y: [N,H',W',out]:
//
//	h = conv1(resize(SiLU(norm1(x))))
//	h = conv2(drop(SiLU(norm2(h + proj(temb)))))             time scale shift "default"
//	h = conv2(drop(SiLU(norm2(h)(1 + scale) + shift)))       "scale_shift": scale, shift = proj(temb)
//	y = (shortcut(resize(x)) + h) / factor
//
// resize halves or doubles the image in the blocks that change the resolution and is nil elsewhere; shortcut is a 1x1
// convolution where I is not out.
func (b *builder) resnet(name string, x *graph.Value, out int, factor float64, resize func(*graph.Value) *graph.Value) *graph.Value {
	return b.make(name, func() *graph.Value {
		groups := b.cfg.NormNumGroups
		h := b.norm("norm1", x, groups, true)
		if resize != nil {
			x, h = resize(x), resize(h)
		}
		h = b.conv("conv1", h, out, 1, same)
		if b.cfg.ResnetTimeScaleShift == "scale_shift" {
			st := b.linear("time_emb_proj", b.temb, 2*out)
			h = b.SiLU(b.Modulate(b.norm("norm2", h, groups, false), st))
		} else {
			h = b.AddRow(h, b.linear("time_emb_proj", b.temb, out))
			h = b.norm("norm2", h, groups, true)
		}
		h = b.conv("conv2", b.drop(h), out, 1, same)
		if x.Shape[3] != out {
			x = b.pointwise("conv_shortcut", ConvWeight, x, out)
		}
		return b.sum(x, h, factor)
	})
}

// drop is dropout, in training. x, y: [N,H,W,C]
func (b *builder) drop(x *graph.Value) *graph.Value {
	if b.control == nil || b.cfg.Dropout == 0 {
		return x
	}
	y := b.Dropout(x, b.control, float32(b.cfg.Dropout), uint32(b.dropped))
	b.dropped += (x.Shape[1:].Elems() + 3) / 4 * 4
	return y
}

// attention lets the pixels of an image look at each other. x, y: [N,H,W,C]; groups is 0 for no norm.
func (b *builder) attention(name string, x *graph.Value, groups int, factor float64) *graph.Value {
	return b.make(name, func() *graph.Value {
		C, heads, h := x.Shape[3], 1, x
		if d := b.cfg.AttentionHeadDim; d != nil {
			heads = C / *d
		}
		if groups > 0 {
			h = b.norm("group_norm", x, groups, false)
		}
		q, k, v := b.linear("to_q", h, C), b.linear("to_k", h, C), b.linear("to_v", h, C)
		return b.sum(x, b.linear("to_out.0", b.Attention(q, k, v, heads), C), factor)
	})
}
