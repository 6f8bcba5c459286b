package dist

import (
	"math"
	"testing"
)

// What the formulas say where one can do them in the head.
func TestAllReduceCost(t *testing.T) {
	n := Network{Latency: 1e-3, Bandwidth: 1e6}
	for _, c := range []struct {
		name      string
		algorithm Algorithm
		p         int
		want      float64
	}{
		{"ring of 2", Ring, 2, 2e-3 + 1}, {"ring of 4", Ring, 4, 6e-3 + 1.5}, {"tree of 4", Tree, 4, 4e-3 + 4}, {"tree of 5", Tree, 5, 6e-3 + 6}, {"halving of 4", Halving, 4, 4e-3 + 1.5},
	} {
		if got := c.algorithm(n, c.p, 1e6); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v s, want %v", c.name, got, c.want)
		}
	}
}

func TestStepCost(t *testing.T) {
	j := Job{Gradients: 1e6, Buckets: 4, PerImage: 0.3, Fixed: 0.1, AllReduce: Ring, Network: Network{Latency: 0, Bandwidth: 1e7}}
	if step, waiting := j.Step(1, 8); math.Abs(step-2.5) > 1e-12 || waiting != 0 {
		t.Errorf("alone: %v, waiting %v", step, waiting)
	}
	// Without overlap the whole sum, 0.1 s, comes behind the computing; with it only the last bucket does.
	if step, waiting := j.Step(2, 8); math.Abs(step-1.4) > 1e-12 || math.Abs(waiting-0.1) > 1e-12 {
		t.Errorf("two: %v, waiting %v", step, waiting)
	}
	j.WithOverlap = true
	if _, waiting := j.Step(2, 8); math.Abs(waiting-0.025) > 1e-12 {
		t.Errorf("two with overlap: waiting %v", waiting)
	}
	// A network that is too slow to hide: nothing is gained but the time of the backward pass until the first bucket is there.
	j.Network.Bandwidth = 1e5
	if _, waiting := j.Step(2, 8); math.Abs(waiting-(10-1.2*backward*0.75)) > 1e-9 {
		t.Errorf("two on a slow network: waiting %v", waiting)
	}
	if e := j.Efficiency(1, 8, false); math.Abs(e-1) > 1e-12 {
		t.Errorf("one rank has efficiency %v", e)
	}
	if fixed, each := j.Efficiency(64, 64, false), j.Efficiency(64, 64, true); !(fixed < each && each < 1) {
		t.Errorf("efficiency %v with 64 images in all, %v with 64 each", fixed, each)
	}
}

func TestFitNetwork(t *testing.T) {
	n := Network{Latency: 2e-5, Bandwidth: 3e9}
	var bytes, seconds []float64
	for b := 1e3; b < 1e8; b *= 7 {
		bytes, seconds = append(bytes, b), append(seconds, Ring(n, 3, b))
	}
	got := FitNetwork(3, bytes, seconds)
	if math.Abs(got.Latency/n.Latency-1) > 1e-6 || math.Abs(got.Bandwidth/n.Bandwidth-1) > 1e-6 {
		t.Errorf("%+v, want %+v", got, n)
	}
}
