package experiment

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// newLab is a lab with little networks in a folder of its own.
func newLab(t *testing.T) *Lab {
	t.Helper()
	b, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return &Lab{Backend: b, Runs: t.TempDir(), width: []int{16, 32}, sets: map[string]*data.Set{}, nets: map[string]*trained{}}
}

// perform runs an experiment and sees to it that what it measured is JSON and that it showed something.
func perform(t *testing.T, l *Lab, name string, p Params) any {
	t.Helper()
	e, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = e.Complete(p); err != nil {
		t.Fatal(err)
	}
	figures, done := 0, false
	r, err := l.Run(context.Background(), e, p, func(f Frame) {
		figures = max(figures, len(f.Figures))
		done = done || f.Phase == "done"
		for _, c := range f.Pictures {
			if b := c.Image.Bounds(); c.Rows < 1 || c.Cols < 1 || b.Dx()%c.Cols != 0 || b.Dy()%c.Rows != 0 {
				t.Errorf("%s: picture %s is %v in %d rows and %d columns", name, c.Name, b, c.Rows, c.Cols)
			}
		}
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if figures == 0 || !done {
		t.Errorf("%s showed %d figures, done: %t", name, figures, done)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return r.Measured
}

// The network learns the mean of all images under squared error and goes towards the median under absolute error, and makes the same
// image every time.
func TestOneshot(t *testing.T) {
	l := newLab(t)
	p := Params{Size: 8, Steps: 250, Batch: 32, Head: lab.MSE}
	r := perform(t, l, "oneshot", p).(*OneShot)
	if r.RMSEToMean > 0.02 || r.Diversity != 0 || r.NFE != 1 {
		t.Errorf("squared error: %+v", r)
	}
	if r.DataSpread < 0.2 {
		t.Errorf("the images are hardly different: %v", r.DataSpread)
	}
	p.Head = lab.L1
	r = perform(t, l, "oneshot", p).(*OneShot)
	if r.RMSEToMedian > r.MeanToMedian/2 || r.RMSEToMedian > r.RMSEToMean || r.Diversity != 0 {
		t.Errorf("absolute error: %+v", r)
	}
}

// field is a set of grey images in which neighbours resemble each other, drawn from a Gaussian field.
func field(n, side int) *data.Set {
	l, err := lab.Cholesky(lab.Field(side, 6, 1e-3))
	if err != nil {
		panic(err)
	}
	s := &data.Set{Name: "field", Size: side, Channels: 1, N: n}
	z := make([]float32, side*side)
	for i := range n {
		rng.Normals(z, 3, rng.StreamNoise, uint32(i), 0)
		for p := range z {
			v := 0.0
			for k := range p + 1 {
				v += l[p][k] * float64(z[k])
			}
			s.Pixels = append(s.Pixels, uint8(min(max(math.Round(127.5+40*v), 0), 255)))
		}
	}
	return s
}

// On the field the price of drawing pixels together is that of the theory in kind: it rises with the size of blocks, and scattered
// pixels cost a fraction. All with the same weights.
func TestRoad(t *testing.T) {
	l := newLab(t)
	const side = 16
	l.sets["16"] = field(1500, side)
	p := Params{Size: side, Steps: 300, Batch: 16}
	e, _ := Find("scattered")
	p, err := e.Complete(p)
	if err != nil {
		t.Fatal(err)
	}
	j := &job{Lab: l, p: p, e: e, emit: func(Frame) {}}
	n, set, err := j.network(context.Background(), j.task())
	if err != nil {
		t.Fatal(err)
	}
	images := held(set, 6)
	excess := func(o lab.Order, size int) lab.Stat {
		x, err := n.net.Excess(context.Background(), o, size, images, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s of %d: excess %.4f ± %.4f, %.3f bits/dim", o, size, x.Excess.Mean, x.Excess.SE, x.Groups.Mean)
		return x.Excess
	}
	last := lab.Stat{}
	var four lab.Stat
	for _, size := range []int{4, 16, 64} {
		x := excess(lab.Blocks, size)
		if x.Mean < 1.1*last.Mean || x.Mean < 2*x.SE {
			t.Errorf("blocks of %d cost %.4f ± %.4f, smaller ones %.4f ± %.4f", size, x.Mean, x.SE, last.Mean, last.SE)
		}
		last = x
		if size == 16 {
			four = x
		}
	}
	if x := excess(lab.Random, 16); x.Mean > four.Mean/5 {
		t.Errorf("random groups of 16 cost %.4f, blocks of 4x4 %.4f", x.Mean, four.Mean)
	}
	// Drawing: greedy repeats itself, a seed repeats itself, seeds differ.
	groups, err := lab.Groups(lab.Random, side, 16, 1)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(greedy bool, seed uint64) []float32 {
		before := n.net.Calls
		x, err := n.net.Fill(context.Background(), lab.Fill{N: 1, Groups: func(int) [][]int { return groups }, Greedy: greedy, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if calls := n.net.Calls - before; calls != len(groups) {
			t.Errorf("%d network evaluations, want %d", calls, len(groups))
		}
		return x
	}
	if !slices.Equal(fill(true, 1), fill(true, 2)) {
		t.Error("greedy does not repeat itself")
	}
	if !slices.Equal(fill(false, 1), fill(false, 1)) || slices.Equal(fill(false, 1), fill(false, 2)) {
		t.Error("an image is not that of its seed")
	}
}

// Diffusion: as many evaluations as timesteps, the oracle's variance where it should be, a bound that falls with more steps, and a
// second experiment that goes on with the same network.
func TestDenoise(t *testing.T) {
	l := newLab(t)
	l.sets["16"] = field(400, 16)
	p := Params{Size: 16, Steps: 20, Batch: 8, T: 40}
	r := perform(t, l, "denoise", p).(*Denoised)
	if r.NFE != 40 || len(r.ByTime) != 10 {
		t.Errorf("%+v", r)
	}
	if o := r.Oracle; math.Abs(o.Variance-o.Expected) > 4*o.SE || math.Abs(o.Mean-0.3) > 0.03 {
		t.Errorf("the oracle: %+v", o)
	}
	if _, _, err := model.Load(filepath.Join(l.Runs, "lab-noise-16-cosine-40"), false); err == nil || !strings.Contains(err.Error(), "ddpm-tui lab") {
		t.Errorf("a network of the lab is loaded as a diffusion model: %v", err)
	}
	before, err := os.ReadFile(filepath.Join(l.Runs, "lab-noise-16-cosine-40", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	perform(t, l, "denoise", p)
	after, err := os.ReadFile(filepath.Join(l.Runs, "lab-noise-16-cosine-40", "events.jsonl"))
	if err != nil || len(after) != len(before) {
		t.Errorf("a network that is trained was trained again (%d bytes of log, then %d; %v)", len(before), len(after), err)
	}
}

func TestNumbers(t *testing.T) {
	l := newLab(t)
	l.sets["16"] = field(4, 16)
	for _, name := range []string{"forward", "schedule", "gaussian"} {
		perform(t, l, name, Params{})
	}
}

func TestParams(t *testing.T) {
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{Size: 7}, "--size 7"}, {Params{Group: 5, Order: lab.Blocks}, "--group"}, {Params{Images: 1000}, "--images"},
		{Params{T: 1}, "-T 1"}, {Params{Order: "spiral"}, "spiral"}, {Params{Steps: -1}, "--steps"},
	} {
		if _, err := scattered.Complete(c.p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want it to name %s", c.p, err, c.want)
		}
	}
	if _, err := Find("nothing"); err == nil {
		t.Error("an experiment that there is not is found")
	}
}
