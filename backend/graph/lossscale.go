package graph

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// loss_scale: dynamic loss scaling (Micikevicius et al. 2018, "Mixed Precision Training", section 3.2), as PyTorch's GradScaler does it.
// After a step whose gradient norm is not finite, which the optimizer left out, the scale is halved; after Growth good steps in a row it
// is doubled, up to backend.MaxLossScale. The counter of taken, a control buffer, goes up with good steps only: what the optimizer
// counts, bias corrections, the course of the learning rate, the warm-up of the averages, goes by it.
//
// Inputs state: [LscWords] and taken: u32 [CtlWords] (both updated in place), norm: [1]. The third output is state as it is then.
var lossScale = register(&Op{
	Name: "loss_scale",
	Infer: func(attrs any, in []Type) ([]Type, error) {
		if len(in) != 3 {
			return nil, fmt.Errorf("wants 3 inputs")
		}
		if err := want([]Type{in[0], in[2]}, 1, 1); err != nil {
			return nil, err
		}
		if err := sameShape(in[0].Shape, Shape{backend.LscWords}); err != nil {
			return nil, err
		}
		if n := attrs.(backend.LossScale).Growth; n < 1 || n > 1<<24 {
			return nil, fmt.Errorf("growth after %d steps", n)
		}
		return []Type{in[0], in[1], in[0]}, wantControl(in[1])
	},
	InPlace: map[int]int{0: 0, 1: 1},
	Ref: func(attrs any, in, out []*Tensor) {
		s := out[0].Data
		copy(s, in[0].Data)
		copy(out[1].Data, in[1].Data)
		if norm := in[2].Data[0]; math.IsNaN(norm) || math.IsInf(norm, 0) {
			s[backend.LscScale] /= 2
			s[backend.LscGood] = 0
			s[backend.LscSkipped]++
		} else {
			_, step, _ := control(in[1])
			out[1].Data[backend.CtlStep], out[1].Data[backend.CtlStepHi] = float64(uint32(step+1)), float64((step+1)>>32)
			if s[backend.LscGood]++; int(s[backend.LscGood]) >= attrs.(backend.LossScale).Growth {
				s[backend.LscScale] = min(2*s[backend.LscScale], backend.MaxLossScale)
				s[backend.LscGood] = 0
			}
		}
		s[backend.LscInverse] = 1 / s[backend.LscScale]
		copy(out[2].Data, s)
	},
	Cases: func() []Case {
		var cases []Case
		for _, c := range []struct {
			name                 string
			scale, good, skipped float64
			step, norm           float64
		}{
			{"good", 65536, 5, 2, 41, 0.5},
			{"grows", 65536, 9, 2, 1<<32 - 1, 0.5},
			{"as large as it gets", backend.MaxLossScale, 9, 0, 7, 3},
			{"infinite", 65536, 5, 2, 41, math.Inf(1)},
			{"not a number", 0.5, 0, 17, 41, math.NaN()},
		} {
			cases = append(cases, Case{Name: c.name, Attrs: backend.LossScale{Growth: 10}, In: []Input{
				{F32(backend.LscWords), exactly(c.scale, 1/c.scale, c.good, c.skipped)}, {U32(backend.CtlWords), exactly(c.step, 0, 1, 2, 3)}, {F32(1), exactly(c.norm)},
			}})
		}
		return cases
	}(),
})

// LossScale moves the loss scale on after a step of gradient norm norm, and returns a copy of its state.
func (g *Graph) LossScale(state, taken, norm *Value, growth int) *Value {
	return g.Apply(lossScale, backend.LossScale{Growth: growth}, state, taken, norm)[2]
}
