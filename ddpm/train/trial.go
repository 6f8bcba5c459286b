package train

import (
	"context"
	"errors"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
)

// A Choice is what a run computes on, as it was decided when the run began. A resume keeps to it.
type Choice struct {
	Backend    string `json:"backend"`               // cpu or vulkan
	Device     string `json:"device,omitempty"`      // of vulkan, its name
	NoMatrices bool   `json:"no_matrices,omitempty"` // without cooperative matrices, which were slower
	Why        string `json:"why,omitempty"`
}

// trialSteps is how many steps of a trial are timed at most, and trialImages how large its made-up set of images is.
const (
	trialSteps  = 3
	trialImages = 64
)

// Trial is the seconds that a training step of c with a batch of that size takes on b, on made-up images: the fastest of three steps, or
// of as many as patience allows after the first, which warms up. It counts itself where there is no time for more.
func Trial(ctx context.Context, b backend.Backend, c *Config, batch int, patience time.Duration) (seconds float64, err error) {
	try := *c
	if batch != c.Batch {
		try.Batch, try.Accumulate = batch, 0
	}
	n, err := try.images(trialImages)
	if err != nil {
		return 0, err
	}
	size := try.UNet.SampleSize
	pixels := make([]byte, n*size*size*try.Channels())
	for i := range pixels {
		pixels[i] = byte(i * 37)
	}
	s, err := NewStep(b, &try, pixels, n, dist.Alone)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	begun := time.Now()
	for i := range trialSteps + 1 {
		if i > 0 && time.Since(begun) > patience {
			break
		}
		start := time.Now()
		if _, err := s.Run(ctx); err != nil {
			return 0, err
		}
		took := time.Since(start).Seconds()
		if i < 2 || took < seconds {
			seconds = took // the first only stands where there is no second
		}
	}
	return seconds, nil
}
