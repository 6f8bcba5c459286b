package train

import (
	"math"
	"slices"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

var nan = math.NaN()

// Buckets is how many ranges of timesteps the loss is followed in.
const Buckets = 20

// bucketsEvery is the number of steps between two events that carry the loss by timestep.
const bucketsEvery = 10

// meter is a running mean of the time a step takes, over about the last twenty.
type meter struct {
	mean float64
	n    int
}

// outlier is how many times the mean one step can count at most. A step during which the machine slept or the process was stopped
// may take hours: counted whole it would spoil rate and time left for hundreds of steps. Steps that have become slower for good
// still raise the mean by a third each, and so are believed after a few.
const outlier = 8

func (m *meter) add(d time.Duration) {
	s := d.Seconds()
	if m.n > 0 {
		s = min(s, outlier*m.mean)
	}
	m.n++
	m.mean += max(0.05, 1/float64(min(m.n, 20))) * (s - m.mean)
}

// seconds is the mean; steps that take no time at all count as a nanosecond.
func (m *meter) seconds() float64 { return max(m.mean, 1e-9) }

func (m *meter) reset() { *m = meter{} }

// meters are the running means of what steps report.
type meters struct {
	rate    meter
	lossEMA float64
	seen    int // steps in lossEMA
	buckets [Buckets]float64
	counts  [Buckets]int
}

// report turns a step's result into an event.
func (t *Trainer) report(r *Result, d time.Duration) {
	if !math.IsNaN(r.Loss) && !math.IsInf(r.Loss, 0) { // a step that is skipped may have none
		t.learn(r, t.Config.levels())
	}
	t.rate.add(d)
	perStep := t.rate.seconds()
	m := &run.Metrics{
		Loss: run.Float(r.Loss), LossEMA: run.Float(t.lossEMA), LR: run.Float(r.LR), GradNorm: run.Float(r.GradNorm), Clipped: r.Clipped,
		ImagesPerS: run.Float(float64(t.Config.Batch) / perStep), StepS: run.Float(perStep),
		ETAS: run.Float(perStep * float64(t.Config.Steps-t.Step.Done)), EMADecay: run.Float(r.EMADecay), WaitS: run.Float(t.waited.Seconds()),
		LossScale: run.Float(r.Scale), Skipped: r.Bad(),
	}
	if t.Step.Done%bucketsEvery == 0 {
		m.Buckets = t.byTimestep()
	}
	if ranks := t.team.Size(); ranks > 1 {
		t.team.add(r.Reports)
		m.Ranks, m.CommShare = ranks, run.Float(t.team.share)
		if t.Step.Done%bucketsEvery == 0 {
			m.PerRank = t.team.take(t.Step.imagesOf)
		}
	}
	t.emit(run.Event{Kind: run.KindStep, Metrics: m})
}

// learn takes a step's losses into the means; t is one of so many levels.
func (m *meters) learn(r *Result, levels int) {
	m.seen++
	m.lossEMA += max(0.02, 1/float64(m.seen)) * (r.Loss - m.lossEMA) // a plain mean at first
	for i, t := range r.T {
		k := t * Buckets / levels
		if m.counts[k]++; m.counts[k] == 1 {
			m.buckets[k] = float64(r.SampleLoss[i])
		}
		m.buckets[k] += max(0.02, 1/float64(m.counts[k])) * (float64(r.SampleLoss[i]) - m.buckets[k])
	}
}

// byTimestep is the mean loss of each range of timesteps, NaN where none was drawn yet.
func (m *meters) byTimestep() []run.Float {
	f := make([]run.Float, Buckets)
	for k, v := range m.buckets {
		f[k] = run.Float(v)
		if m.counts[k] == 0 {
			f[k] = run.Float(nan)
		}
	}
	return f
}

// averages is what a checkpoint keeps of the meters: all but the rate.
func (m *meters) averages() *run.Averages {
	return &run.Averages{Loss: run.Float(m.lossEMA), Steps: m.seen, Buckets: m.byTimestep(), Counts: slices.Clone(m.counts[:])}
}

// restoreAverages goes on from those of a checkpoint. A checkpoint without them, or with others than this program keeps, lets them
// begin anew.
func (m *meters) restoreAverages(a *run.Averages) {
	if a == nil || a.Steps < 1 || len(a.Buckets) != Buckets || len(a.Counts) != Buckets || math.IsNaN(float64(a.Loss)) {
		return
	}
	m.lossEMA, m.seen = float64(a.Loss), a.Steps
	for k, v := range a.Buckets {
		if n := a.Counts[k]; n > 0 && !math.IsNaN(float64(v)) {
			m.buckets[k], m.counts[k] = float64(v), n
		}
	}
}
