package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// A shard is one rank's part of a training step: samples first to first+n of every micro-batch. What is random is keyed by the sample's
// place in the whole batch, the loss is the mean over the whole batch, and the gradients are summed over the ranks before the
// optimizer sees them: so the weights are those of one process with the whole batch, but for the order in which sums are added.
//
// The gradients go out in buckets, contiguous parts of the flat buffer, each as soon as the backward pass has finished it, while
// the rest of the pass goes on. To act in between, the step's program is cut into segments.
type shard struct {
	comm     dist.Comm
	first, n int
	buckets  []bucket
	parts    []backend.Executable // one a bucket, the last one the optimizer; nil for one process alone
	grads    []float32            // the gradients on the host
	mapped   bool                 // they are the device's own
	sums     []float32            // what is summed besides; see the constants
	AskStop  bool                 // tell all ranks, with the next step, that this one was asked to stop
	Work     Work                 // of the last step
}

// What a step sums over the ranks besides the gradients, in floats. Behind it come each sample's loss, its timestep, and what each rank
// reports of the step before (see team.go).
const (
	sumLoss = iota
	sumStop // how many ranks were asked to stop
	sumSamples
)

// A bucket is a part of the flat gradient that is summed at once: floats from From up to To.
type bucket struct {
	From, To int
	after    *graph.Node // with it the bucket is finished
}

// Work is where the time of a shared step went.
type Work struct {
	Step     time.Duration
	Segments []Span // computing
	Sums     []Span // the all-reduces; the first one is that of the loss
	Waited   time.Duration
}

// A Span is a stretch of time, from the begin of the step.
type Span struct{ From, To time.Duration }

// Buckets are 1/8 of the gradients each, within limits: below the least an all-reduce is all latency, and beyond the most the last
// one, which nothing is left to hide, takes too long.
const (
	bucketLeast = 256 << 10 // bytes
	bucketMost  = 16 << 20
)

// newShard is this rank's part of the batches of c.
func newShard(c *Config, comm dist.Comm) (shard, error) {
	micro := c.Batch / c.micro()
	if micro < comm.Size() {
		return shard{}, fmt.Errorf("a batch of %d in %d parts has no image for each of %d ranks: use fewer ranks or a larger --batch", c.Batch, c.micro(), comm.Size())
	}
	begin, end := dist.Share(micro, comm.Rank(), comm.Size())
	return shard{comm: comm, first: begin, n: end - begin}, nil
}

// imagesOf is how many images of a whole batch a rank computes.
func (s *Step) imagesOf(rank int) int {
	K := s.Config.micro()
	begin, end := dist.Share(s.Config.Batch/K, rank, s.comm.Size())
	return (end - begin) * K
}

// weight is what the mean over this shard counts in that over the whole micro-batch.
func (s *Step) weight() float32 {
	return float32(float64(s.n*s.Config.micro()) / float64(s.Config.Batch))
}

// cuts decides the buckets and returns the nodes after which the step's program is cut; none for one process alone.
func (s *shard) cuts(g *graph.Graph, params *nn.Params) []*graph.Node {
	if s.comm.Size() == 1 {
		return nil
	}
	s.buckets = buckets(g, params, min(max(4*params.Elems()/8, bucketLeast), bucketMost))
	var cuts []*graph.Node
	for _, b := range s.buckets {
		cuts = append(cuts, b.after)
	}
	return cuts
}

// buckets cuts the flat gradients of g into parts of so many bytes or a little more, each with the node that finishes it.
func buckets(g *graph.Graph, params *nn.Params, bytes int) []bucket {
	made := map[int]int{} // where a gradient lies: the node that makes it
	for i, n := range g.Nodes {
		for _, v := range n.Out {
			if v.Store != nil && v.Store.Buffer == bufGrads {
				made[v.Store.Offset/4] = i
			}
		}
	}
	var list []bucket
	from, last := 0, 0
	ps := params.List()
	for i, p := range ps {
		to := params.Elems()
		if i+1 < len(ps) {
			to = ps[i+1].Offset
		}
		last = max(last, made[p.Offset])
		if 4*(to-from) < bytes && i+1 < len(ps) {
			continue
		}
		// A bucket that is finished no later than the one before is part of that one.
		if k := len(list) - 1; k >= 0 && list[k].after == g.Nodes[last] {
			list[k].To = to
		} else {
			list = append(list, bucket{from, to, g.Nodes[last]})
		}
		from = to
	}
	return list
}

