package nn

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// smallConfig is a network of every kind of layer but few channels.
func smallConfig() *UNetConfig {
	c := DefaultConfig()
	head, classes := 4, 3
	c.SampleSize, c.BlockOutChannels, c.NormNumGroups, c.LayersPerBlock = 8, []int{8, 12}, 4, 1
	c.DownBlockTypes, c.UpBlockTypes = []string{"DownBlock2D", "AttnDownBlock2D"}, []string{"AttnUpBlock2D", "UpBlock2D"}
	c.AttentionHeadDim, c.NumClassEmbeds = &head, &classes
	return c
}

func mustParams(t *testing.T, c *UNetConfig) *Params {
	t.Helper()
	p, err := UNetParams(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkLayout holds the flat buffer's rules: aligned, without overlap, no gap of Align or more.
func checkLayout(t *testing.T, p *Params) {
	t.Helper()
	at := 0
	for _, q := range p.List() {
		if q.Offset%Align != 0 || q.Offset < at || q.Offset-at >= Align || q.Value.Store.Offset != 4*q.Offset {
			t.Errorf("%s lies at %d, the one before it ended at %d", q.Name, q.Offset, at)
		}
		at = q.Offset + q.Shape.Elems()
	}
	if p.Elems()%Align != 0 || p.Elems() < at || p.Elems()-at >= Align {
		t.Errorf("%d floats in all, the last parameter ends at %d", p.Elems(), at)
	}
}

func TestLayout(t *testing.T) {
	c := smallConfig()
	p := mustParams(t, c)
	checkLayout(t, p)
	list := p.List()
	if list[0].Name != "conv_out.bias" || list[len(list)-1].Name != "time_embedding.linear_1.weight" {
		t.Errorf("the buffer begins with %s and ends with %s", list[0].Name, list[len(list)-1].Name)
	}
	q, ok := p.ByName("conv_in.weight")
	if !ok || !slices.Equal(q.FileShape, []int{8, 3, 3, 3}) || q.FanIn != 27 {
		t.Errorf("conv_in.weight is %+v", q)
	}
	if _, ok := p.ByName("conv_in"); ok {
		t.Error("conv_in is no parameter")
	}
	// A second graph shares values and layout; a third from nothing has the same layout.
	g, _, err := BuildUNet(p, c, 5, 10)
	if err != nil {
		t.Fatal(err)
	}
	used := map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			used[v] = true
		}
	}
	again := mustParams(t, c).List()
	for i, v := range p.Values() {
		if !used[v] {
			t.Errorf("the second graph does not use %s", v.Name)
		}
		if again[i].Name != list[i].Name || again[i].Offset != list[i].Offset {
			t.Errorf("%s at %d is %s at %d in another set", list[i].Name, list[i].Offset, again[i].Name, again[i].Offset)
		}
	}
	// A finished set fits its own config only.
	other := *c
	other.LayersPerBlock = 2
	if _, _, err := BuildUNet(p, &other, 1, 1); err == nil || !strings.Contains(err.Error(), "no parameter down_blocks.0.resnets.1.norm1.weight") {
		t.Errorf("one layer more: %v", err)
	}
	other = *c
	other.InChannels = 4
	if _, _, err := BuildUNet(p, &other, 1, 1); err == nil || !strings.Contains(err.Error(), "conv_in.weight is [8x3x3x3], this graph wants [8x3x3x4]") {
		t.Errorf("one channel more: %v", err)
	}
}

