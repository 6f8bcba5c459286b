package lab

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// A Head is what the network says of each value.
type Head string

// The heads.
const (
	MSE         Head = "mse"         // the value, by squared error: the mean of what is possible
	L1          Head = "l1"          // the value, by absolute error: the median
	Mixture     Head = "mixture"     // a mixture of discretised logistics
	Categorical Head = "categorical" // a logit for each of 256 levels
	Noise       Head = "noise"       // the noise in x_t: diffusion
)

// Heads are all of them.
func Heads() []Head { return []Head{MSE, L1, Mixture, Categorical, Noise} }

// What an ablation takes away from the network.
const (
	NoSkips     = "skips"     // what the way down hands to the way up
	NoAttention = "attention" // pixels that look at each other
	NoTime      = "time"      // t
)

// A Task is what a network of the lab learns. It is part of a run's configuration.
type Task struct {
	Head       Head   `json:"head"`
	Components int    `json:"components,omitempty"` // of the mixture
	Masks      int    `json:"masks,omitempty"`      // that training draws from; 1 is the one that hides everything
	HoldOut    int    `json:"hold_out,omitempty"`   // images at the end of the set that training does not see
	Ablate     string `json:"ablate,omitempty"`     // what the network lacks: skips, attention or time
}

// Masked reports whether the task fills in what a mask hides.
func (t *Task) Masked() bool { return t.Head != Noise }

// Channels are those of the network for images of C channels. It sees the image, its mask, and where each pixel lies.
func (t *Task) Channels(C int) (in, out int) {
	return 2*C + 2, C * t.Likelihood().Params()
}

// Likelihood is the head as the op nll knows it. Noise has one value like mse.
func (t *Task) Likelihood() backend.Likelihood {
	switch t.Head {
	case L1:
		return backend.Likelihood{Kind: backend.Absolute}
	case Mixture:
		return backend.Likelihood{Kind: backend.Mixture, Components: t.Components}
	case Categorical:
		return backend.Likelihood{Kind: backend.Categorical}
	}
	return backend.Likelihood{Kind: backend.Squared}
}

// Check says what is wrong with the task for a network of in and out channels.
func (t *Task) Check(in, out int) error {
	known := false
	for _, h := range Heads() {
		known = known || t.Head == h
	}
	C := (in - 2) / 2
	wantIn, wantOut := t.Channels(C)
	switch {
	case !known:
		return fmt.Errorf("lab.head %q is unknown, want one of %v", t.Head, Heads())
	case t.Head == Mixture && (t.Components < 1 || t.Components > 32):
		return fmt.Errorf("lab.components is %d, want 1 to 32", t.Components)
	case t.Masked() && (t.Masks < 1 || t.Masks > 1<<16):
		return fmt.Errorf("lab.masks is %d, want 1 to %d", t.Masks, 1<<16)
	case t.HoldOut < 0:
		return fmt.Errorf("lab.hold_out is %d, want 0 or more", t.HoldOut)
	case t.Ablate != "" && t.Ablate != NoSkips && t.Ablate != NoAttention && t.Ablate != NoTime:
		return fmt.Errorf("lab.ablate %q is unknown, want %s, %s or %s", t.Ablate, NoSkips, NoAttention, NoTime)
	case C != 1 && C != 3 || in != wantIn || out != wantOut:
		return fmt.Errorf("unet has in_channels %d and out_channels %d, which is not what head %s wants of images with 1 or 3 channels", in, out, t.Head)
	}
	return nil
}

// Train is how many of n images the task trains on.
func (t *Task) Train(n int) (int, error) {
	if t.HoldOut >= n {
		return 0, fmt.Errorf("there are %d images, and %d are to be held out", n, t.HoldOut)
	}
	return n - t.HoldOut, nil
}

// TimeOf is the t that stands for hidden of n values: 0 where hardly anything is, T-1 where everything is.
func TimeOf(hidden, n, T int) int {
	return int(math.Round(float64(T-1) * float64(hidden) / float64(n)))
}

// Values are groups of values (pixel*C + channel) with all channels of the pixels of each group.
func Values(groups [][]int, C int) [][]int {
	out := make([][]int, len(groups))
	for i, g := range groups {
		for _, p := range g {
			for c := range C {
				out[i] = append(out[i], p*C+c)
			}
		}
	}
	return out
}
