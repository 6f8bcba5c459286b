package ddpm

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// The order of RePaint's algorithm with a jump length: after every 2 steps, 2 are walked again.
func TestInpaintingPath(t *testing.T) {
	var got []int
	p := &Inpainting{Jump: 2, Walks: 2}
	err := p.path(5, func(i int) error { got = append(got, i+1); return nil }, func(i int) error { got = append(got, -(i - 1)); return nil })
	// Positive is the level that a step reaches, zero and negative one that noise goes back to.
	want := []int{1, 2, -1, 0, 1, 2, 3, 4, -3, -2, 3, 4, 5}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, c := range []struct{ jump, walks, steps, want int }{{2, 2, 5, 9}, {10, 1, 50, 50}, {10, 5, 50, 50 + 4*4*10}, {0, 0, 7, 7}, {10, 10, 250, 250 + 24*9*10}} {
		if n := (&Inpainting{Jump: c.jump, Walks: c.walks}).Evaluations(c.steps); n != c.want {
			t.Errorf("%+v: %d evaluations", c, n)
		}
	}
}

// Data whose two halves are equal, each N(0, 1): given the left half, the right
// one must come out equal to it, which it does the better the more often the
// way is walked; and what is known stays exactly.
func TestInpaintAgreesWithWhatIsKnown(t *testing.T) {
	const n, T = 1000, 1000 // pairs
	bars := oracleBars(Linear, T)
	sch := linearSchedule(t, T)
	// E[eps | x] for pairs (u, u): the mean m of both elements is a u + b e/sqrt 2, the
	// difference is noise alone.
	predict := func(x []float32, step int, out []float32) error {
		a, b := math.Sqrt(bars[step]), math.Sqrt(1-bars[step])
		for i := 0; i < len(x); i += 2 {
			m := (float64(x[i]) + float64(x[i+1])) / 2
			x0 := a * m / (a*a + b*b/2)
			out[i], out[i+1] = float32((float64(x[i])-a*x0)/b), float32((float64(x[i+1])-a*x0)/b)
		}
		return nil
	}
	known, mask := make([]float32, 2*n), make([]float32, 2*n)
	rng.Normals(known, 1, rng.StreamSample, 0, 0)
	for i := range n {
		mask[2*i+1] = 1
	}
	spread := func(sampler string, walks int) float64 {
		s, err := NewSampler(sampler, sch, SamplerOptions{Steps: 50, Spacing: Trailing})
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float32, 2*n)
		rng.Normals(x, 2, rng.StreamSample, 0, 0)
		draws, steps := uint64(0), 0
		err = Inpaint(context.Background(), s, &Inpainting{Known: known, Mask: mask, Jump: 5, Walks: walks}, x, predict, func(dst []float32) {
			rng.Normals(dst, 3, rng.StreamSampleNoise, 0, draws)
			draws++
		}, func(i, _ int, x, x0 []float32) {
			if i != steps || len(x) != len(x0) {
				t.Errorf("step %d is called %d", steps, i)
			}
			steps++
		})
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		for i := range n {
			if x[2*i] != known[2*i] {
				t.Fatalf("what is known became %g, was %g", x[2*i], known[2*i])
			}
			d := float64(x[2*i+1] - x[2*i])
			sum += d * d / n
		}
		return math.Sqrt(sum)
	}
	for _, sampler := range []string{"ddpm", "ddim", "euler", "euler-a"} {
		once, often := spread(sampler, 1), spread(sampler, 6)
		t.Logf("%s: the halves differ by %.3f, by %.3f with 6 walks", sampler, once, often)
		if !(often < 0.95*once && once < 0.5) { // two that know nothing of each other differ by 1.41
			t.Errorf("%s: the halves differ by %.3f, by %.3f with 6 walks", sampler, once, often)
		}
	}
}

func TestInpaintErrors(t *testing.T) {
	sch := linearSchedule(t, 10)
	for _, name := range []string{"heun", "dpmpp2m", "dpmpp2m-sde", "unipc", "ddim"} {
		s, err := NewSampler(name, sch, SamplerOptions{Steps: 5, Spacing: Trailing})
		if err != nil {
			t.Fatal(err)
		}
		p := &Inpainting{Known: make([]float32, 3), Mask: make([]float32, 4)}
		err = Inpaint(context.Background(), s, p, make([]float32, 4), goldenPredictor("epsilon"), func([]float32) {}, nil)
		want := "take ddpm, ddim"
		if name == "ddim" {
			want = "3 values of the picture"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Points between two noises are noise of the same strength.
func TestSlerp(t *testing.T) {
	a, b, dst := make([]float32, 10_000), make([]float32, 10_000), make([]float32, 10_000)
	rng.Normals(a, 1, rng.StreamSample, 0, 0)
	rng.Normals(b, 2, rng.StreamSample, 0, 0)
	for _, u := range []float64{0, 0.25, 0.5, 1} {
		Slerp(dst, a, b, u)
		mean, variance := moments(dst)
		if math.Abs(mean) > 0.05 || math.Abs(variance-1) > 0.05 {
			t.Errorf("at %g: mean %g, variance %g", u, mean, variance)
		}
		if u == 0 && !slices.Equal(dst, a) || u == 1 && !slices.Equal(dst, b) {
			t.Errorf("at %g it is not the end", u)
		}
	}
	Slerp(dst, a, a, 0.3)
	for i := range a {
		if math.Abs(float64(dst[i]-a[i])) > 1e-6 {
			t.Fatalf("between a noise and itself: %g, not %g", dst[i], a[i])
		}
	}
	zero := make([]float32, 3)
	Slerp(zero, zero, zero, 0.5)
	if !slices.Equal(zero, []float32{0, 0, 0}) {
		t.Errorf("between nothing and nothing: %v", zero)
	}
}

// Strength keeps the end of the way, whatever the sampler, and Level says where it begins.
func TestStrength(t *testing.T) {
	sch := linearSchedule(t, 1000)
	for _, name := range SamplerNames() {
		for _, spacing := range []Spacing{Leading, Trailing, Linspace, Karras} {
			whole, err := NewSampler(name, sch, SamplerOptions{Steps: 20, Spacing: spacing})
			if err != nil {
				t.Fatal(err)
			}
			for _, strength := range []float64{0.01, 0.3, 1} {
				s, err := NewSampler(name, sch, SamplerOptions{Steps: 20, Spacing: spacing, Strength: strength})
				if err != nil {
					t.Fatal(err)
				}
				// Heun's first evaluation of a level is its predictor, its second the one before's corrector.
				got, all := slices.Compact(slices.Clone(s.Timesteps())), slices.Compact(slices.Clone(whole.Timesteps()))
				keep := max(1, int(math.Round(strength*float64(len(all)))))
				if !slices.Equal(got, all[len(all)-keep:]) {
					t.Errorf("%s %s at %g: timesteps %v of %v", name, spacing, strength, got, all)
				}
				n, m := len(s.Timesteps()), len(whole.Timesteps())
				if s.Level(n) != whole.Level(m) || s.Level(0) != whole.Level(m-n) && name != "heun" || s.Level(0) < whole.Level(0) {
					t.Errorf("%s %s at %g: levels %g to %g of %g to %g", name, spacing, strength, s.Level(0), s.Level(n), whole.Level(0), whole.Level(m))
				}
			}
		}
	}
}
