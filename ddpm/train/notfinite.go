package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A NotFiniteError is a step whose loss or gradient is NaN or infinite. It has changed no weights.
type NotFiniteError struct {
	Step           int64 // the step, from 1
	Loss, GradNorm float64
	First          *BadValue // nil where it could not be found out
	Rank           int       // whose part of the batch First is in
}

// A BadValue is where the first value that is not finite came from.
type BadValue struct {
	Op, Label string
	Value     float64
	Bad, Of   int // how many values of the output are bad, and how many there are
}

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("step %d: loss %v, gradient norm %v: not a finite number%s; the run stops at step %d: resume it with a lower learning rate (resume --lr), or start anew",
		e.Step, e.Loss, e.GradNorm, e.first(), e.Step-1)
}

// first says where the first bad value is, if that is known.
func (e *NotFiniteError) first() string {
	b := e.First
	if b == nil {
		return ""
	}
	s := fmt.Sprintf("; the first bad value is %v, of %s at %s (%d of %d values)", b.Value, b.Op, b.Label, b.Bad, b.Of)
	if e.Rank > 0 {
		s += fmt.Sprintf(" on rank %d", e.Rank)
	}
	return s
}

// Fault implements what run.FaultOf looks for.
func (e *NotFiniteError) Fault() *run.Fault { return &run.FaultNotFinite }

// A DeviceError is a step that the device could not do.
type DeviceError struct {
	Step   int64
	Device string
	Err    error
}

func (e *DeviceError) Error() string {
	return fmt.Sprintf("step %d: the device failed (%s): %v: resume the run to go on from its last checkpoint, with --backend cpu if the device does not come back", e.Step, e.Device, e.Err)
}
func (e *DeviceError) Unwrap() error { return e.Err }

// Fault implements what run.FaultOf looks for.
func (e *DeviceError) Fault() *run.Fault { return &run.FaultDevice }

// notFinite goes back to before the step that r is of, which changed no weights, and replays it to find the first bad value.
func (t *Trainer) notFinite(r *Result) error {
	e := &NotFiniteError{Step: t.Step.Done, Loss: r.Loss, GradNorm: r.GradNorm}
	before := t.Step.Done - 1
	if err := t.Step.setDone(before); err != nil {
		return errors.Join(e, err)
	}
	good, err := t.Step.Snapshot()
	if err != nil {
		return errors.Join(e, err)
	}
	first, err := t.Step.FirstBad()
	if first == nil && err == nil && t.team.Size() == 1 { // the device erred, and this time did the step
		if err := t.Step.Restore(good); err != nil {
			return errors.Join(e, err)
		}
	}
	if err != nil {
		t.logf("warn", "the step could not be replayed to find the first bad value: %v", err)
	}
	var broken error
	if e.First, e.Rank, broken = t.team.badOnRank(first); broken != nil {
		return errors.Join(e, broken)
	}
	if t.team.Size() > 1 {
		return errors.Join(&dist.AgreedError{Err: e}, t.Step.setDone(before))
	}
	return errors.Join(e, t.Step.setDone(before))
}

// errFound ends a replay.
var errFound = errors.New("found")

// FirstBad runs the next step and looks at what every operation of it writes. It returns nil if all is finite, or if the backend
// cannot be looked into. The state is then that after the step, if it was good, or before it; the step counter is for the caller
// to set.
func (s *Step) FirstBad() (*BadValue, error) {
	var first *BadValue
	look := func(step *backend.Step) error {
		for _, v := range step.Out {
			if v.Absent() || v.DType != backend.F32 && v.DType != backend.F16 {
				continue
			}
			b, err := s.bad(v)
			if err != nil {
				return err
			}
			if b != nil {
				b.Op, b.Label = step.Op, step.Label
				first = b
				return errFound
			}
		}
		return nil
	}
	for _, e := range s.inspected() {
		in, ok := e.(backend.Inspector)
		if !ok {
			return nil, fmt.Errorf("this backend runs programs only whole")
		}
		if err := in.Inspect(look); errors.Is(err, errFound) {
			return first, nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// bad counts the values of a view that are not finite; nil if there are none. Its halo, all zeros, is looked at too.
func (s *Step) bad(v backend.View) (*BadValue, error) {
	start, bytes := v.Span()
	p, err := s.Memory.ReadView(s.program, v, start, bytes)
	if err != nil {
		return nil, err
	}
	b := &BadValue{Of: v.Shape.Elems()}
	for i, x := range p {
		if v.Apart() && i%v.Strides[2] >= v.Shape[3] { // of another part of joined channels
			continue
		}
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			if b.Bad++; b.Bad == 1 {
				b.Value = f
			}
		}
	}
	if b.Bad == 0 {
		return nil, nil
	}
	return b, nil
}
