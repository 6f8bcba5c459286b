package nn

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/golden"
)

func TestConfigDefaults(t *testing.T) {
	c, err := ParseConfig([]byte(`{"sample_size": 64}`))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.SampleSize = 64
	if !reflect.DeepEqual(c, want) {
		t.Errorf("an empty config is %+v, want %+v", c, want)
	}
	if c.AttentionHeadDim == nil || *c.AttentionHeadDim != 8 {
		t.Error("a missing attention_head_dim is not 8")
	}
	c, err = ParseConfig([]byte(`{"sample_size": 64, "attention_head_dim": null}`))
	if err != nil || c.AttentionHeadDim != nil {
		t.Errorf("attention_head_dim null: %v, %v; want none", c, err)
	}
	c, err = ParseConfig([]byte(`{"sample_size": 8, "block_out_channels": [32], "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"],
		"_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "_whatever": {}, "num_train_timesteps": null, "act_fn": "swish"}`))
	if err != nil || c.Levels() != 1 || len(c.DownBlockTypes) != 1 || c.TimeChannels() != 128 {
		t.Errorf("a small config: %+v, %v", c, err)
	}
}

func TestConfigRoundTrip(t *testing.T) {
	paths, err := filepath.Glob("testdata/[CR]*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, golden.Files(t, "unet_*.config.json")...) {
		c, err := ReadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseConfig(b)
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%s became %s: %v", path, b, err)
		}
		// Nothing of the original may be lost.
		var was, is map[string]any
		golden.JSON(t, path, &was)
		if err := json.Unmarshal(b, &is); err != nil {
			t.Fatal(err)
		}
		delete(was, "_diffusers_version")
		for k, v := range was {
			if !reflect.DeepEqual(is[k], v) {
				t.Errorf("%s: %s is %v, was %v", path, k, is[k], v)
			}
		}
	}
}

func TestConfigErrors(t *testing.T) {
	const base = `"sample_size": 32, "block_out_channels": [32, 64], "norm_num_groups": 8,
		"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]`
	if _, err := ParseConfig([]byte("{" + base + "}")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ change, want string }{
		{`"_class_name": "UNet2DConditionModel"`, `_class_name "UNet2DConditionModel" is not supported`},
		{`"act_fn": "gelu"`, `act_fn "gelu" is not supported, want silu or swish`},
		{`"time_embedding_type": "learned"`, `time_embedding_type "learned" is not supported`},
		{`"dropout": 1`, `dropout is 1, want 0 or more and less than 1`},
		{`"class_embed_type": "identity"`, `class_embed_type "identity" is not supported, want timestep`},
		{`"mid_block_type": "UnCLIPUNetMidBlock2D"`, `unknown field "mid_block_type"`},
		{`"resnet_time_scale_shift": "ada_group"`, `resnet_time_scale_shift "ada_group" is not supported`},
		{`"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]`, `down_block_types[1] "SkipDownBlock2D" is not supported`},
		{`"up_block_types": ["AttnUpDecoderBlock2D", "UpBlock2D"]`, `up_block_types[0] "AttnUpDecoderBlock2D" is not supported`},
		{`"downsample_padding": 2`, `downsample_padding 2 is not supported`},
		{`"downsample_type": "pool"`, `downsample_type "pool" is not supported`},
		{`"upsample_type": "none"`, `upsample_type "none" is not supported`},
		{`"attention_dropout": 0.5`, `unknown field "attention_dropout"`},
		{`"sample_size": 33`, `sample_size 33 does not halve 1 times`},
		{`"sample_size": null`, `sample_size is 0`},
		{`"sample_size": [32, 48]`, `sample_size`},
		{`"in_channels": 0`, `in_channels is 0`},
		{`"layers_per_block": 0`, `layers_per_block is 0`},
		{`"norm_num_groups": 24`, `block_out_channels[0] is 32, want a multiple of norm_num_groups 24`},
		{`"attention_head_dim": 48`, `block_out_channels[1] is 64, want a multiple of attention_head_dim 48`},
		{`"attn_norm_num_groups": 7`, `attn_norm_num_groups is 7`},
		{`"block_out_channels": [32]`, `block_out_channels has 1 levels, down_block_types 2 and up_block_types 2`},
		{`"block_out_channels": []`, `block_out_channels is empty`},
		{`"freq_shift": 16`, `freq_shift is 16`},
		{`"num_class_embeds": 0`, `num_class_embeds is 0`},
		{`"norm_eps": 0`, `norm_eps is 0`},
		{`"mid_block_scale_factor": 0`, `mid_block_scale_factor is 0`},
		{`"flip_sin_to_cos": "yes"`, `flip_sin_to_cos`},
		{`"layers_per_block": 1 2`, `invalid character`},
	} {
		// The last of two equal keys counts.
		_, err := ParseConfig([]byte("{" + base + ", " + c.change + "}"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.change, err, c.want)
		}
	}
	if _, err := ReadConfig("testdata/none.json"); err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("a missing file: %v", err)
	}
}
