package tui

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/chart"
)

// logLines is how many lines of the log are kept.
const logLines = 500

// clipWindow is over how many steps the share of clipped gradients is taken.
const clipWindow = 200

// A progress is what the events of a run add up to. It knows nothing of the screen.
type progress struct {
	start   run.Start
	state   string // the trainer's word, or "" before it has said anything
	step    int64
	last    run.Metrics
	perRank []run.RankWork // the last that were told
	steps   int            // metrics seen
	buckets []float64
	preview *run.Preview
	shot    int64 // step of the preview
	end     *run.End

	reading *run.Reading // of the images, before the first step
	timings *run.Timings
	shots   []run.Event // previews, the oldest first
	edits   []run.Event // as they took effect, the oldest first
	heat    moments     // of the loss by timestep

	loss, ema, grad, speed, rate, wait chart.Series

	heldOut, swd    chart.Series // of evaluations
	heldErr, swdErr float64

	changes int // events that were applied

	clipped [clipWindow]bool
	log     []logLine
}

type logLine struct {
	at    time.Time
	level string
	text  string
}

// apply adds one event. Texts are cleaned here, once, on their way in.
func (p *progress) apply(e run.Event) {
	p.changes++
	if e.V > run.EventVersion {
		p.note(e.Time, "warn", fmt.Sprintf("an event of version %d is not understood", e.V))
		return
	}
	if e.Step > p.step || e.Start != nil {
		p.step = e.Step
	}
	switch {
	case e.Start != nil:
		p.begin(e)
	case e.Metrics != nil:
		p.measure(e.Step, *e.Metrics)
	case e.Reading != nil:
		p.reading = e.Reading
	case e.Timings != nil:
		p.timings = e.Timings
	case e.Edit != nil:
		p.edit(e)
	case e.Preview != nil:
		p.preview, p.shot = e.Preview, e.Step
		p.shots = append(p.shots, e)
		p.note(e.Time, "info", fmt.Sprintf("samples at step %s (%s, %d steps) in %s", count(e.Step), clean(e.Preview.Sampler), e.Preview.Steps, span(float64(e.Preview.Seconds))))
	case e.Checkpoint != nil:
		if c := e.Checkpoint; c.Error != "" {
			p.note(e.Time, "error", "checkpoint failed: "+clean(c.Error))
		} else {
			p.note(e.Time, "info", fmt.Sprintf("saved %s (%s in %.2f s)", clean(c.Path), bytes(c.Bytes), c.Seconds))
		}
	case e.Eval != nil:
		p.evaluated(e)
	case e.State != nil:
		p.state = clean(e.State.Name)
	case e.Log != nil:
		p.note(e.Time, e.Log.Level, clean(e.Log.Text))
	case e.LossScale != nil:
		p.note(e.Time, "info", "step "+count(e.Step)+": "+e.LossScale.String())
	case e.End != nil:
		p.finish(e)
	}
}

func (p *progress) begin(e run.Event) {
	s := *e.Start
	for _, text := range []*string{&s.Name, &s.Preset, &s.Data, &s.Schedule, &s.Backend, &s.Device, &s.Precision} {
		*text = clean(*text)
	}
	again := p.start.Name != "" || p.end != nil
	p.start, p.end, p.step, p.reading, p.perRank = s, nil, e.Step, nil, nil
	p.shots = slices.DeleteFunc(p.shots, func(old run.Event) bool { return old.Step > e.Step }) // it went back
	p.edits = slices.DeleteFunc(p.edits, func(old run.Event) bool { return old.Step > e.Step })
	what := "training"
	if again || e.Step > 0 {
		what = "resumed at step " + count(e.Step) + ":"
	}
	p.note(e.Time, "info", fmt.Sprintf("%s %s on %s images of %s, %dx%d", what, s.Preset, count(int64(s.Images)), s.Data, s.Size, s.Size))
	p.note(e.Time, "info", fmt.Sprintf("%s parameters, batch %d, T=%d %s, seed %d, %s planned", brief(int64(s.Parameters)), s.Batch, s.T, s.Schedule, s.Seed, bytes(s.PlanBytes)))
}

func (p *progress) measure(step int64, m run.Metrics) {
	if p.state == "" || p.state == "starting" {
		p.state = "running"
	}
	p.last = m
	if m.PerRank != nil { // not every step has it
		p.perRank = m.PerRank
	}
	x := float64(step)
	p.loss.Add(x, float64(m.Loss))
	p.ema.Add(x, float64(m.LossEMA))
	p.grad.Add(x, float64(m.GradNorm))
	p.speed.Add(x, float64(m.ImagesPerS))
	p.rate.Add(x, float64(m.LR))
	p.wait.Add(x, float64(m.WaitS))
	p.clipped[p.steps%clipWindow] = m.Clipped
	p.steps++
	if m.Buckets != nil {
		p.buckets = p.buckets[:0]
		for _, b := range m.Buckets {
			p.buckets = append(p.buckets, float64(b))
		}
		p.heat.add(step, p.buckets)
	}
}

