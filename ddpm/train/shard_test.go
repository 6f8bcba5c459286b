package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// ranks runs f as every rank of a job of so many, each a goroutine with a backend of its own, and returns their errors.
func ranks(t *testing.T, n int, f func(b backend.Backend, comm dist.Comm) error) []error {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for r, comm := range dist.Threads(n) {
		b := processor(t, "", 1)
		all.Go(func() {
			if errs[r] = f(b, comm); errs[r] != nil {
				comm.Fail(errs[r])
			}
		})
	}
	all.Wait()
	return errs
}

// shared trains so many steps on n ranks and returns each rank's state, and what rank 0 reported.
func shared(t *testing.T, n int, c *Config, images, count int) (states []State, results []Result) {
	t.Helper()
	states = make([]State, n)
	var mu sync.Mutex
	errs := ranks(t, n, func(b backend.Backend, comm dist.Comm) error {
		s, err := NewStep(b, c, pictures(images), images, comm)
		if err != nil {
			return err
		}
		defer s.Close()
		for range count {
			r, err := s.Run(context.Background())
			if err != nil {
				return err
			}
			if comm.Rank() == 0 {
				keep := *r
				keep.SampleLoss, keep.T = slices.Clone(r.SampleLoss), slices.Clone(r.T)
				results = append(results, keep)
			}
		}
		st, err := s.Snapshot()
		mu.Lock()
		defer mu.Unlock()
		states[comm.Rank()] = st
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return states, results
}

// relative is the largest difference of two losses beside the loss.
func relative(got, want []Result) float64 {
	d := 0.0
	for i := range want {
		d = max(d, math.Abs(got[i].Loss/want[i].Loss-1))
	}
	return d
}

// However many ranks share a batch, and however unevenly, the losses are the same over 50 steps, and all ranks have the same
// weights to the last bit.
func TestRanksTrainAlike(t *testing.T) {
	c := smallConfig()
	c.Batch, c.Flip = 32, true
	trainAlike(t, c, 50, 2, 3, 4)
}

// The same with what else a step can have in it.
func TestRanksTrainAlikeWithAids(t *testing.T) {
	c := smallConfig()
	c.Batch, c.Flip, c.Crop, c.Accumulate, c.MinSNR, c.UNet.Dropout, c.EMA.Lengths = 15, true, 1, 3, 5, 0.1, []float64{0.1}
	trainAlike(t, c, 12, 2, 4)
}

func trainAlike(t *testing.T, c *Config, count int, sizes ...int) {
	const images = 41
	s := newStep(t, processor(t, "", 2), c, pictures(images), images)
	alone := steps(t, s, count)
	for _, n := range sizes {
		t.Run(fmt.Sprintf("%d ranks", n), func(t *testing.T) {
			states, results := shared(t, n, c, images, count)
			d := relative(results, alone)
			t.Logf("largest relative difference of a loss %.2g", d)
			if !(d <= 1e-4) {
				t.Errorf("largest relative difference of a loss %g, want at most 1e-4", d)
			}
			for r := range states {
				sameState(t, fmt.Sprintf("rank %d beside rank 0", r), states[r], states[0])
			}
			for k := range alone {
				if !slices.Equal(results[k].T, alone[k].T) {
					t.Fatalf("step %d has other timesteps: %v, want %v", k, results[k].T, alone[k].T)
				}
				for i, l := range alone[k].SampleLoss {
					if math.Abs(float64(results[k].SampleLoss[i]/l-1)) > 1e-3 {
						t.Fatalf("step %d, sample %d: loss %v, want %v", k, i, results[k].SampleLoss[i], l)
					}
				}
			}
		})
	}
}

// A batch without an image for every rank is refused.
func TestMoreRanksThanImages(t *testing.T) {
	c := smallConfig()
	c.Batch = 2
	if _, err := newShard(c, dist.Threads(3)[0]); err == nil {
		t.Error("a batch of 2 for 3 ranks was taken")
	}
}

// The buckets are the whole gradient, in order, each behind the node that finishes the last of it.
func TestBuckets(t *testing.T) {
	c := smallConfig()
	params, err := nn.UNetParams(c.UNet)
	if err != nil {
		t.Fatal(err)
	}
	g, err := buildStep(c, params, 7, c.Batch)
	if err != nil {
		t.Fatal(err)
	}
	place := map[any]int{}
	for i, n := range g.Nodes {
		place[n] = i
	}
	for _, bytes := range []int{1, 2000, 10000, 1 << 30} {
		list := buckets(g, params, bytes)
		at, before := 0, -1
		for _, b := range list {
			if b.From != at || b.To <= b.From {
				t.Fatalf("%d bytes: bucket %d to %d, the one before ended at %d", bytes, b.From, b.To, at)
			}
			at = b.To
			here := place[b.after]
			if here <= before {
				t.Errorf("%d bytes: the bucket from %d is cut at node %d, the one before it at %d", bytes, b.From, here, before)
			}
			before = here
			for i, n := range g.Nodes {
				for _, v := range n.Out {
					if v.Store != nil && v.Store.Buffer == bufGrads && v.Store.Offset/4 >= b.From && v.Store.Offset/4 < b.To && i > here {
						t.Errorf("%d bytes: the bucket from %d is cut at node %d, node %d still writes into it", bytes, b.From, here, i)
					}
				}
			}
		}
		if at != params.Elems() {
			t.Errorf("%d bytes: the buckets end at %d of %d", bytes, at, params.Elems())
		}
		t.Logf("%d bytes: %d buckets", bytes, len(list))
		if bytes == 2000 && len(list) < 4 || bytes == 1<<30 && len(list) != 1 {
			t.Errorf("%d bytes: %d buckets", bytes, len(list))
		}
	}
}

// The step of a whole network can be cut behind every bucket, however small, whatever the plan moves, makes again or does at once.
func TestBucketsCut(t *testing.T) {
	b := processor(t, "", 1)
	c, err := PresetConfig(DefaultPreset)
	if err != nil {
		t.Fatal(err)
	}
	params, err := nn.UNetParams(c.UNet)
	if err != nil {
		t.Fatal(err)
	}
	g, err := buildStep(&c, params, 64, c.Batch)
	if err != nil {
		t.Fatal(err)
	}
	var cuts []*graph.Node
	for _, bucket := range buckets(g, params, 1) {
		cuts = append(cuts, bucket.after)
	}
	memory := model.NewMemory(b)
	p, _, err := memory.PlanLending("train", bufGrads, g, cuts...)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Segments) != len(cuts)+1 || len(cuts) < 20 {
		t.Errorf("%d segments of %d cuts", len(p.Segments), len(cuts))
	}
}

// A loss that is not finite on one rank changes no weights on any.
func TestOneRanksBadLoss(t *testing.T) {
	const images = 7
	c := smallConfig()
	c.Batch = 4
	var mu sync.Mutex
	var firsts []*BadValue
	errs := ranks(t, 2, func(b backend.Backend, comm dist.Comm) error {
		s, err := NewStep(b, c, pictures(images), images, comm)
		if err != nil {
			return err
		}
		defer s.Close()
		before, err := s.Snapshot()
		if err != nil {
			return err
		}
		if comm.Rank() == 1 { // only its own images are poisoned
			if err := s.poison(); err != nil {
				return err
			}
		}
		r, err := s.Run(context.Background())
		if err != nil {
			return err
		}
		if !r.Bad() {
			return fmt.Errorf("rank %d: loss %v, norm %v", comm.Rank(), r.Loss, r.GradNorm)
		}
		after, err := s.Snapshot()
		if err != nil {
			return err
		}
		if firstDifferent(after.Params, before.Params) >= 0 {
			return fmt.Errorf("rank %d: the weights changed", comm.Rank())
		}
		if err := s.setDone(0); err != nil {
			return err
		}
		first, err := s.FirstBad()
		mu.Lock()
		defer mu.Unlock()
		if comm.Rank() == 1 {
			firsts = append(firsts, first)
		} else if first != nil {
			return fmt.Errorf("rank 0 found %+v", first)
		}
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if len(firsts) != 1 || firsts[0] == nil {
		t.Errorf("rank 1 found %v", firsts)
	}
}

// A rank that cannot go on ends the others.
func TestRankFails(t *testing.T) {
	const images = 7
	c := smallConfig()
	errs := ranks(t, 3, func(b backend.Backend, comm dist.Comm) error {
		s, err := NewStep(b, c, pictures(images), images, comm)
		if err != nil {
			return err
		}
		defer s.Close()
		for k := range 5 {
			if k == 2 && comm.Rank() == 1 {
				return errors.New("the device is gone")
			}
			if _, err := s.Run(context.Background()); err != nil {
				return err
			}
		}
		return nil
	})
	for r, err := range errs {
		var no *dist.RankError
		if r != 1 && (!errors.As(err, &no) || no.Rank != 1) {
			t.Errorf("rank %d: %v", r, err)
		}
	}
}

// poison makes the noise table of this rank's step NaN, and so all of its x_t.
func (s *Step) poison() error {
	bad := make([]float32, 2*s.Config.Schedule.T)
	for i := range bad {
		bad[i] = float32(math.NaN())
	}
	return model.Write(s.Memory, bufTables, 0, bad)
}
