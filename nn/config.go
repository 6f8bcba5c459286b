package nn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A UNetConfig is the config.json of diffusers' UNet2DModel: the same keys, the same meaning, the same defaults. Options
// that this package does not build are refused by Validate, never ignored.
type UNetConfig struct {
	SampleSize  int `json:"sample_size"` // height and width of the images
	InChannels  int `json:"in_channels"`
	OutChannels int `json:"out_channels"`

	TimeEmbeddingType string `json:"time_embedding_type"` // positional or fourier
	FreqShift         int    `json:"freq_shift"`
	FlipSinToCos      bool   `json:"flip_sin_to_cos"`

	DownBlockTypes   []string `json:"down_block_types"` // DownBlock2D, AttnDownBlock2D, ResnetDownsampleBlock2D; one a level
	UpBlockTypes     []string `json:"up_block_types"`   // UpBlock2D, AttnUpBlock2D, ResnetUpsampleBlock2D; deepest level first
	BlockOutChannels []int    `json:"block_out_channels"`
	LayersPerBlock   int      `json:"layers_per_block"` // up blocks have one more

	MidBlockScaleFactor float64 `json:"mid_block_scale_factor"` // the mid block's sums are divided by it
	AddAttention        bool    `json:"add_attention"`          // in the mid block
	DownsamplePadding   int     `json:"downsample_padding"`     // 1, or 0: one row and column at the right and bottom
	DownsampleType      string  `json:"downsample_type"`        // conv or resnet, of attention blocks; plain ones use conv
	UpsampleType        string  `json:"upsample_type"`

	ActFn             string  `json:"act_fn"`              // silu
	Dropout           float64 `json:"dropout"`             // in training, before each resnet's second convolution
	CenterInputSample bool    `json:"center_input_sample"` // images come in [0,1]: x becomes 2x - 1

	AttentionHeadDim     *int    `json:"attention_head_dim"` // channels of a head; null: one head
	NormNumGroups        int     `json:"norm_num_groups"`
	AttnNormNumGroups    *int    `json:"attn_norm_num_groups"` // of the mid block's attention; null: as UNet's middle says
	NormEps              float64 `json:"norm_eps"`
	ResnetTimeScaleShift string  `json:"resnet_time_scale_shift"` // default or scale_shift

	ClassEmbedType *string `json:"class_embed_type"` // null: a table; timestep: labels are embedded as timesteps are
	NumClassEmbeds *int    `json:"num_class_embeds"` // null: no classes

	// NoSkips hides from the way up what the way down kept: an ablation of ours, which diffusers does not know.
	NoSkips bool `json:"no_skips,omitempty"`
}

// className is what diffusers calls this model in config.json.
const className = "UNet2DModel"

// ignored are the keys that change nothing while they have this value (or any, where it is empty).
var ignored = map[string]string{
	"num_train_timesteps":    "", // for a learned time embedding, which is refused
	"mid_block_type":         `"UNetMidBlock2D"`,
	"attention_legacy_order": "false",
}

// DefaultConfig holds diffusers 0.30.3's value of every key that a file leaves out. It has no sample_size.
func DefaultConfig() *UNetConfig {
	head := 8
	return &UNetConfig{
		InChannels: 3, OutChannels: 3,
		TimeEmbeddingType: "positional", FlipSinToCos: true,
		DownBlockTypes:   []string{"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"},
		UpBlockTypes:     []string{"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"},
		BlockOutChannels: []int{224, 448, 672, 896}, LayersPerBlock: 2,
		MidBlockScaleFactor: 1, AddAttention: true, DownsamplePadding: 1, DownsampleType: "conv", UpsampleType: "conv",
		ActFn: "silu", AttentionHeadDim: &head, NormNumGroups: 32, NormEps: 1e-5, ResnetTimeScaleShift: "default",
	}
}