// edit takes a change of what can change while a run trains.
func (p *progress) edit(e run.Event) {
	p.edits = append(p.edits, e)
	for _, v := range []struct {
		to   *run.Float
		from *float64
	}{{&p.start.LR, e.Edit.LR}, {&p.start.EMADecay, e.Edit.EMADecay}, {&p.start.PreviewS, e.Edit.PreviewSeconds}} {
		if v.from != nil {
			*v.to = run.Float(*v.from)
		}
	}
	again := ""
	if e.Edit.Again {
		again = " again, as before the run went back"
	}
	p.note(e.Time, "info", fmt.Sprintf("from step %s on%s: %s", count(e.Step), again, e.Edit))
}

// Moments are columns of values over steps in bounded memory: when there are too many, every second is left out from then on.
type moments struct {
	steps   []int64
	columns [][]float64
	every   int // columns that come for one that is kept
	skipped int
}

// mostMoments is how many columns are kept at most.
const mostMoments = 512

func (h *moments) add(step int64, values []float64) {
	n := len(h.steps)
	for n > 0 && h.steps[n-1] >= step { // it went back
		n--
	}
	h.steps, h.columns, h.every = h.steps[:n], h.columns[:n], max(1, h.every)
	if h.skipped++; h.skipped < h.every {
		return
	}
	h.skipped = 0
	h.steps, h.columns = append(h.steps, step), append(h.columns, slices.Clone(values))
	if len(h.steps) >= mostMoments {
		for i := range len(h.steps) / 2 {
			h.steps[i], h.columns[i] = h.steps[2*i+1], h.columns[2*i+1]
		}
		h.steps, h.columns, h.every = h.steps[:len(h.steps)/2], h.columns[:len(h.columns)/2], 2*h.every
	}
}

// evaluated takes a metric. Those of the trainer have a curve; the eval command's, of some checkpoint, are lines of the log.
func (p *progress) evaluated(e run.Event) {
	r := e.Eval
	if r.Checkpoint == "" {
		switch r.Metric {
		case "loss":
			p.heldOut.Add(float64(e.Step), float64(r.Value))
			p.heldErr = float64(r.Err)
		case "swd":
			p.swd.Add(float64(e.Step), float64(r.Value))
			p.swdErr = float64(r.Err)
		}
	}
	what := clean(r.Metric)
	if r.Metric == "loss" {
		what = "loss on " + clean(r.Against)
	}
	p.note(e.Time, "info", fmt.Sprintf("step %s: %s %s ± %s (%d images)", count(e.Step), what, number(float64(r.Value)), number(float64(r.Err)), r.N))
}

func (p *progress) finish(e run.Event) {
	end := *e.End
	end.Reason, end.Error = clean(end.Reason), clean(end.Error)
	p.end = &end
	p.state = end.Reason
	if end.Error != "" {
		p.note(e.Time, "error", end.Error)
	}
	p.note(e.Time, "info", fmt.Sprintf("%s at step %s of %s after %s, loss %s", end.Reason, count(p.step), count(p.start.Steps), span(float64(end.Seconds)), number(float64(end.Loss))))
}

func (p *progress) note(at time.Time, level, text string) {
	p.log = append(p.log, logLine{at, level, text})
	if len(p.log) > 2*logLines {
		p.log = append(p.log[:0], p.log[len(p.log)-logLines:]...)
	}
}

// clipShare is the share of the last steps whose gradient was clipped.
func (p *progress) clipShare() float64 {
	n := min(p.steps, clipWindow)
	if n == 0 {
		return 0
	}
	hits := 0
	for _, c := range p.clipped[:n] {
		if c {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// fraction is how much of the run is done, from 0 to 1.
func (p *progress) fraction() float64 {
	if p.start.Steps <= 0 {
		return 0
	}
	return min(1, max(0, float64(p.step)/float64(p.start.Steps)))
}

// left is the time left in words, "" where it means nothing.
func (p *progress) left() string {
	if p.end != nil || p.steps == 0 || math.IsNaN(float64(p.last.ETAS)) {
		return ""
	}
	return span(float64(p.last.ETAS)) + " left"
}
