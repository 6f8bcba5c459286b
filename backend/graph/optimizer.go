package graph

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// schedule: the scalars of this step from the control buffer and the hyper-parameters: learning rate with linear warm-up and
// what comes after it, Adam's bias corrections, the EMA decay 1 - (1+step)^-power, at most HypEMA.
//
// After the warm-up of w steps, u = (step + 1 - w)/(LRSteps - w) in [0,1], and with a floor f the rate is multiplied by
// f + (1-f) (1 + cos pi u)/2 (cosine) or f + (1-f) (1 - u) (linear).
var schedule = register(&Op{
	Name: "schedule",
	Infer: func(_ any, in []Type) ([]Type, error) {
		if len(in) != 2 || in[1].Shape.Elems() != backend.HypWords {
			return nil, fmt.Errorf("wants control and hyper-parameters")
		}
		return []Type{F32(backend.SclWords)}, wantControl(in[0])
	},
	Ref: func(_ any, in, out []*Tensor) {
		_, step, _ := control(in[0])
		h, s, k := in[1].Data, out[0].Data, float64(step)
		s[backend.SclLR] = h[backend.HypLR]
		if k+1 < h[backend.HypWarmup] {
			s[backend.SclLR] *= (k + 1) / h[backend.HypWarmup]
		} else if u := (k + 1 - h[backend.HypWarmup]) / max(1, h[backend.HypLRSteps]-h[backend.HypWarmup]); h[backend.HypLRKind] != backend.LRConstant {
			left := 1 - min(u, 1)
			if h[backend.HypLRKind] == backend.LRCosine {
				left = (1 + math.Cos(math.Pi*min(u, 1))) / 2
			}
			s[backend.SclLR] *= h[backend.HypLRFloor] + (1-h[backend.HypLRFloor])*left
		}
		s[backend.SclBias1] = 1 - math.Pow(h[backend.HypBeta1], k+1)
		s[backend.SclBias2] = 1 - math.Pow(h[backend.HypBeta2], k+1)
		s[backend.SclEMA] = min(h[backend.HypEMA], 1-math.Pow(1+k, -h[backend.HypEMAPower]))
	},
	Cases: []Case{
		{Name: "first", In: []Input{{U32(backend.CtlWords), exactly(0)}, hyper}, Tol: 1e-6},
		{Name: "warming up", In: []Input{{U32(backend.CtlWords), exactly(7)}, hyper}, Tol: 1e-6},
		{Name: "later", In: []Input{{U32(backend.CtlWords), exactly(54321)}, hyper}, Tol: 1e-6},
		{Name: "cosine, warming up", In: []Input{{U32(backend.CtlWords), exactly(7)}, falling(backend.LRCosine)}, Tol: 1e-6},
		{Name: "cosine", In: []Input{{U32(backend.CtlWords), exactly(345)}, falling(backend.LRCosine)}, Tol: 1e-6},
		{Name: "cosine, past its end", In: []Input{{U32(backend.CtlWords), exactly(2000)}, falling(backend.LRCosine)}, Tol: 1e-6},
		{Name: "linear", In: []Input{{U32(backend.CtlWords), exactly(345)}, falling(backend.LRLinear)}, Tol: 1e-6},
	},
})

// falling is hyper with a learning rate that falls to a tenth at step 1000.
func falling(kind float64) Input {
	return Input{F32(backend.HypWords), exactly(1e-3, 20, 0.9, 0.99, 1e-8, 0.01, 1, 0.999, 0.75, kind, 1000, 0.125)}
}

var hyper = Input{F32(backend.HypWords), exactly(1e-3, 20, 0.9, 0.99, 1e-8, 0.01, 1, 0.999, 0.75)}

