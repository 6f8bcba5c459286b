package experiment

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
)

var tradeoff = &Experiment{
	Name: "tradeoff", Short: "bits against network evaluations, for all of them",
	Explain: []string{
		"Fewer network evaluations cost bits. How many depends on what is drawn together: neighbours, or pixels far apart.",
		"Diffusion decides a little of everything at each step; its bits are an upper bound, with the best variance for each step.",
	},
	Knobs: []Knob{KnobT, KnobSchedule, KnobSeed}, Trains: true,
}

func init() { tradeoff.run = runTradeoff }

// A Point is one way to make an image.
type Point struct {
	Method string   `json:"method"`
	Group  int      `json:"group_pixels,omitempty"`
	NFE    int      `json:"network_evaluations"`
	Bits   lab.Stat `json:"bits_per_dim"`
	bits   []float64
}

// Tradeoff is what tradeoff measures.
type Tradeoff struct {
	Points []Point `json:"points"`
	// Monotone says of each method that more evaluations never cost more bits, by more than two standard errors of the difference
	// image by image.
	Monotone map[string]bool `json:"monotone"`
}

func runTradeoff(ctx context.Context, j *job) (any, error) {
	t, set, err := j.network(ctx, j.task())
	if err != nil {
		return nil, err
	}
	noise, _, err := j.network(ctx, &lab.Task{Head: lab.Noise, HoldOut: heldOut})
	if err != nil {
		return nil, err
	}
	n, images := t.net, held(set, j.p.Images)
	r := &Tradeoff{Monotone: map[string]bool{}}
	add := func(p Point) {
		p.Bits = lab.StatOf(p.bits)
		r.Points = append(r.Points, p)
		j.emit(Frame{Charts: []Chart{r.Chart()}, Figures: r.figures()})
	}
	for _, o := range []lab.Order{lab.Blocks, lab.Random, lab.Lattice, lab.Growing} {
		for size := n.Side * n.Side; size >= 1; size /= 4 {
			if _, err := lab.Groups(o, n.Side, size, 0); err != nil {
				continue
			}
			evaluations := 0
			groups := func(i int) [][]int {
				g, _ := lab.Groups(o, n.Side, size, j.p.Seed+uint64(i)) // it was tried above
				evaluations = len(g)
				return lab.Values(g, n.C)
			}
			bits, err := n.Bits(ctx, images, groups, j.phase(fmt.Sprintf("%s of %d", o, size)))
			if err != nil {
				return nil, err
			}
			add(Point{Method: string(o), Group: size, NFE: evaluations, bits: bits})
		}
	}
	T := noise.net.Schedule.T()
	var counts []int
	for s := 4; s < T; s *= 2 {
		counts = append(counts, s)
	}
	tune := set.Pixels[:min(16, set.N)*n.D()] // one number a step is tuned: a few images are enough
	for _, s := range append(counts, T) {
		b, err := noise.net.Bound(ctx, images, tune, s, j.p.Seed, j.phase(fmt.Sprintf("diffusion in %d steps", s)))
		if err != nil {
			return nil, err
		}
		add(Point{Method: "diffusion", NFE: s, bits: b.Bits})
	}
	for i, p := range r.Points {
		if i == 0 || r.Points[i-1].Method != p.Method {
			r.Monotone[p.Method] = true
			continue
		}
		if rise := lab.Less(p.bits, r.Points[i-1].bits); rise.Mean > 2*rise.SE {
			r.Monotone[p.Method] = false
		}
	}
	j.emit(Frame{Phase: "done", Charts: []Chart{r.Chart()}, Figures: r.figures()})
	return r, nil
}

// Chart draws all methods.
func (r *Tradeoff) Chart() Chart {
	ch := Chart{Name: "bits/dim against network evaluations", X: "network evaluations", Y: "bits/dim", LogX: true}
	for i, p := range r.Points {
		if i == 0 || r.Points[i-1].Method != p.Method {
			ch.Lines = append(ch.Lines, Line{Name: p.Method})
		}
		l := &ch.Lines[len(ch.Lines)-1]
		l.X, l.Y, l.SE = append(l.X, float64(p.NFE)), append(l.Y, p.Bits.Mean), append(l.SE, p.Bits.SE)
	}
	return ch
}

func (r *Tradeoff) figures() []Figure {
	var out []Figure
	for _, p := range r.Points {
		name := p.Method
		if p.Group > 0 {
			name = fmt.Sprintf("%s of %d", p.Method, p.Group)
		}
		out = append(out, stat(name, p.Bits, fmt.Sprintf("bits/dim, %d evaluations", p.NFE)))
	}
	return out
}

// WriteCSV writes the points, a line each.
func (r *Tradeoff) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"method", "group_pixels", "network_evaluations", "bits_per_dim", "standard_error", "images"}}
	for _, p := range r.Points {
		f := func(v float64) string { return strconv.FormatFloat(v, 'g', 8, 64) }
		rows = append(rows, []string{p.Method, strconv.Itoa(p.Group), strconv.Itoa(p.NFE), f(p.Bits.Mean), f(p.Bits.SE), strconv.Itoa(p.Bits.N)})
	}
	return c.WriteAll(rows)
}
