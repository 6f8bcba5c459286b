package train

import (
	"testing"
)

// The promise of the preset: the loss falls below 0.7 of its start within 200 steps, on the embedded avatars.
func TestTinyLearns(t *testing.T) {
	set := avatars(t)
	s := newStep(t, processor(t, "", 0), tinyConfig(t), set.Pixels, set.N)
	results := steps(t, s, 200)
	first, last := results[0].Loss, 0.0
	for k, r := range results {
		if r.Bad() {
			t.Fatalf("step %d: loss %v, gradient norm %v", k+1, r.Loss, r.GradNorm)
		}
		if k >= len(results)-20 {
			last += r.Loss / 20
		}
		if k%50 == 0 {
			t.Logf("step %d: loss %.3f, gradient norm %.3f, learning rate %.5f", k+1, r.Loss, r.GradNorm, r.LR)
		}
	}
	t.Logf("loss %.3f at the start, %.3f in the last 20 steps: %.2f of it", first, last, last/first)
	if !(last < 0.7*first) {
		t.Errorf("the loss fell from %g to %g only", first, last)
	}
}

// The number of workers changes nothing; the seed changes everything.
func TestSameSeedSameWeights(t *testing.T) {
	set := avatars(t)
	run := func(threads int, seed uint64) (State, []Result) {
		c := tinyConfig(t)
		c.Seed, c.Flip = seed, true
		s := newStep(t, processor(t, "", threads), c, set.Pixels, set.N)
		results := steps(t, s, 5)
		return snapshot(t, s), results
	}
	want, results := run(1, 42)
	for _, threads := range []int{1, 2, 3, 4} {
		got, again := run(threads, 42)
		sameState(t, "the same seed", got, want)
		for k := range again {
			if again[k].Loss != results[k].Loss || firstDifferent(again[k].SampleLoss, results[k].SampleLoss) >= 0 {
				t.Errorf("%d threads: the losses of step %d differ", threads, k+1)
			}
		}
	}
	other, _ := run(2, 43)
	if firstDifferent(other.Params, want.Params) < 0 || firstDifferent(other.M, want.M) < 0 {
		t.Error("another seed gave the same weights")
	}
}

// A run that was broken off and taken up again, with another number of workers, is the run that never stopped.
func TestRestoreGoesOn(t *testing.T) {
	set, c := avatars(t), tinyConfig(t)
	unbroken := newStep(t, processor(t, "", 2), c, set.Pixels, set.N)
	wantHalf := steps(t, unbroken, 4)
	half := snapshot(t, unbroken)
	want := steps(t, unbroken, 4)

	if half.Steps != 4 || wantHalf[3].Loss == want[0].Loss {
		t.Errorf("a snapshot after 4 steps says %d", half.Steps)
	}
	resumed := newStep(t, processor(t, "", 3), c, set.Pixels, set.N)
	restore(t, resumed, half)
	sameState(t, "a snapshot of what was restored", snapshot(t, resumed), half)
	for k, r := range steps(t, resumed, 4) {
		if r.Loss != want[k].Loss || r.GradNorm != want[k].GradNorm || r.LR != want[k].LR || r.EMADecay != want[k].EMADecay {
			t.Errorf("step %d is %+v, want %+v", k+5, r, want[k])
		}
	}
	got := snapshot(t, resumed)
	sameState(t, "after 8 steps, resumed at 4", got, snapshot(t, unbroken))
	if got.Steps != 8 {
		t.Errorf("%d steps done, want 8", got.Steps)
	}
	// The same device can go back, too.
	restore(t, unbroken, half)
	steps(t, unbroken, 4)
	sameState(t, "after going back", snapshot(t, unbroken), got)
}
