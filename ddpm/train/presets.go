package train

import (
	"fmt"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// A Preset is a configuration with a name and what it is for.
type Preset struct {
	Name, About string
	Config      Config
}

// DefaultPreset is what train uses when none is named.
const DefaultPreset = "avatars32"

// Presets are the built-in configurations, smallest first.
func Presets() []Preset {
	return []Preset{
		{"tiny", "16x16, seconds: to see that everything works", tiny()},
		{"avatars32", "32x32, first faces in minutes on two processor cores", avatars32()},
		{"avatars64", "64x64, the size of the tutorial's avatars: hours on a processor", avatars64()},
		{"cifar10", "the 35.7 M-parameter network of the DDPM paper: for a GPU, or patience", cifar10()},
	}
}

// PresetConfig is a copy of the preset of that name.
func PresetConfig(name string) (Config, error) {
	var names []string
	for _, p := range Presets() {
		if p.Name == name {
			return p.Config, nil
		}
		names = append(names, p.Name)
	}
	return Config{}, fmt.Errorf("preset %q is unknown, want one of %s (see ddpm-tui presets)", name, strings.Join(names, ", "))
}

// unet is a network with attention at the levels where attn says so.
func unet(size, layers int, channels []int, attn string, headDim, groups int) *nn.UNetConfig {
	c := nn.DefaultConfig()
	c.SampleSize, c.LayersPerBlock, c.BlockOutChannels, c.NormNumGroups = size, layers, channels, groups
	c.AttentionHeadDim = nil
	if headDim > 0 {
		c.AttentionHeadDim = &headDim
	}
	c.DownBlockTypes, c.UpBlockTypes = nil, nil
	for i := range channels {
		down, up := "DownBlock2D", "UpBlock2D"
		if attn[i] == 'a' {
			down = "AttnDownBlock2D"
		}
		if attn[len(channels)-1-i] == 'a' {
			up = "AttnUpBlock2D"
		}
		c.DownBlockTypes, c.UpBlockTypes = append(c.DownBlockTypes, down), append(c.UpBlockTypes, up)
	}
	return c
}

// base is what the presets share.
func base(name string) Config {
	return Config{
		Version: ConfigVersion, Preset: name,
		Schedule:   ddpm.ScheduleConfig{Kind: ddpm.Cosine, T: 1000},
		Prediction: ddpm.Epsilon,
		Optimizer:  Optimizer{LR: 1e-3, Warmup: 200, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, Decay: 1e-4, Clip: 1},
		EMA:        EMA{Decay: 0.999, Power: 0.75},
		Batch:      64,
		Preview:    Preview{Seconds: 60, Images: 16, Sampler: "ddim", Steps: 50},

		CheckpointSeconds: 300, CheckpointKeep: 3,
	}
}

func tiny() Config {
	c := base("tiny")
	c.UNet = unet(16, 1, []int{16, 32}, "-a", 8, 8)
	c.Optimizer.LR, c.Optimizer.Warmup = 2e-3, 20
	c.EMA.Decay = 0.99
	c.Batch, c.Steps = 16, 400
	c.Preview = Preview{Seconds: 3, Images: 16, Sampler: "ddim", Steps: 20}
	return c
}

// avatars32 has 2.74 M parameters and 0.382 GMAC an image.
func avatars32() Config {
	c := base("avatars32")
	c.UNet = unet(32, 1, []int{32, 64, 128}, "--a", 32, 8)
	c.Steps = 10000
	return c
}

func avatars64() Config {
	c := base("avatars64")
	c.UNet = unet(64, 1, []int{32, 64, 128, 256}, "--aa", 32, 8)
	c.Optimizer.LR = 5e-4
	c.EMA.Decay = 0.9995
	c.Batch, c.Steps = 32, 50000
	c.Preview.Seconds = 180
	return c
}

// cifar10 is the network and the schedule of Ho et al. 2020, section 4 and appendix B.
func cifar10() Config {
	c := base("cifar10")
	c.UNet = unet(32, 2, []int{128, 256, 256, 256}, "-a--", 0, 32)
	c.UNet.NormEps, c.UNet.FreqShift, c.UNet.FlipSinToCos, c.UNet.DownsamplePadding = 1e-6, 1, false, 0
	c.Schedule = ddpm.ScheduleConfig{Kind: ddpm.Linear, T: 1000}
	c.Optimizer = Optimizer{LR: 2e-4, Warmup: 5000, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1}
	c.EMA = EMA{Decay: 0.9999, Power: 0.75}
	c.Flip = true
	c.Batch, c.Steps = 128, 800000
	c.Preview.Seconds = 900
	return c
}
