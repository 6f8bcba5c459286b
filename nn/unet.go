package nn

import (
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// UNet puts the forward pass of diffusers' UNet2DModel into a graph and returns its output: [N,H,W,out_channels].
//
// x: [N,H,W,in_channels] are noisy images, t: [N] u32 their timesteps, rows of table: [T,TimeFeatures], the embedding of
// every timestep (TimeTable, whose buffer it must begin); class: [N] u32, or nil for a model without classes. The parameters
// are created in p, or found there if p is finished. It stops the building of the graph where something does not fit.
func UNet(g *graph.Graph, p *Params, cfg *UNetConfig, x, t, table, class *graph.Value) *graph.Value {
	return UNetInTraining(g, p, cfg, x, t, table, class, nil, nil)
}

// A LabelDrop says for which images of a batch the class None: [N] u32 stands in for the label: those where Told: [N,1,1,4 C0] is
// 0 and Untold 1; it is the other way round where the label counts.
type LabelDrop struct{ None, Told, Untold *graph.Value }

// UNetInTraining is UNet with the config's dropout, for which it needs the control buffer, and with labels dropped; both may be nil.
func UNetInTraining(g *graph.Graph, p *Params, cfg *UNetConfig, x, t, table, class, control *graph.Value, drop *LabelDrop) *graph.Value {
	if err := cfg.Validate(); err != nil {
		graph.Fail("%v", err)
	}
	if s, halved := x.Shape, 1<<(cfg.Levels()-1); len(s) != 4 || s[3] != cfg.InChannels || s[1]%halved != 0 || s[2]%halved != 0 {
		graph.Fail("nn: the unet wants images of %d channels and a multiple of %d pixels, not %v", cfg.InChannels, halved, x.Type)
	}
	if (class != nil) != (cfg.Classes() > 0) {
		graph.Fail("nn: num_class_embeds is %d and class labels given: %t", cfg.Classes(), class != nil)
	}
	b := &builder{Graph: g, params: p, cfg: cfg, control: control}
	b.temb = b.embed(t, table, class, drop)

	if cfg.CenterInputSample {
		x = b.Scale(x, 2, -1)
	}
	h := b.conv("conv_in", x, cfg.BlockOutChannels[0], 1, same)
	skips := []*graph.Value{h}
	for i := range cfg.BlockOutChannels {
		b.in(fmt.Sprintf("down_blocks.%d", i), func() { h, skips = b.down(i, h, skips) })
	}
	h = b.make("mid_block", func() *graph.Value { return b.middle(h) })
	for i := range cfg.BlockOutChannels {
		b.in(fmt.Sprintf("up_blocks.%d", i), func() { h, skips = b.up(i, h, skips) })
	}
	h = b.norm("conv_norm_out", h, cfg.NormNumGroups, true)
	h = b.conv("conv_out", h, cfg.OutChannels, 1, same)
	if cfg.Fourier() { // divided by t; two columns behind the table hold 1/t and zeros
		T := table.Shape[0]
		column := func(i int) *graph.Value {
			return graph.State(table.Store.Buffer, table.Store.Offset+4*T*(table.Shape[1]+i), graph.F32(T), "1/t")
		}
		h = b.Mix(h, h, column(0), column(1), t)
	}
	return h
}

// embed makes SiLU of the time embedding, to which a class adds its row: [N,1,1,4 C0].
func (b *builder) embed(t, table, class *graph.Value, drop *LabelDrop) *graph.Value {
	width := b.cfg.TimeChannels()
	mlp := func(module string, index *graph.Value) *graph.Value {
		return b.make(module, func() *graph.Value {
			h := b.SiLU(b.linear("linear_1", b.Gather(table, index), width))
			return b.linear("linear_2", h, width)
		})
	}
	emb := mlp("time_embedding", t)
	if b.cfg.Fourier() { // no operation reads it: the table is made of it, see TimeTable
		b.in("time_proj", func() { b.param("weight", Frequencies, 0, b.cfg.BlockOutChannels[0]) })
	}
	switch {
	case class == nil:
	case b.cfg.classIsTime():
		emb = b.Add(emb, mlp("class_embedding", class))
	default:
		emb = b.Add(emb, b.make("class_embedding", func() *graph.Value {
			rows := b.param("weight", Embedding, 0, b.cfg.Classes(), width)
			row := b.Gather(rows, class)
			if drop != nil {
				row = b.Add(b.Mul(row, drop.Told), b.Mul(b.Gather(rows, drop.None), drop.Untold))
			}
			return row
		}))
	}
	return b.SiLU(emb)
}

// down is level i of the way down: layers, then half the resolution except at the last level. Every result is kept for
// the way up.
func (b *builder) down(i int, h *graph.Value, skips []*graph.Value) (*graph.Value, []*graph.Value) {
	cfg, out := b.cfg, b.cfg.BlockOutChannels[i]
	attends := cfg.attends(cfg.DownBlockTypes[i])
	for j := range cfg.LayersPerBlock {
		h = b.layer(j, h, out, attends)
		skips = append(skips, h)
	}
	if i < cfg.Levels()-1 {
		const name = "downsamplers.0"
		if cfg.resizes(cfg.DownBlockTypes[i], cfg.DownsampleType) {
			h = b.resnet(name, h, out, 1, b.AvgPool)
		} else {
			pad := same
			if cfg.DownsamplePadding == 0 {
				pad = onesided
			}
			h = b.make(name, func() *graph.Value { return b.conv("conv", h, out, 2, pad) })
		}
		skips = append(skips, h)
	}
	return h, skips
}

// middle is a resnet, attention and a resnet at the lowest resolution. h, result: [N,H,W,C]
func (b *builder) middle(h *graph.Value) *graph.Value {
	cfg, C, factor := b.cfg, h.Shape[3], b.cfg.MidBlockScaleFactor
	h = b.resnet("resnets.0", h, C, factor, nil)
	if cfg.AddAttention {
		// Only here diffusers drops the attention's norm when time scales and shifts, unless groups are asked for.
		groups := 0
		if cfg.AttnNormNumGroups != nil {
			groups = *cfg.AttnNormNumGroups
		} else if cfg.ResnetTimeScaleShift == "default" {
			groups = cfg.NormNumGroups
		}
		h = b.attention("attentions.0", h, groups, factor)
	}
	return b.resnet("resnets.1", h, C, factor, nil)
}

// up is block i of the way up: each layer takes the last of the kept results besides; then twice the resolution except
// in the last block.
func (b *builder) up(i int, h *graph.Value, skips []*graph.Value) (*graph.Value, []*graph.Value) {
	cfg, out := b.cfg, b.cfg.BlockOutChannels[b.cfg.Levels()-1-i]
	attends := cfg.attends(cfg.UpBlockTypes[i])
	for j := range cfg.LayersPerBlock + 1 {
		last := len(skips) - 1
		skip := skips[last]
		if b.cfg.NoSkips {
			skip = b.Scale(skip, 0, 0)
		}
		h, skips = b.layer(j, b.Concat(h, skip), out, attends), skips[:last]
	}
	if i < cfg.Levels()-1 {
		const name = "upsamplers.0"
		if cfg.resizes(cfg.UpBlockTypes[i], cfg.UpsampleType) {
			h = b.resnet(name, h, out, 1, b.Upsample)
		} else {
			h = b.make(name, func() *graph.Value { return b.conv("conv", b.Upsample(h), out, 1, same) })
		}
	}
	return h, skips
}

// layer j of a block is a resnet, followed by attention or not.
func (b *builder) layer(j int, h *graph.Value, out int, attends bool) *graph.Value {
	h = b.resnet(fmt.Sprintf("resnets.%d", j), h, out, 1, nil)
	if attends {
		h = b.attention(fmt.Sprintf("attentions.%d", j), h, b.cfg.NormNumGroups, 1)
	}
	return h
}