func TestDecodeErrors(t *testing.T) {
	p := mustParams(t, smallConfig())
	flat := p.Init(1)
	good := p.Encode(flat)
	into := func(tensors []safetensors.Tensor) error {
		b, err := safetensors.Encode(tensors, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := safetensors.Decode("weights.safetensors", b)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, p.Elems())
		err = p.Decode(got, f)
		if err == nil && !slices.Equal(got, flat) {
			t.Error("decoding changed the weights")
		} else if err != nil && slices.Max(got) > 0 {
			t.Error("a failed decode left something behind")
		}
		return err
	}
	if err := into(good); err != nil {
		t.Error(err)
	}
	old := slices.Clone(good)
	for i := range old {
		for _, names := range [][2]string{{".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}} {
			old[i].Name = strings.Replace(old[i].Name, names[0], names[1], 1)
		}
	}
	if err := into(old); err != nil {
		t.Errorf("old names: %v", err)
	}
	fails := func(what string, tensors []safetensors.Tensor, want ...string) {
		t.Helper()
		err := into(tensors)
		for _, w := range append(want, "weights.safetensors") {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %v, want %q in it", what, err, w)
			}
		}
	}
	fails("missing", good[1:], "missing class_embedding.weight")
	fails("many missing", good[20:], "missing 20 tensors (class_embedding.weight, ")
	fails("unexpected", append(slices.Clone(good), safetensors.Float32("mid_block.surplus", []int{1}, []float32{1})), "unexpected mid_block.surplus")
	for i := range good {
		if good[i].Name == "conv_in.weight" {
			wrong := slices.Clone(good)
			wrong[i].Shape = []int{8, 3, 9, 1}
			fails("wrong shape", wrong, `"conv_in.weight" has shape [8 3 9 1], the config wants [8 3 3 3]`)
			wrong[i] = safetensors.Int64("conv_in.weight", good[i].Shape, make([]int64, good[i].Len()))
			fails("wrong type", wrong, "conv_in.weight", "I64")
		}
	}
	if err := p.Decode(make([]float32, 7), nil); err == nil {
		t.Error("a buffer of the wrong length passed")
	}
}

func TestInit(t *testing.T) {
	c := smallConfig()
	c.BlockOutChannels, c.NormNumGroups = []int{64, 128}, 32
	classes := 100
	c.NumClassEmbeds = &classes
	p := mustParams(t, c)
	flat := p.Init(42)
	if !slices.Equal(flat, p.Init(42)) || slices.Equal(flat, p.Init(43)) || slices.Equal(flat, p.Init(42+1<<32)) {
		t.Error("the values are no function of the seed")
	}
	padding := slices.Clone(flat)
	for _, q := range p.List() {
		v := flat[q.Offset : q.Offset+q.Shape.Elems()]
		clear(padding[q.Offset : q.Offset+len(v)])
		mean, vari := moments(v)
		wantMean, wantVar, kurtosis := 0.0, 0.0, 0.0
		switch q.Kind {
		case NormWeight:
			wantMean = 1
		case Embedding:
			wantVar, kurtosis = 1, 3
		case ConvWeight, LinearWeight, Bias:
			bound := 1 / math.Sqrt(float64(q.FanIn))
			wantVar, kurtosis = bound*bound/3, 1.8
			if float64(slices.Max(v)) > bound || float64(slices.Min(v)) < -bound {
				t.Errorf("%s reaches from %g to %g, want within %g", q.Name, slices.Min(v), slices.Max(v), bound)
			}
		}
		// Five standard errors of each estimate.
		n := float64(len(v))
		if d := math.Abs(mean - wantMean); d > 5*math.Sqrt(wantVar/n)+1e-12 {
			t.Errorf("%s has mean %g, want %g", q.Name, mean, wantMean)
		}
		if d := math.Abs(vari - wantVar); d > 5*wantVar*math.Sqrt((kurtosis-1)/n) {
			t.Errorf("%s has variance %g, want %g", q.Name, vari, wantVar)
		}
	}
	if slices.Max(padding) != 0 || slices.Min(padding) != 0 {
		t.Error("the padding is not zero")
	}
}

func moments(v []float32) (mean, vari float64) {
	for _, x := range v {
		mean += float64(x) / float64(len(v))
	}
	for _, x := range v {
		vari += (float64(x) - mean) * (float64(x) - mean) / float64(len(v))
	}
	return
}
