package experiment

import (
	"context"
	"fmt"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

var pixel = &Experiment{
	Name: "pixel", Short: "one pixel, or one value, at a time",
	Explain: []string{
		"The image fills in pixel by pixel: the network says how probable each value of the next pixel is, and one is drawn.",
		"What was drawn is known from then on. Taking the most probable value instead gives the same image every time.",
		"This is exact, and slow: one evaluation of the network a pixel, 4,096 at 64x64, or 12,288 one value at a time.",
	},
	Knobs: []Knob{KnobOrder, KnobSeed}, Trains: true,
	adjust: func(p *Params) { def(&p.Images, 16) },
}

var blocks = &Experiment{
	Name: "blocks", Short: "contiguous k x k pixels at a time",
	Explain: []string{
		"All pixels of a block are drawn at once, each without knowing what the others became.",
		"Neighbours depend on each other most, so this costs much: seams and noise within blocks, more as they grow.",
		"The excess is what it costs in bits, beside the same order with each block's pixels revealed one by one.",
	},
	Knobs: []Knob{KnobGroup, KnobSeed}, Trains: true,
	adjust: func(p *Params) {
		def(&p.Images, 16)
		p.Order = lab.Blocks
	},
}

var scattered = &Experiment{
	Name: "scattered", Short: "random pixels at a time, far from each other",
	Explain: []string{
		"As many pixels at once as with blocks, but scattered: far from each other they hardly depend on each other.",
		"The same number of network evaluations costs a fraction of the bits. A lattice keeps the distance best;",
		"small groups first draw little together while little is known.",
	},
	Knobs: []Knob{KnobOrder, KnobGroup, KnobSeed}, Trains: true,
	adjust: func(p *Params) { def(&p.Images, 16) },
}

func init() {
	pixel.run, blocks.run, scattered.run = runPixel, runBlocks, runScattered
}

// drawn is how many images are filled in before one's eyes.
const drawn = 8

// Pixel is what pixel measures.
type Pixel struct {
	ByPixel     int      `json:"network_evaluations_by_pixel"`
	ByValue     int      `json:"network_evaluations_by_value"`
	ByPixel64   int      `json:"by_pixel_at_64x64"`
	ByValue64   int      `json:"by_value_at_64x64"`
	GreedySame  bool     `json:"greedy_twice_is_identical"`
	SeedSame    bool     `json:"same_seed_same_image"`
	Diversity   float64  `json:"diversity"`        // between sampled images
	GreedyDiv   float64  `json:"greedy_diversity"` // between greedy images
	BitsByPixel lab.Stat `json:"bits_per_dim_by_pixel"`
	BitsByValue lab.Stat `json:"bits_per_dim_by_value"`
}

func runPixel(ctx context.Context, j *job) (any, error) {
	t, set, err := j.network(ctx, j.task())
	if err != nil {
		return nil, err
	}
	n := t.net
	order := func(i int) ([][]int, error) { return lab.Groups(j.p.Order, n.Side, 1, j.p.Seed) }
	groups, err := order(0)
	if err != nil {
		return nil, err
	}
	byPixel, byValue := lab.Values(groups, n.C), lab.Singles(lab.Values(groups, n.C))
	r := &Pixel{ByPixel: len(byPixel), ByValue: len(byValue), ByPixel64: 64 * 64, ByValue64: 64 * 64 * 3}
	fill := func(greedy bool, seed uint64, count int, phase string) ([]float32, error) {
		j.emit(Frame{Phase: phase})
		return n.Fill(ctx, lab.Fill{
			N: count, Groups: func(int) [][]int { return byPixel }, Greedy: greedy, Seed: seed,
			OnStep: j.filling(set, phase, max(1, len(byPixel)/64)),
		})
	}
	var x [4][]float32
	for i, f := range []struct {
		greedy bool
		count  int
		phase  string
	}{{false, drawn, "drawing"}, {false, drawn, "again, same seed"}, {true, 2, "greedy"}, {true, 2, "greedy again"}} {
		if x[i], err = fill(f.greedy, j.p.Seed, f.count, f.phase); err != nil {
			return nil, err
		}
	}
	D := n.D()
	r.SeedSame, r.GreedySame = slices.Equal(x[0], x[1]), slices.Equal(x[2], x[3])
	r.Diversity, r.GreedyDiv = spread(slices.Collect(slices.Chunk(x[0], D))), spread(slices.Collect(slices.Chunk(x[2], D)))
	images := held(set, j.p.Images)
	measure := func(phase string, g [][]int) ([]float64, error) {
		return n.Bits(ctx, images, func(int) [][]int { return g }, j.phase(phase))
	}
	pixels, err := measure("bits by pixel", byPixel)
	if err != nil {
		return nil, err
	}
	values, err := measure("bits by value", byValue)
	if err != nil {
		return nil, err
	}
	r.BitsByPixel, r.BitsByValue = lab.StatOf(pixels), lab.StatOf(values)
	j.emit(Frame{
		Phase: "done",
		Pictures: []Picture{
			{"result", "drawn pixel by pixel", model.Grid(x[0], drawn, n.Side, n.C, drawn/2), 2, drawn / 2},
			{"greedy", "the most probable value each time, twice", model.Grid(slices.Concat(x[2][:D], x[3][:D]), 2, n.Side, n.C, 2), 1, 2},
		},
		Figures: []Figure{
			{"network evaluations", fmt.Sprintf("%d by pixel, %d by value", r.ByPixel, r.ByValue), "at 64x64: 4096 and 12288"},
			stat("bits/dim by pixel", r.BitsByPixel, fmt.Sprintf("of %d held-out images", r.BitsByPixel.N)),
			stat("bits/dim by value", r.BitsByValue, ""),
			{"greedy twice", yes(r.GreedySame, "identical", "different"), ""},
			{"same seed", yes(r.SeedSame, "same images", "other images"), ""},
			figure("diversity", r.Diversity, 3, "between drawn images"),
			figure("greedy diversity", r.GreedyDiv, 3, ""),
		},
	})
	return r, nil
}

func yes(v bool, yes, no string) string {
	if v {
		return yes
	}
	return no
}

// filling shows images as they fill in, every so many steps.
func (j *job) filling(set *data.Set, phase string, every int) func(step, steps int, x []float32, known [][]bool) {
	return func(step, steps int, x []float32, _ [][]bool) {
		if step%every != 0 && step != steps {
			return
		}
		n := len(x) / len(set.Bytes(0))
		cols := (n + 1) / 2
		j.emit(Frame{Phase: phase, Done: int64(step), Total: int64(steps), Moment: true, Pictures: []Picture{
			{"filling", fmt.Sprintf("%s: step %d of %d", phase, step, steps), model.Grid(x, n, set.Size, set.Channels, cols), (n + cols - 1) / cols, cols},
		}})
	}
}

// Grouped is what blocks and scattered measure.
type Grouped struct {
	Excess []lab.Excess `json:"excess"`
	// Ratio is the excess of random groups of 16 pixels over that of blocks of 4x4, with the same weights.
	Ratio float64 `json:"random_16_over_blocks_16,omitempty"`
}

func runBlocks(ctx context.Context, j *job) (any, error) {
	var want []lab.Excess
	for _, k := range []int{1, 2, 4, 8} {
		if j.p.Size%k == 0 {
			want = append(want, lab.Excess{Order: lab.Blocks, Size: k * k})
		}
	}
	return j.grouped(ctx, want)
}

func runScattered(ctx context.Context, j *job) (any, error) {
	want := []lab.Excess{{Order: lab.Blocks, Size: 16}, {Order: lab.Random, Size: 16}, {Order: lab.Lattice, Size: 16}, {Order: lab.Growing, Size: 16}}
	if j.p.Group != 16 {
		want = append(want, lab.Excess{Order: j.p.Order, Size: j.p.Group})
	}
	return j.grouped(ctx, want)
}

// grouped draws images in the groups that were chosen, and measures the excess of those in want.
func (j *job) grouped(ctx context.Context, want []lab.Excess) (*Grouped, error) {
	t, set, err := j.network(ctx, j.task())
	if err != nil {
		return nil, err
	}
	n := t.net
	groups, err := lab.Groups(j.p.Order, n.Side, j.p.Group, j.p.Seed)
	if err != nil {
		return nil, err
	}
	values := lab.Values(groups, n.C)
	x, err := n.Fill(ctx, lab.Fill{N: drawn, Groups: func(int) [][]int { return values }, Seed: j.p.Seed, OnStep: j.filling(set, "drawing", max(1, len(values)/64))})
	if err != nil {
		return nil, err
	}
	caption := fmt.Sprintf("%s of %d pixels: %d network evaluations", j.p.Order, j.p.Group, len(values))
	result := Picture{"result", caption, model.Grid(x, drawn, n.Side, n.C, drawn/2), 2, drawn / 2}
	r := &Grouped{}
	line := Line{Name: "excess"}
	images := held(set, j.p.Images)
	var figures []Figure
	for _, w := range want {
		name := fmt.Sprintf("%s of %d", w.Order, w.Size)
		e, err := n.Excess(ctx, w.Order, w.Size, images, j.p.Seed, j.phase("excess of "+name))
		if err != nil {
			return nil, err
		}
		r.Excess = append(r.Excess, e)
		figures = append(figures, stat(name, e.Excess, fmt.Sprintf("excess bits/dim; %.3f in all, %d evaluations", e.Groups.Mean, e.NFE)))
		line.X, line.Y, line.SE = append(line.X, float64(w.Size)), append(line.Y, e.Excess.Mean), append(line.SE, e.Excess.SE)
		f := Frame{Pictures: []Picture{result}, Figures: slices.Clone(figures)}
		if j.e == blocks {
			f.Charts = []Chart{{Name: "excess bits/dim", X: "pixels a block", Y: "bits/dim", LogX: true, Lines: []Line{line}}}
		}
		j.emit(f)
	}
	if j.e == scattered {
		r.Ratio = r.Excess[1].Excess.Mean / r.Excess[0].Excess.Mean
		figures = append(figures, figure("random / blocks", r.Ratio, 3, "of the excess, same weights"))
	}
	j.emit(Frame{Phase: "done", Figures: figures})
	return r, nil
}
