package nn

import (
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// The expected numbers are params and macs_per_image that PyTorch counts for the same network (hooks on Conv2d and Linear,
// and 2 (hw)^2 c for each attention), for the configs of the project's benchmarks.
func TestCountsEqualPyTorch(t *testing.T) {
	for name, want := range map[string]struct {
		params int
		macs   int64
	}{
		"R32":   {8952067, 1599209472},
		"R64":   {57892995, 11424235520},
		"R64S":  {6670019, 2297446400},
		"CIFAR": {35746307, 6221856768},
	} {
		c, err := ReadConfig("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if got := ParamCount(c); got != want.params {
			t.Errorf("%s: %d parameters, PyTorch has %d", name, got, want.params)
		}
		if got := MACs(c); got != want.macs {
			t.Errorf("%s: %d MACs an image, PyTorch counts %d", name, got, want.macs)
		}
	}
}

// Options that no golden file has: what they add to and take from the parameters.
func TestOptions(t *testing.T) {
	has := func(c *UNetConfig, name string, want bool) {
		t.Helper()
		if _, ok := mustParams(t, c).ByName(name); ok != want {
			t.Errorf("%s: %t, want %t", name, ok, want)
		}
	}
	const midNorm, midAttention = "mid_block.attentions.0.group_norm.weight", "mid_block.attentions.0.to_q.weight"
	has(smallConfig(), midNorm, true)
	c := smallConfig()
	c.AddAttention = false
	has(c, midAttention, false)
	c = smallConfig()
	c.ResnetTimeScaleShift = "scale_shift"
	has(c, midNorm, false)
	has(c, midAttention, true)
	groups := 3
	c.AttnNormNumGroups = &groups
	has(c, midNorm, true)
	c = smallConfig()
	c.NumClassEmbeds = nil
	has(c, "class_embedding.weight", false)
	// Resnet mode concerns attention blocks; here one of them changes the resolution on the way up, none on the way down.
	c = smallConfig()
	c.DownsampleType, c.UpsampleType = "resnet", "resnet"
	has(c, "down_blocks.0.downsamplers.0.conv.weight", true)
	has(c, "up_blocks.0.upsamplers.0.conv1.weight", true)
	// The mid block's factor divides three sums and nothing else.
	c = smallConfig()
	c.MidBlockScaleFactor = 1.5
	g, _, err := BuildUNet(NewParams(), c, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	scaled := 0
	for _, n := range g.Nodes {
		if n.Op.Name == "scale" {
			scaled++
			if !strings.HasPrefix(n.Label, "mid_block.") {
				t.Errorf("%s is scaled", n.Label)
			}
		}
	}
	if scaled != 3 {
		t.Errorf("%d sums are scaled, want 3", scaled)
	}
}

// Labels are diffusers' module paths below the caller's scope; parameters' names know nothing of the scope.
func TestLabels(t *testing.T) {
	c := smallConfig()
	p := NewParams()
	var y *graph.Value
	g, err := graph.Build(func(g *graph.Graph) {
		g.Scope("sample", func() {
			x, t := graph.State("x", 0, graph.F32(2, 16, 8, 3), "x"), graph.State("t", 0, graph.U32(2), "t")
			y = UNet(g, p, c, x, t, graph.State("table", 0, graph.F32(9, 8), "table"), graph.State("class", 0, graph.U32(2), "class"))
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if !y.Shape.Equal(graph.Shape{2, 16, 8, 3}) {
		t.Errorf("the output is %v: any size that halves will do", y.Type)
	}
	p.Finish()
	for _, want := range []string{"conv_in", "time_embedding.linear_1", "down_blocks.1.attentions.0.to_out.0", "mid_block.resnets.1.conv2", "conv_out"} {
		found := false
		for _, n := range g.Nodes {
			found = found || n.Label == "sample."+want && n.Op.Name == "conv2d"
		}
		if _, ok := p.ByName(want + ".weight"); !ok || !found {
			t.Errorf("%s: labelled %t, parameter %t", want, found, ok)
		}
	}
}

func TestUNetErrors(t *testing.T) {
	c := smallConfig()
	f32, u32 := func(shape ...int) *graph.Value { return graph.State("f", 0, graph.F32(shape...), "f") }, graph.State("u", 0, graph.U32(2), "u")
	for _, e := range []struct {
		want            string
		x, table, class *graph.Value
	}{
		{"", f32(2, 8, 8, 3), f32(5, 8), u32},
		{"wants images of 3 channels", f32(2, 8, 8, 1), f32(5, 8), u32},
		{"a multiple of 2 pixels", f32(2, 8, 7, 3), f32(5, 8), u32},
		{"num_class_embeds is 3", f32(2, 8, 8, 3), f32(5, 8), nil},
		{"time_embedding.linear_1.weight", f32(2, 8, 8, 3), f32(5, 12), u32},
	} {
		_, err := graph.Build(func(g *graph.Graph) {
			p := mustParams(t, c)
			UNet(g, p, c, e.x, u32, e.table, e.class)
		})
		if (err == nil) != (e.want == "") || err != nil && !strings.Contains(err.Error(), e.want) {
			t.Errorf("error %v, want %q in it", err, e.want)
		}
	}
	bad := *c
	bad.SampleSize = 0
	if _, err := UNetParams(&bad); err == nil {
		t.Error("an invalid config passed")
	}
}
