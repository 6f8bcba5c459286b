package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// How ranks train together. Rank 0 is the Trainer: it has the run folder, and says before each step whether there is one. The others
// Follow: they load the same images, compute their part of each step, and hold the same weights to the last bit, which nobody ever
// sees. Every place where a rank can fail before the first step ends in an agreement, so that nobody waits for one that is gone.

// The words of rank 0 before a step.
const (
	wordStep = 1
	wordStop = 2
)

// team is the ranks of a run, of which one alone is the simplest case.
type team struct {
	dist.Comm
	figures // of rank 0
}

// sameImages makes sure that all ranks have the same images, to the last byte.
func (t team) sameImages(set *data.Set) error {
	if t.Size() == 1 {
		return nil
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	classes := fmt.Sprintf("%q of %v", set.Classes, set.Labels)
	return dist.Same(t, []dist.Fact{
		{Name: "a number of images of", Value: fmt.Sprint(set.N)},
		{Name: "pixels with the checksum", Value: fmt.Sprintf("%08x", crc32.Checksum(set.Pixels, table))},
		{Name: "classes with the checksum", Value: fmt.Sprintf("%08x", crc32.Checksum([]byte(classes), table))},
	})
}

// muster tells what each rank has, at rank 0, and agrees on whether all can begin: err is why this one cannot.
func (t team) muster(b backend.Info, s *Step, err error) ([]run.Rank, error) {
	if t.Size() == 1 {
		return nil, err
	}
	host, pid := dist.Here()
	r := run.Rank{Host: host, PID: pid, Device: device(b), FreeBytes: b.Memory}
	var no *model.NoMemoryError
	switch {
	case s != nil:
		r.Images, r.PlanBytes = s.n*s.Config.micro(), s.Bytes
	case errors.As(err, &no):
		r.PlanBytes, r.FreeBytes, r.Short = no.Need, no.Free, true
	}
	ranks, broken := dist.GatherJSON(t, r)
	if broken != nil {
		return nil, broken
	}
	if t.Rank() == 0 {
		err = shortOfMemory(ranks, err)
	} else if errors.As(err, &no) {
		err = nil // rank 0 says it
	}
	return ranks, dist.Agree(t, err)
}

// shortOfMemory says which ranks have too little memory, and what all of them have; err is rank 0's own.
func shortOfMemory(ranks []run.Rank, err error) error {
	var short, all []string
	for i, r := range ranks {
		if r.Short {
			short = append(short, dist.Who(i, r.Host))
		}
		if i < 16 || r.Short {
			all = append(all, fmt.Sprintf("rank %d needs %s of %s free", i, model.Bytes(r.PlanBytes), model.Bytes(r.FreeBytes)))
		}
	}
	if short == nil {
		return err
	}
	return &ranksShortError{fmt.Sprintf("not enough memory on %s: %s: a smaller --batch, or more ranks, make each rank's part smaller", strings.Join(short, ", "), strings.Join(all, ", "))}
}

// A ranksShortError says that some ranks have too little memory.
type ranksShortError struct{ text string }

func (e *ranksShortError) Error() string { return e.text }

// Fault implements what run.FaultOf looks for.
func (e *ranksShortError) Fault() *run.Fault { return &run.FaultMemory }

// spread gives rank 0's state to all ranks: a checkpoint's, or that of weights that a new run begins with.
func (t team) spread(s *Step) error {
	done := s.Done
	if err := dist.Tell(t, &done); err != nil || t.Size() == 1 {
		return err
	}
	names := []string{bufParams, bufEMA, bufM, bufV}
	for i := range s.Config.EMA.Lengths {
		names = append(names, averageBuffer(i))
	}
	v := make([]float32, s.Params.Elems())
	for _, name := range names {
		err := model.Read(s.Memory, name, 0, v)
		if err == nil {
			err = t.Broadcast(0, model.BytesOf(v))
		}
		if err == nil && t.Rank() != 0 {
			err = model.Write(s.Memory, name, 0, v)
		}
		if err != nil {
			return err
		}
	}
	scaling := s.scaling
	if err := dist.Tell(t, &scaling); err != nil {
		return err
	}
	if err := s.setDone(done); err != nil || !s.Config.scaled() {
		return err
	}
	return s.setScaling(scaling)
}

// begin says at rank 0 that there is a step, or that there is none any more. With it go the hyper-parameters, which edits change.
func (t team) begin(s *Step, word float32) error {
	if t.Size() == 1 {
		return nil
	}
	return t.Broadcast(0, model.BytesOf(append(s.Config.hyper(), word)))
}

// next waits for rank 0's word, and takes the hyper-parameters if they are new.
func (t team) next(s *Step, hyper []float32) (word float32, now []float32, err error) {
	p := make([]float32, backend.HypWords+1)
	if err := t.Broadcast(0, model.BytesOf(p)); err != nil {
		return 0, nil, err
	}
	word, now = p[backend.HypWords], p[:backend.HypWords]
	if !slices.Equal(now, hyper) {
		err = model.Write(s.Memory, bufHyper, 0, now)
	}
	return word, now, err
}

// badOnRank asks all ranks where their parts of a step went wrong, and returns the first of them, at rank 0.
func (t team) badOnRank(first *BadValue) (*BadValue, int, error) {
	if t.Size() == 1 {
		return first, 0, nil
	}
	type found struct {
		BadValue
		Value string // JSON has no number for it
		Any   bool
	}
	var f found
	if first != nil {
		f = found{*first, fmt.Sprint(first.Value), true}
	}
	all, err := dist.GatherJSON(t, f)
	for r, f := range all {
		if f.Any {
			f.BadValue.Value, _ = strconv.ParseFloat(f.Value, 64) // as it was printed
			return &f.BadValue, r, err
		}
	}
	return nil, 0, err
}

// Follow is what every rank but the first does of a run: its part of each step, until rank 0 says that it is over. An error that all
// ranks know of is a *dist.AgreedError. Of the options Comm counts, and Set.
func Follow(ctx context.Context, b backend.Backend, c *Config, o Options) error {
	t := team{Comm: o.Comm}
	set, n := o.Set, 0
	var err error
	if set == nil {
		set, err = data.Load(ctx, c.Data, data.Options{Size: c.UNet.SampleSize, Channels: c.Channels()})
	}
	if err == nil {
		err = c.takeClasses(set)
	}
	var images metrics.Images
	if err == nil {
		images, _, err = c.Split(set)
	}
	if err == nil {
		n, err = c.images(images.N)
	}
	if err := dist.Agree(t, err); err != nil {
		return err
	}
	if err := t.sameImages(set); err != nil {
		return err
	}
	s, err := NewStep(b, c, images.Pixels[:n*images.Per()], n, t.Comm)
	if s != nil {
		defer func() { _ = s.Close() }() // its memory is this process's
		if err == nil {
			err = s.writeLabels(c.labels(set))
		}
	}
	if _, err := t.muster(b.Info(), s, err); err != nil {
		return err
	}
	if err := dist.Agree(t, nil); err != nil { // rank 0 has loaded its checkpoint
		return err
	}
	if err := t.spread(s); err != nil {
		return err
	}
	var hyper []float32
	for s.Done < c.Steps {
		var word float32
		if word, hyper, err = t.next(s, hyper); err != nil || word == wordStop {
			return err
		}
		s.AskStop = ctx.Err() != nil
		r, err := s.Run(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		bad := NotFiniteError{Step: s.Done, Loss: r.Loss, GradNorm: r.GradNorm}
		switch {
		case !r.Bad() || c.scaled() && s.scaling.Scale >= leastScale:
		case c.scaled():
			first, _ := s.replay(r) // rank 0 says if it cannot be found
			_, _, err := t.badOnRank(first)
			return errors.Join(err, &dist.AgreedError{Err: &OverflowError{NotFiniteError: bad, Scale: r.Scale}})
		default:
			if err := s.setDone(s.Done - 1); err != nil {
				return err
			}
			first, _ := s.FirstBad()
			_, _, err := t.badOnRank(first)
			return errors.Join(err, &dist.AgreedError{Err: &bad})
		}
	}
	return nil
}

// figures are the means of what the ranks reported since they were last taken.
type figures struct {
	steps int
	sums  []rankWork // of each rank
	share float64    // of rank 0, of the last step
}

// rankWork is one rank's report of a step.
type rankWork struct{ step, computed, waited, summing float64 } // seconds

// What each rank reports of the step before, in floats.
const rankFloats = 5

// report is this rank's floats, for all ranks, with the gradient norm.
func (w *Work) report(to []float32, norm float32) {
	to[0], to[1], to[2], to[4] = float32(w.Step.Seconds()), float32(w.computed().Seconds()), float32(w.Waited.Seconds()), norm
	for _, s := range w.Sums {
		to[3] += float32((s.To - s.From).Seconds())
	}
}

// traceStep is the step whose trace is written: the first ones are not like the others.
const traceStep = 10

// trace is where the time of the step went, as Chrome's trace events, which Perfetto shows too: what was computed, and what was summed
// meanwhile.
func (w *Work) trace() ([]byte, error) {
	type event struct {
		Name  string  `json:"name"`
		Phase string  `json:"ph"`
		TS    float64 `json:"ts"` // microseconds
		Dur   float64 `json:"dur"`
		PID   int     `json:"pid"`
		TID   int     `json:"tid"`
	}
	var list []event
	add := func(tid int, name string, spans []Span) {
		for i, s := range spans {
			list = append(list, event{fmt.Sprintf("%s %d", name, i), "X", float64(s.From.Nanoseconds()) / 1e3, float64((s.To - s.From).Nanoseconds()) / 1e3, 0, tid})
		}
	}
	add(0, "segment", w.Segments)
	add(1, "sum", w.Sums)
	return json.Marshal(list)
}

func (w *Work) computed() time.Duration {
	var d time.Duration
	for _, s := range w.Segments {
		d += s.To - s.From
	}
	return d
}

// A DivergedError says that a rank has other weights than it should: it computed another norm of the same gradients.
type DivergedError struct {
	Step      int64
	Rank      int
	Norm, Was float64
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("step %d: rank %d has gradient norm %v, rank 0 has %v: its device computes wrong results, or its memory is broken: the job cannot go on without it", e.Step, e.Rank, e.Norm, e.Was)
}

// Fault implements what run.FaultOf looks for.
func (e *DivergedError) Fault() *run.Fault { return &run.FaultRank }

// diverged looks at the norms that the ranks found of the same gradients in the step before.
func diverged(step int64, reports []float32) error {
	first := float64(reports[4])
	for r := 0; r < len(reports)/rankFloats; r++ {
		if norm := float64(reports[rankFloats*r+4]); math.Abs(norm-first) > 1e-3*math.Abs(first) || math.IsNaN(norm) != math.IsNaN(first) || math.IsInf(norm, 0) != math.IsInf(first, 0) {
			return &dist.AgreedError{Err: &DivergedError{Step: step, Rank: r, Norm: norm, Was: first}}
		}
	}
	return nil
}

// add takes what the ranks reported.
func (f *figures) add(reports []float32) {
	if f.sums == nil {
		f.sums = make([]rankWork, len(reports)/rankFloats)
	}
	if reports[0] == 0 { // the first step has none before it
		return
	}
	f.steps++
	for r := range f.sums {
		v := reports[rankFloats*r:]
		s := &f.sums[r]
		s.step, s.computed, s.waited, s.summing = s.step+float64(v[0]), s.computed+float64(v[1]), s.waited+float64(v[2]), s.summing+float64(v[3])
	}
	f.share = float64(reports[2] / reports[0])
}

// take returns the ranks' figures since the last time, nil if there are none; images are those of each rank's part of a batch.
func (f *figures) take(images func(rank int) int) []run.RankWork {
	if f.steps == 0 {
		return nil
	}
	list := make([]run.RankWork, len(f.sums))
	for r, s := range f.sums {
		list[r] = run.RankWork{
			ImagesPerS: run.Float(float64(images(r)*f.steps) / s.computed), CommShare: run.Float(s.waited / s.step), Hidden: run.Float(max(0, 1-s.waited/s.summing)),
		}
		if s.summing == 0 {
			list[r].Hidden = 0
		}
	}
	*f = figures{share: f.share}
	return list
}
