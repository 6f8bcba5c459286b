package lab

import (
	"context"
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// Under the best predictor there is the bound of independent normal pixels is their entropy, whatever the number of steps: pixels that
// do not depend on each other can be decided at once.
func TestBoundOfAnOracle(t *testing.T) {
	const side, mu, dev, images = 8, 0.1, 0.25, 40
	s, err := ddpm.NewSchedule(ddpm.ScheduleConfig{Kind: ddpm.Cosine, T: 200})
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{Task: &Task{Head: Noise}, Side: side, C: 1, Batch: 16, Schedule: s}
	n.Forward = func(_ context.Context, x []float32, ts []int, out []float32) error {
		per := side * side
		for i := range out {
			tt := ts[i/per]
			a, b := s.SqrtAlphasCumprod[tt], s.SqrtOneMinusAlphasCumprod[tt]
			out[i] = float32(b * (float64(x[4*i]) - a*mu) / (a*a*dev*dev + b*b))
		}
		return nil
	}
	draw := func(seed uint64) []byte {
		z := make([]float32, images*side*side)
		rng.Normals(z, seed, rng.StreamNoise, 0, 0)
		p := make([]byte, len(z))
		for i, v := range z {
			p[i] = byte(min(max(math.Round((mu+dev*float64(v)+1)*127.5), 0), 255))
		}
		return p
	}
	entropy := math.Log2(dev*math.Sqrt(2*math.Pi*math.E)) - math.Log2(2.0/255)
	for _, steps := range []int{2, 10, 50, 200} {
		b, err := n.Bound(context.Background(), draw(1), draw(2), steps, 3, nil)
		if err != nil {
			t.Fatal(err)
		}
		st := StatOf(b.Bits)
		t.Logf("%d steps: %.3f ± %.3f bits, the entropy is %.3f", steps, st.Mean, st.SE, entropy)
		if math.Abs(st.Mean-entropy) > 4*st.SE || st.SE > 0.1 {
			t.Errorf("%d steps: %v bits, the entropy is %v", steps, st, entropy)
		}
	}
}
