package train

import (
	"errors"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
)

// Split divides a set into the images that the run trains on and those that it holds out.
func (c *Config) Split(set *data.Set) (training, held metrics.Images, err error) {
	all := metrics.Images{N: set.N, Size: set.Size, Channels: set.Channels, Pixels: set.Pixels}
	if c.Holdout == 0 {
		return all, metrics.Images{Size: set.Size, Channels: set.Channels}, nil
	}
	if c.Lab != nil {
		return all, held, errors.New("config: holdout: a run of the lab has hold_out of its own")
	}
	if c.Holdout >= all.N {
		return all, held, fmt.Errorf("config: holdout is %d, there are %d images: nothing would be left to train on", c.Holdout, all.N)
	}
	training, held = metrics.Split(all, c.Holdout)
	return training, held, nil
}
