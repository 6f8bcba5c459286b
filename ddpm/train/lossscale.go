package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Dynamic loss scaling, with the values of PyTorch's GradScaler. The gradient of the loss is multiplied with a power of two, so that
// gradients which fp16 cannot hold become ones that it can; the optimizer divides by it again, exactly. A step whose gradients are not
// finite is skipped: nothing of it stays but that it was done, so the next step draws other images. See the op loss_scale.
const (
	startScale  = 65536      // with fp16
	scaleGrowth = 2000       // good steps in a row, after which the scale is doubled
	leastScale  = 1. / 16384 // below it gradients are so small that what overflows is not their scale: the run stops
)

// takenAt is the byte of bufScale where the control buffer of the steps taken lies.
const takenAt = 64

// scale is where dynamic loss scaling begins, 0 for none.
func (c *Config) scale() float64 {
	switch {
	case c.LossScale > 0:
		return c.LossScale
	case c.LossScale == 0 && c.Precision == backend.FP16:
		return startScale
	}
	return 0
}

func (c *Config) scaled() bool { return c.scale() > 0 }

// scaleWord is one word of the state of loss scaling: [1].
func scaleWord(word int) *graph.Value { return graph.State(bufScale, 4*word, graph.F32(1), bufScale) }

// takenSteps is the control buffer whose counter leaves skipped steps out.
func takenSteps() *graph.Value {
	return graph.State(bufScale, takenAt, graph.U32(backend.CtlWords), "taken")
}

// scalingOf is the state of loss scaling as the device has it.
func scalingOf(words []float32) run.LossScaling {
	return run.LossScaling{Scale: float64(words[backend.LscScale]), Good: int64(words[backend.LscGood]), Skipped: int64(words[backend.LscSkipped])}
}

// restoreScaling puts a checkpoint's state of loss scaling into the device; nil is that of a new run. A run that stopped because the
// scale kept falling begins with it anew. The steps done are known.
func (s *Step) restoreScaling(l *run.LossScaling) error {
	if !s.Config.scaled() {
		return nil
	}
	now := run.LossScaling{Scale: s.Config.scale()}
	if l != nil {
		if now.Skipped = l.Skipped; l.Scale >= leastScale {
			now = *l
		}
	}
	return s.setScaling(now)
}

func (s *Step) setScaling(l run.LossScaling) error {
	s.scaling = l
	words := make([]float32, backend.LscWords)
	words[backend.LscScale], words[backend.LscInverse] = float32(l.Scale), float32(1/l.Scale)
	words[backend.LscGood], words[backend.LscSkipped] = float32(l.Good), float32(l.Skipped)
	taken, steps := make([]uint32, backend.CtlWords), s.Done-l.Skipped
	taken[backend.CtlStep], taken[backend.CtlStepHi] = uint32(steps), uint32(steps>>32)
	return errors.Join(model.Write(s.Memory, bufScale, 0, words), model.Write(s.Memory, bufScale, takenAt, taken))
}

// An OverflowError is a loss scale that keeps falling: what is not finite is not so because of the scale.
type OverflowError struct {
	NotFiniteError
	Scale  float64 // of the step
	InARow int64   // steps skipped
}

func (e *OverflowError) Error() string {
	return fmt.Sprintf("step %d: loss %v, gradient norm %v with a loss scale of 2^%d: %d steps in a row were not finite and skipped, and the loss scale fell below 2^%d%s; the run stops with the weights that it had before them: resume it with a lower learning rate (resume --lr), or start anew in fp32",
		e.Step, e.Loss, e.GradNorm, exponent(e.Scale), e.InARow, exponent(leastScale), e.first())
}

// Fault implements what run.FaultOf looks for.
func (e *OverflowError) Fault() *run.Fault { return &run.FaultOverflow }

func exponent(power float64) int {
	_, exp := math.Frexp(power)
	return exp - 1
}

// skips counts skipped steps in a row, as the screens tell.
type skips struct{ inARow int64 }

// scaled looks at what a step did to the loss scale, and says it. The error is that it keeps falling.
func (t *Trainer) scaled(r *Result) error {
	now := t.Step.scaling.Scale
	if t.inARow++; !r.Bad() {
		t.inARow = 0
	}
	if now == r.Scale && !r.Bad() {
		return nil
	}
	t.emit(run.Event{Kind: run.KindLossScale, LossScale: &run.LossScale{
		Old: run.Float(r.Scale), New: run.Float(now), Skipped: r.Bad(), Loss: run.Float(r.Loss), GradNorm: run.Float(r.GradNorm),
		InARow: t.inARow, All: t.Step.scaling.Skipped,
	}})
	if now >= leastScale {
		return nil
	}
	e := &OverflowError{Scale: r.Scale, InARow: t.inARow}
	e.NotFiniteError = NotFiniteError{Step: t.Step.Done, Loss: r.Loss, GradNorm: r.GradNorm}
	first, err := t.Step.replay(r)
	if err != nil {
		t.logf("warn", "the step could not be replayed to find the first bad value: %v", err)
	}
	var broken error
	if e.First, e.Rank, broken = t.team.badOnRank(first); broken != nil {
		return errors.Join(e, broken)
	}
	if t.team.Size() > 1 {
		return &dist.AgreedError{Err: e}
	}
	return e
}

// replay does the last step again, whose gradients were not finite, and finds the first bad value. The state is then as it was.
func (s *Step) replay(r *Result) (*BadValue, error) {
	done, now := s.Done, s.scaling
	then := now
	then.Scale, then.Skipped = r.Scale, now.Skipped-1
	if err := errors.Join(s.setDone(done-1), s.setScaling(then)); err != nil {
		return nil, err
	}
	first, err := s.FirstBad()
	return first, errors.Join(err, s.setDone(done), s.setScaling(now))
}
