package metrics

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
)

// The autoencoder learns, gives the same features after a stop as without one, and tells smooth pictures from noise.
func TestOwnFeatures(t *testing.T) {
	autoSteps = 2 * autoPart
	defer func() { autoSteps = 600 }()
	b, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	training := noise(rand.New(rand.NewPCG(1, 5)), 64, 8, 3, true)
	features := func(w *Work, ctx context.Context) ([]float64, error) {
		f, err := OwnFeatures(ctx, b, w, training)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if f.Standard || f.Name != AutoencoderName {
			t.Errorf("it calls itself %q", f.Name)
		}
		c, err := Extract(ctx, w, f, training.First(40), "pictures")
		if c.N != 40 || c.D != f.D {
			t.Errorf("%d features of %d pictures", c.D, c.N)
		}
		return c.V, err
	}
	want, err := features(&Work{}, context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w := &Work{Dir: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	w.OnProgress = func(p Progress) {
		if p.Done > 1.2 { // in the middle of the second half
			cancel()
		}
	}
	if _, err := features(w, ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	w.OnProgress = nil
	got, err := features(w, context.Background())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the features are others after a stop (%v)", err)
	}
	f, err := OwnFeatures(context.Background(), b, w, training)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	distance := func(m Images) float64 {
		var c [2]Cloud
		for i, m := range []Images{training, m} {
			if c[i], err = Extract(context.Background(), &Work{}, f, m, ""); err != nil {
				t.Fatal(err)
			}
		}
		d, err := Frechet(t.Context(), &Work{}, c[0], c[1])
		if err != nil {
			t.Fatal(err)
		}
		return d.Value
	}
	r := rand.New(rand.NewPCG(6, 5))
	if alike, other := distance(noise(r, 64, 8, 3, true)), distance(noise(r, 64, 8, 3, false)); !(other > 2*alike) {
		t.Errorf("smooth pictures are at %v, noise at %v", alike, other)
	}
}