// bind takes the compiled program, a segment each.
func (s *Step) bind(es []backend.Executable) {
	s.metrics = make([]float32, metSamples+2*s.n*s.Config.micro())
	if len(es) == 1 {
		s.exec = es[0]
		return
	}
	s.parts = es
	s.sums = make([]float32, sumSamples+2*s.Config.Batch+rankFloats*s.comm.Size())
	if s.grads = s.Memory.Map(bufGrads); s.grads != nil {
		s.mapped = true
	} else {
		s.grads = make([]float32, s.Params.Elems())
	}
}

// inspected are the parts of the step that FirstBad looks at: without the optimizer where that is apart, for without the other
// ranks' gradients it must not run.
func (s *Step) inspected() []backend.Executable {
	if s.parts == nil {
		return []backend.Executable{s.exec}
	}
	return s.parts[:len(s.parts)-1]
}

// runShared does one training step together with the other ranks.
func (s *Step) runShared(ctx context.Context) (*Result, error) {
	start := time.Now()
	w := Work{}
	run := func(i int) error {
		from := time.Since(start)
		err := s.parts[i].Run(ctx, 1)
		w.Segments = append(w.Segments, Span{from, time.Since(start)})
		return err
	}
	var pending []dist.Pending
	for i, b := range s.buckets {
		if err := run(i); err != nil {
			return nil, err
		}
		if i == 0 { // the forward pass is done, and the loss known
			if err := s.gatherSamples(); err != nil {
				return nil, err
			}
			pending = append(pending, s.comm.AllReduce(s.sums))
		}
		grads := s.grads[b.From:b.To]
		if !s.mapped {
			if err := model.Read(s.Memory, bufGrads, 4*b.From, grads); err != nil {
				return nil, err
			}
		}
		pending = append(pending, s.comm.AllReduce(grads))
	}
	for _, p := range pending {
		from := time.Now()
		if err := p.Wait(); err != nil {
			return nil, err
		}
		w.Waited += time.Since(from)
		begin, end := p.Span()
		w.Sums = append(w.Sums, Span{begin.Sub(start), end.Sub(start)})
	}
	if !s.mapped {
		if err := model.Write(s.Memory, bufGrads, 0, s.grads); err != nil {
			return nil, err
		}
	}
	// The optimizer looks at the loss too, and must see the same on all ranks.
	if err := model.Write(s.Memory, bufMetrics, 4*metLoss, s.sums[sumLoss:sumLoss+1]); err != nil {
		return nil, err
	}
	if err := run(len(s.buckets)); err != nil {
		return nil, err
	}
	s.Done++
	if err := model.Read(s.Memory, bufMetrics, 0, s.metrics); err != nil {
		return nil, err
	}
	w.Step = time.Since(start)
	s.Work = w
	r := s.result()
	B := s.Config.Batch
	r.SampleLoss, r.Stop = s.sums[sumSamples:sumSamples+B], s.sums[sumStop] > 0
	r.T = make([]int, B)
	for i, t := range s.sums[sumSamples+B : sumSamples+2*B] {
		r.T[i] = int(t)
	}
	r.Reports = s.sums[sumSamples+2*B:]
	return r, diverged(s.Done-1, r.Reports)
}

// gatherSamples puts this shard's part of the loss and of what is known of each sample into the sums, and zeros for what others do.
func (s *Step) gatherSamples() error {
	if err := model.Read(s.Memory, bufMetrics, 0, s.metrics); err != nil {
		return err
	}
	clear(s.sums)
	s.sums[sumLoss] = s.weight() * s.metrics[metLoss]
	if s.AskStop {
		s.sums[sumStop] = 1
	}
	B, K := s.Config.Batch, s.Config.micro()
	s.Work.report(s.sums[sumSamples+2*B+rankFloats*s.comm.Rank():], s.metrics[metNorm])
	losses, ts := s.metrics[metSamples:metSamples+K*s.n], s.metrics[metSamples+K*s.n:]
	for i := range losses {
		at := sumSamples + i/s.n*(B/K) + s.first + i%s.n
		s.sums[at], s.sums[at+B] = losses[i], float32(math.Float32bits(ts[i]))
	}
	return nil
}