// adamw (Loshchilov & Hutter 2019) with clipping by the global norm and the average of the weights, on flat buffers:
//
//	g' = g min(1, clip/(norm + 1e-6))
//	m  = beta1 m + (1-beta1) g'        v = beta2 v + (1-beta2) g'^2
//	p  = p (1 - lr decay) - lr m/bias1 / (sqrt(v/bias2) + eps)
//	ema = ema + (1-emaDecay)(p - ema)
//
// A norm that is not finite updates nothing, so that one bad step does not cost the weights.
//
// Inputs p, m, v, ema (all updated in place), g, norm: [1], hyper, scalars, and, under loss scaling, what g is multiplied with first,
// [1], left out otherwise: norm is that of the product.
var adamw = register(&Op{
	Name: "adamw",
	Infer: func(_ any, in []Type) ([]Type, error) {
		if err := want(in, 1, 1, 1, 1, 1, 1, 1, 1, -1); err != nil {
			return nil, err
		}
		if t := in[8]; t.Shape != nil {
			if err := sameShape(t.Shape, Shape{1}); err != nil {
				return nil, err
			}
		}
		for _, t := range in[1:5] {
			if err := sameShape(t.Shape, in[0].Shape); err != nil {
				return nil, err
			}
		}
		for i, n := range []int{1, backend.HypWords, backend.SclWords} {
			if err := sameShape(in[5+i].Shape, Shape{n}); err != nil {
				return nil, err
			}
		}
		return in[:4], nil
	},
	InPlace: map[int]int{0: 0, 1: 1, 2: 2, 3: 3},
	Ref: func(_ any, in, out []*Tensor) {
		g, norm, h, s := in[4].Data, in[5].Data[0], in[6].Data, in[7].Data
		if math.IsNaN(norm) || math.IsInf(norm, 0) {
			for k := range out {
				copy(out[k].Data, in[k].Data)
			}
			return
		}
		clip := 1.0
		if h[backend.HypClip] > 0 {
			clip = min(1, h[backend.HypClip]/(norm+1e-6))
		}
		if in[8] != nil {
			clip *= in[8].Data[0]
		}
		b1, b2, lr := h[backend.HypBeta1], h[backend.HypBeta2], s[backend.SclLR]
		for i := range g {
			d := g[i] * clip
			m := b1*in[1].Data[i] + (1-b1)*d
			v := b2*in[2].Data[i] + (1-b2)*d*d
			p := in[0].Data[i]*(1-lr*h[backend.HypDecay]) - lr*m/s[backend.SclBias1]/(math.Sqrt(v/s[backend.SclBias2])+h[backend.HypEps])
			out[0].Data[i], out[1].Data[i], out[2].Data[i] = p, m, v
			out[3].Data[i] = in[3].Data[i] + (1-s[backend.SclEMA])*(p-in[3].Data[i])
		}
	},
	FLOPs: func(_ any, in, _ []Type) int64 { return 16 * int64(in[0].Shape.Elems()) },
	Cases: func() []Case {
		positive := func(n int) Input { return Input{F32(n), uniform(1e-6, 1e-2)} }
		scalars := Input{F32(backend.SclWords), exactly(5e-4, 0.5, 0.1, 0.9)}
		var cases []Case
		for _, norm := range []float64{0.3, 25, math.NaN(), math.Inf(1)} {
			cases = append(cases, Case{
				Name: fmt.Sprintf("norm %g", norm),
				In:   []Input{x(1037), x(1037), positive(1037), x(1037), x(1037), {F32(1), exactly(norm)}, hyper, scalars, none},
			})
		}
		for _, norm := range []float64{0.3, 25, math.Inf(1)} {
			scaled := Input{F32(1037), normal(4096, 0)}
			cases = append(cases, Case{
				Name: fmt.Sprintf("scaled, norm %g", norm),
				In:   []Input{x(1037), x(1037), positive(1037), x(1037), scaled, {F32(1), exactly(norm)}, hyper, scalars, {F32(1), exactly(1. / 4096)}},
			})
		}
		return cases
	}(),
})

