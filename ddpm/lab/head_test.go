package lab

import (
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// some are parameters of a head: normals of a deviation.
func some(t *Task, seed uint64, dev float32) []float32 {
	p := make([]float32, t.Likelihood().Params())
	rng.Normals(p, seed, rng.StreamNoise, 0, 0)
	for i := range p {
		p[i] *= dev
	}
	return p
}

// A head's distribution sums to one, costs what Bits says, and is what Draw, Greedy and Mean go by.
func TestHeads(t *testing.T) {
	for _, task := range []*Task{{Head: Mixture, Components: 5}, {Head: Categorical}} {
		p := some(task, 4, 1.5)
		prob := task.Distribution(p)
		sum, mean, best := 0.0, 0.0, 0
		for b, v := range prob {
			sum += v
			mean += v * (float64(b)/127.5 - 1)
			if v > prob[best] {
				best = b
			}
			q := float32(b)/127.5 - 1
			if bits := task.Bits(p, q); math.Abs(bits+math.Log2(v)) > 1e-4 {
				t.Errorf("%s: level %d costs %v bits, its probability is %v", task.Head, b, bits, v)
			}
		}
		if math.Abs(sum-1) > 1e-6 {
			t.Errorf("%s: the probabilities add to %v", task.Head, sum)
		}
		if got := task.Mean(p); math.Abs(float64(got)-mean) > 1e-5 {
			t.Errorf("%s: mean %v, want %v", task.Head, got, mean)
		}
		if got := task.Greedy(p); got != float32(best)/127.5-1 {
			t.Errorf("%s: greedy %v, want level %d", task.Head, got, best)
		}
		// Drawn at equally spaced u, the levels' frequencies are their probabilities.
		const n = 2000
		count := make([]float64, 256)
		for i := range n {
			v := task.Draw(p, (float64(i)+0.5)/n)
			count[int(math.Round((float64(v)+1)*127.5))]++
		}
		for b := range count {
			if math.Abs(count[b]/n-prob[b]) > 1.01/n {
				t.Errorf("%s: level %d is drawn with frequency %v, want %v", task.Head, b, count[b]/n, prob[b])
			}
		}
	}
}

// Every mask hides what it says, from little to everything, and many know a pixel in part.
func TestBank(t *testing.T) {
	const n, side, C = 256, 8, 3
	b := NewBank(n, side, C, 5)
	per := side * side * C
	halves := 0
	for j := range n {
		hidden := 0
		for p := range side * side {
			known := 0
			for c := range C {
				switch b.Masks[j*per+p*C+c] {
				case 0:
					hidden++
				case 255:
					known++
				default:
					t.Fatalf("mask %d holds %d", j, b.Masks[j*per+p*C+c])
				}
			}
			if known > 0 && known < C {
				halves++
			}
		}
		if hidden != b.Hidden[j] || hidden < 1 || j > 0 && hidden < b.Hidden[j-1] {
			t.Errorf("mask %d hides %d values, it says %d", j, hidden, b.Hidden[j])
		}
	}
	if b.Hidden[n-1] != per || halves < n {
		t.Errorf("the last mask hides %d of %d, and %d pixels are known in part", b.Hidden[n-1], per, halves)
	}
	if one := NewBank(1, side, C, 5); one.Hidden[0] != per {
		t.Errorf("the only mask hides %d of %d", one.Hidden[0], per)
	}
}
