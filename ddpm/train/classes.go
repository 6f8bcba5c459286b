package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// A network that is told the class of an image is sampled with guidance if it also knows to do without: so for a part of the
// images the label is replaced by one class more, "none" (Ho & Salimans 2022, algorithm 1).

const (
	bufLabels  = "labels"    // [images,1] u32
	bufNone    = "no_label"  // [B] u32, the class more
	bufLabeled = "label_sum" // [2 draws,4 C0]: ones where the label counts, then ones where it does not

	unlabeled = 0.1 // part of the images whose label is not told
)

// labelDraws is the number of values from which it is drawn whether a label is told. The draw is the order of an epoch of so
// many images, which has nothing to do with that of the images if they are another number.
func labelDraws(images int) int {
	if images == 997 {
		return 1009
	}
	return 997
}

// takeClasses makes the network one of the set's classes if the run is to have them, or refuses a set of others.
func (c *Config) takeClasses(set *data.Set) error {
	switch {
	case !c.ClassLabels:
		return nil
	case set.Labels == nil:
		return errors.New("the images have no classes: put those of each class in a folder of its own, at the top of the set, or leave --classes out")
	case c.Classes == nil:
		c.Classes = set.Classes
		n := len(set.Classes) + 1
		c.UNet.NumClassEmbeds = &n
		return c.UNet.Validate()
	case !slices.Equal(c.Classes, set.Classes):
		return fmt.Errorf("the images have the classes %q, the run was started with %q", set.Classes, c.Classes)
	}
	return nil
}

// labels are the classes of the images that are trained on, as little-endian u32.
func (c *Config) labels(set *data.Set) []byte {
	if !c.ClassLabels {
		return nil
	}
	all := metrics.Images{N: set.N, Size: 1, Channels: 4}
	for _, label := range set.Labels {
		all.Pixels = binary.LittleEndian.AppendUint32(all.Pixels, uint32(label))
	}
	if c.Holdout > 0 {
		all, _ = metrics.Split(all, c.Holdout)
	}
	return all.Pixels
}

// buildLabels is the class of each image of a batch: [B] u32, and which of them are told.
func buildLabels(g *graph.Graph, c *Config, control, index *graph.Value, B, images int) (class *graph.Value, drop *nn.LabelDrop) {
	if !c.ClassLabels {
		return nil, nil
	}
	draws, width := labelDraws(images), c.UNet.TimeChannels()
	told := func(part int) *graph.Value {
		table := graph.State(bufLabeled, 4*part*draws*width, graph.F32(draws, width), bufLabeled)
		return g.Gather(table, g.BatchIndices(control, B, c.Batch, draws))
	}
	class = g.Gather(state(bufLabels, graph.U32(images, 1)), index)
	return class, &nn.LabelDrop{None: state(bufNone, graph.U32(B)), Told: told(0), Untold: told(1)}
}

// writeLabels writes what the step reads of labels: those of the images, and the constants.
func (s *Step) writeLabels(labels []byte) error {
	c := s.Config
	if !c.ClassLabels {
		return nil
	}
	draws, width := labelDraws(len(labels)/4), c.UNet.TimeChannels()
	table := make([]float32, 2*draws*width)
	for i := range table {
		row := i / width
		if untold := float64(row%draws) < unlabeled*float64(draws); untold == (row >= draws) {
			table[i] = 1
		}
	}
	none := slices.Repeat([]uint32{uint32(len(c.Classes))}, s.n)
	if err := model.Write(s.Memory, bufNone, 0, none); err != nil {
		return err
	}
	if err := model.Write(s.Memory, bufLabels, 0, labels); err != nil {
		return err
	}
	return model.Write(s.Memory, bufLabeled, 0, table)
}