// ReadConfig reads and validates a config.json.
func ReadConfig(path string) (*UNetConfig, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err // names the path already
	}
	c, err := ParseConfig(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig decodes and validates the content of a config.json. Keys with a leading underscore are diffusers' own notes
// and are ignored, but for the class name; any other unknown key is an error, since it may change the network.
func ParseConfig(b []byte) (*UNetConfig, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		return nil, fmt.Errorf("unet config: %w", err)
	}
	if raw, ok := keys["_class_name"]; ok && string(raw) != `"`+className+`"` {
		return nil, fmt.Errorf("unet config: _class_name %s is not supported, want %q", raw, className)
	}
	for k, raw := range keys {
		if neutral, ok := ignored[k]; strings.HasPrefix(k, "_") || ok && (neutral == "" || string(raw) == neutral) {
			delete(keys, k)
		}
	}
	known, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("unet config: %w", err)
	}
	type plain UNetConfig // without UnmarshalJSON, which calls this
	c := DefaultConfig()
	d := json.NewDecoder(bytes.NewReader(known))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(c)); err != nil {
		return nil, fmt.Errorf("unet config: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return c, c.Validate()
}

// MarshalJSON writes a config.json that diffusers opens.
func (c UNetConfig) MarshalJSON() ([]byte, error) {
	type plain UNetConfig // without this method
	return json.Marshal(struct {
		ClassName string `json:"_class_name"`
		plain
	}{className, plain(c)})
}

// UnmarshalJSON is ParseConfig, for a config within another file.
func (c *UNetConfig) UnmarshalJSON(b []byte) error {
	parsed, err := ParseConfig(b)
	if parsed != nil {
		*c = *parsed
	}
	return err
}

// Levels is the number of resolutions.
func (c *UNetConfig) Levels() int { return len(c.BlockOutChannels) }

// TimeChannels is the width of the time embedding.
func (c *UNetConfig) TimeChannels() int { return 4 * c.BlockOutChannels[0] }

// Classes is the number of classes, 0 for an unconditional model. Labels that are embedded as timesteps have no number of
// their own; there the timesteps of the usual schedule count.
func (c *UNetConfig) Classes() int {
	switch {
	case c.NumClassEmbeds != nil:
		return *c.NumClassEmbeds
	case c.classIsTime():
		return 1000
	}
	return 0
}

func (c *UNetConfig) classIsTime() bool { return c.ClassEmbedType != nil }

// Fourier reports whether timesteps are embedded by random frequencies of their logarithm, which timestep 0 has not. The
// output is then divided by the timestep.
func (c *UNetConfig) Fourier() bool { return c.TimeEmbeddingType == "fourier" }

// TimeFeatures is the width of the table of timesteps, C0, or 2 C0 for fourier.
func (c *UNetConfig) TimeFeatures() int {
	if c.Fourier() {
		return 2 * c.BlockOutChannels[0]
	}
	return c.BlockOutChannels[0]
}

// Validate says what is wrong with a config, or not supported, naming the key and its value.
func (c *UNetConfig) Validate() error {
	if err := c.supported(); err != nil {
		return fmt.Errorf("unet config: %w", err)
	}
	if err := c.consistent(); err != nil {
		return fmt.Errorf("unet config: %w", err)
	}
	return nil
}

// supported checks the options that have a fixed set of values.
func (c *UNetConfig) supported() error {
	one := func(key, value string, allowed ...string) error {
		if !slices.Contains(allowed, value) {
			return fmt.Errorf("%s %q is not supported, want %s", key, value, strings.Join(allowed, " or "))
		}
		return nil
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	check(one("time_embedding_type", c.TimeEmbeddingType, "positional", "fourier"))
	check(one("act_fn", c.ActFn, "silu", "swish"))
	check(one("downsample_type", c.DownsampleType, "conv", "resnet"))
	check(one("upsample_type", c.UpsampleType, "conv", "resnet"))
	check(one("resnet_time_scale_shift", c.ResnetTimeScaleShift, "default", "scale_shift"))
	for i, v := range c.DownBlockTypes {
		check(one(fmt.Sprintf("down_block_types[%d]", i), v, "DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"))
	}
	for i, v := range c.UpBlockTypes {
		check(one(fmt.Sprintf("up_block_types[%d]", i), v, "UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"))
	}
	if c.DownsamplePadding != 0 && c.DownsamplePadding != 1 {
		check(fmt.Errorf("downsample_padding %d is not supported, want 0 or 1", c.DownsamplePadding))
	}
	if !(c.Dropout >= 0 && c.Dropout < 1) {
		check(fmt.Errorf("dropout is %g, want 0 or more and less than 1", c.Dropout))
	}
	if c.ClassEmbedType != nil {
		check(one("class_embed_type", *c.ClassEmbedType, "timestep"))
	}
	return first(errs)
}

// consistent checks the numbers and how they go together.
func (c *UNetConfig) consistent() error {
	levels, ch := c.Levels(), c.BlockOutChannels
	if levels == 0 {
		return fmt.Errorf("block_out_channels is empty")
	}
	if len(c.DownBlockTypes) != levels || len(c.UpBlockTypes) != levels {
		return fmt.Errorf("block_out_channels has %d levels, down_block_types %d and up_block_types %d; want as many", levels, len(c.DownBlockTypes), len(c.UpBlockTypes))
	}
	for _, f := range []struct {
		key         string
		value, most int // a file from elsewhere must not ask for all memory before anything is read
	}{
		{"sample_size", c.SampleSize, 1 << 13}, {"in_channels", c.InChannels, 1 << 10}, {"out_channels", c.OutChannels, 1 << 10},
		{"layers_per_block", c.LayersPerBlock, 64}, {"norm_num_groups", c.NormNumGroups, 1 << 14}, {"block_out_channels[0]", ch[0], 1 << 14},
	} {
		if f.value < 1 {
			return fmt.Errorf("%s is %d, want at least 1", f.key, f.value)
		}
		if f.value > f.most {
			return fmt.Errorf("%s is %d, want at most %d", f.key, f.value, f.most)
		}
	}
	if levels > 16 || c.SampleSize%(1<<(levels-1)) != 0 {
		return fmt.Errorf("sample_size %d does not halve %d times, which the %d levels of block_out_channels need", c.SampleSize, levels-1, levels)
	}
	for i, n := range ch {
		if n > 1<<14 {
			return fmt.Errorf("block_out_channels[%d] is %d, want at most %d", i, n, 1<<14)
		}
		if n < 1 || n%c.NormNumGroups != 0 {
			return fmt.Errorf("block_out_channels[%d] is %d, want a multiple of norm_num_groups %d", i, n, c.NormNumGroups)
		}
		attends := c.attends(c.DownBlockTypes[i]) || c.attends(c.UpBlockTypes[levels-1-i]) || i == levels-1 && c.AddAttention
		if head := c.AttentionHeadDim; attends && head != nil && (*head < 1 || n%*head != 0) {
			return fmt.Errorf("block_out_channels[%d] is %d, want a multiple of attention_head_dim %d", i, n, *head)
		}
	}
	if g := c.AttnNormNumGroups; g != nil && (*g < 1 || ch[levels-1]%*g != 0) {
		return fmt.Errorf("attn_norm_num_groups is %d, want a divisor of the last of block_out_channels, %d", *g, ch[levels-1])
	}
	if c.FreqShift < 0 || ch[0]/2 <= c.FreqShift {
		return fmt.Errorf("freq_shift is %d, want 0 or more and less than half of block_out_channels[0], %d", c.FreqShift, ch[0]/2)
	}
	if c.NumClassEmbeds != nil && *c.NumClassEmbeds < 1 {
		return fmt.Errorf("num_class_embeds is %d, want at least 1 or null", *c.NumClassEmbeds)
	}
	if c.Classes() > 1<<20 {
		return fmt.Errorf("num_class_embeds is %d, want at most %d", c.Classes(), 1<<20)
	}
	if !(c.NormEps > 0) {
		return fmt.Errorf("norm_eps is %g, want a positive number", c.NormEps)
	}
	if !(c.MidBlockScaleFactor > 0) {
		return fmt.Errorf("mid_block_scale_factor is %g, want a positive number", c.MidBlockScaleFactor)
	}
	return nil
}

// attends reports whether the layers of a block type have attention.
func (c *UNetConfig) attends(blockType string) bool { return strings.HasPrefix(blockType, "Attn") }

// resizes reports whether a block changes the resolution with a resnet; mode is the downsample_type or upsample_type, which
// diffusers minds in blocks with attention only.
func (c *UNetConfig) resizes(blockType, mode string) bool {
	return strings.HasPrefix(blockType, "Resnet") || c.attends(blockType) && mode == "resnet"
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