// ema_power: an average of the weights with a power-function profile (Karras et al. 2024, "Analyzing and Improving the Training
// Dynamics of Diffusion Models", equations 1 and 2): at step t = 1, 2, ...
//
//	ema = ema + (1 - beta)(p - ema)        beta = (1 - 1/t)^(gamma + 1)
//
// A norm that is not finite updates nothing. Inputs ema (updated in place), p, control (before it is advanced), norm: [1].
var emaPower = register(&Op{
	Name: "ema_power",
	Infer: func(_ any, in []Type) ([]Type, error) {
		if len(in) != 4 {
			return nil, fmt.Errorf("wants 4 inputs")
		}
		if err := want([]Type{in[0], in[1], in[3]}, 1, 1, 1); err != nil {
			return nil, err
		}
		if err := sameShape(in[1].Shape, in[0].Shape); err != nil {
			return nil, err
		}
		return in[:1], wantControl(in[2])
	},
	InPlace: map[int]int{0: 0},
	Ref: func(attrs any, in, out []*Tensor) {
		copy(out[0].Data, in[0].Data)
		if norm := in[3].Data[0]; math.IsNaN(norm) || math.IsInf(norm, 0) {
			return
		}
		_, step, _ := control(in[2])
		rate := 1.0
		if step > 0 {
			rate = -math.Expm1((float64(attrs.(backend.PowerEMA).Gamma) + 1) * math.Log1p(-1/float64(step+1)))
		}
		for i, p := range in[1].Data {
			out[0].Data[i] += rate * (p - in[0].Data[i])
		}
	},
	FLOPs: elementwise(3),
	Cases: func() []Case {
		var cases []Case
		for _, c := range []struct {
			name       string
			step, norm float64
		}{{"first", 0, 1}, {"second", 1, 1}, {"late", 2e6, 1}, {"not finite", 7, math.NaN()}} {
			cases = append(cases, Case{Name: c.name, Attrs: backend.PowerEMA{Gamma: 6.94}, In: []Input{
				x(1037), x(1037), {U32(backend.CtlWords), exactly(c.step)}, {F32(1), exactly(c.norm)},
			}})
		}
		return cases
	}(),
})

// EMAPower updates the flat average ema of the weights p, unless norm is not finite.
func (g *Graph) EMAPower(ema, p, control, norm *Value, gamma float32) {
	g.Apply(emaPower, backend.PowerEMA{Gamma: gamma}, ema, p, control, norm)
}

// advance: control's step counter goes up by one.
var advance = register(&Op{
	Name: "advance",
	Infer: func(_ any, in []Type) ([]Type, error) {
		if len(in) != 1 {
			return nil, fmt.Errorf("wants the control buffer")
		}
		return in, wantControl(in[0])
	},
	InPlace: map[int]int{0: 0},
	Ref: func(_ any, in, out []*Tensor) {
		copy(out[0].Data, in[0].Data)
		_, step, _ := control(in[0])
		out[0].Data[backend.CtlStep], out[0].Data[backend.CtlStepHi] = float64(uint32(step+1)), float64((step+1)>>32)
	},
	Cases: []Case{
		{Name: "one", In: []Input{{U32(backend.CtlWords), exactly(41, 0, 1, 2, 3)}}},
		{Name: "carry", In: []Input{{U32(backend.CtlWords), exactly(1<<32-1, 5, 1, 2, 3)}}},
	},
})

// Schedule works out the step's learning rate, bias corrections and EMA decay.
func (g *Graph) Schedule(control, hyper *Value) *Value { return g.one(schedule, nil, control, hyper) }

// AdamW updates the flat p, m, v and ema with the gradients grad, times unscale if that is not nil, of global norm norm.
func (g *Graph) AdamW(p, m, v, ema, grad, norm, hyper, scalars, unscale *Value) {
	g.Apply(adamw, nil, p, m, v, ema, grad, norm, hyper, scalars, unscale)
}

// Advance counts the step.
func (g *Graph) Advance(control *Value) { g.Apply(advance, nil, control) }
