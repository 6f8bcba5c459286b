package graph

import (
	"fmt"
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// nll: what a network says of each value against what the value is, where a weight asks for it.
//
// p: [N,H,W,C k] are k parameters a value, q: [N,H,W,C] the values, bytes b as b/127.5 - 1, w: [N,H,W,C] their weights, 0 or more.
// each[n] = sum of w l / sum of w over image n (0 if no weight is), loss[0] = the mean of each. l is, by attrs.Kind,
//
//	squared      (p - q)^2
//	absolute     |p - q|
//	mixture      -log2 of sum over k of softmax(logits)_k P_k(q); the parameters are K logits, K means, K log scales
//	categorical  -log2 softmax(p)_b; the parameters are 256 logits
//
// where P_k is a logistic's mass on the level, from (q - 1/255) to (q + 1/255), open at both ends (Salimans et al. 2017, PixelCNN++,
// section 2.1). q and w get no gradient. nll_grad: dp from p, q, w, dloss: [1].
var nll, nllGrad *Op

// halfLevel is half the distance between two levels.
const halfLevel = 1.0 / 255

// A logistic is the logarithm of a logistic's mass on a level, with its slopes in mean and log scale. With a = (q + h - mean)/s and
// b = (q - h - mean)/s,
//
//	sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - exp(b - a))
//
// whose logarithm loses nothing, however far the level is from the mean.
type logistic struct{ log, dMean, dScale float64 }

func logisticOf(q, mean, logScale float64) (l logistic) {
	clamped := logScale < backend.MinLogScale
	s := math.Exp(max(logScale, backend.MinLogScale))
	a, b, width := (q+halfLevel-mean)/s, (q-halfLevel-mean)/s, 2*halfLevel/s
	if q < 1-halfLevel {
		l.log += logSigmoid(a)
		l.dMean -= sigmoid(-a) / s
		l.dScale -= a * sigmoid(-a)
	}
	if q > -1+halfLevel {
		l.log += logSigmoid(-b)
		l.dMean += sigmoid(b) / s
		l.dScale += b * sigmoid(b)
	}
	if math.Abs(q) < 1-halfLevel {
		l.log += math.Log(-math.Expm1(-width))
		l.dScale -= width / math.Expm1(width)
	}
	if clamped {
		l.dScale = 0
	}
	return l
}

func logSigmoid(x float64) float64 { return min(x, 0) - math.Log1p(math.Exp(-math.Abs(x))) }

// softmax writes the softmax of x, and returns the logarithm of the sum of exponentials.
func softmaxOf(dst, x []float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	sum := 0.0
	for i, v := range x {
		dst[i] = math.Exp(v - top)
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
	return top + math.Log(sum)
}

// LevelOf is the byte that a value in [-1,1] stands for.
func LevelOf(q float64) int { return int(min(max(math.Round((q+1)*127.5), 0), 255)) }

// LossOf is the loss of one value q with parameters p: [k], as nll defines it. If dp: [k] is not nil, it gets the slopes.
func LossOf(a backend.Likelihood, p []float64, q float64, dp []float64) float64 {
	switch a.Kind {
	case backend.Squared:
		d := p[0] - q
		if dp != nil {
			dp[0] = 2 * d
		}
		return d * d
	case backend.Absolute:
		d := p[0] - q
		if dp != nil {
			dp[0] = 0
			if d != 0 {
				dp[0] = math.Copysign(1, d)
			}
		}
		return math.Abs(d)
	case backend.Categorical:
		prob := make([]float64, len(p))
		lse, level := softmaxOf(prob, p), LevelOf(q)
		if dp != nil {
			for i, v := range prob {
				dp[i] = v / math.Ln2
			}
			dp[level] -= 1 / math.Ln2
		}
		return (lse - p[level]) / math.Ln2
	}
	K := a.Components
	prior, joint, parts := make([]float64, K), make([]float64, K), make([]logistic, K)
	lse := softmaxOf(prior, p[:K])
	for k := range K {
		parts[k] = logisticOf(q, p[K+k], p[2*K+k])
		joint[k] = p[k] - lse + parts[k].log
	}
	posterior := make([]float64, K)
	log := softmaxOf(posterior, joint)
	if dp != nil {
		for k, r := range posterior {
			dp[k], dp[K+k], dp[2*K+k] = (prior[k]-r)/math.Ln2, -r*parts[k].dMean/math.Ln2, -r*parts[k].dScale/math.Ln2
		}
	}
	return -log / math.Ln2
}

func init() {
	check := func(attrs any, in []Type) error {
		a := attrs.(backend.Likelihood)
		if a.Kind == backend.Mixture && a.Components < 1 {
			return fmt.Errorf("a mixture of %d components", a.Components)
		}
		if err := want(in[:3], 4, 4, 4); err != nil {
			return err
		}
		s := in[1].Shape
		if err := sameShape(in[0].Shape, Shape{s[0], s[1], s[2], s[3] * a.Params()}); err != nil {
			return err
		}
		return sameShape(in[2].Shape, s)
	}
	// weights are each image's sum of weights.
	weights := func(w *Tensor) []float64 {
		sums, per := make([]float64, w.Shape[0]), len(w.Data)/w.Shape[0]
		for i, v := range w.Data {
			sums[i/per] += v
		}
		return sums
	}
	levels := func(r Rand, dst []float64) {
		for i := range dst {
			b := r.IntN(256)
			if i%5 == 0 { // the ends are special
				b = i % 2 * 255
			}
			dst[i] = float64(float32(float64(float32(b))/127.5 - 1))
		}
	}
	cases := func(grad bool) []Case {
		list := []Case{}
		add := func(name string, a backend.Likelihood, n, h, w, c int, scale float64) {
			in := []Input{{F32(n, h, w, c*a.Params()), normal(scale, 0)}, {F32(n, h, w, c), levels}, {F32(n, h, w, c), integers(2)}}
			k := Case{Name: name, Attrs: a, In: in}
			if grad {
				k.In = append(k.In, Input{F32(1), exactly(2.5)})
			} else {
				k.Grad, k.NoGrad = []int{0}, []int{1}
			}
			list = append(list, k)
		}
		add("squared", backend.Likelihood{Kind: backend.Squared}, 3, 3, 5, 3, 1)
		add("absolute", backend.Likelihood{Kind: backend.Absolute}, 3, 3, 5, 3, 1)
		add("categorical", backend.Likelihood{Kind: backend.Categorical}, 2, 2, 3, 2, 2)
		add("mixture", backend.Likelihood{Kind: backend.Mixture, Components: 5}, 3, 3, 5, 3, 1)
		add("sharp mixture", backend.Likelihood{Kind: backend.Mixture, Components: 3}, 2, 4, 4, 1, 3)
		return list
	}
	nll = register(&Op{
		Name: "nll",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if len(in) != 3 {
				return nil, fmt.Errorf("wants 3 inputs")
			}
			if err := check(attrs, in); err != nil {
				return nil, err
			}
			return []Type{F32(1), F32(in[0].Shape[0])}, nil
		},
		VJP: func(c *Cotangent) []*Value {
			return []*Value{c.one(nllGrad, c.Node.Attrs, c.In(0), c.In(1), c.In(2), c.Out[0]), nil, nil}
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a, k := attrs.(backend.Likelihood), attrs.(backend.Likelihood).Params()
			N := in[1].Shape[0]
			per, sums := len(in[1].Data)/N, weights(in[2])
			for i, w := range in[2].Data {
				if w != 0 {
					out[1].Data[i/per] += w * LossOf(a, in[0].Data[i*k:(i+1)*k], in[1].Data[i], nil) / sums[i/per]
				}
			}
			for _, v := range out[1].Data {
				out[0].Data[0] += v / float64(N)
			}
		},
		FLOPs: func(_ any, in, _ []Type) int64 { return 40 * int64(in[0].Shape.Elems()) },
		Cases: append(cases(false), Case{
			Name: "nothing asked", Attrs: backend.Likelihood{Kind: backend.Mixture, Components: 2},
			In: []Input{x(2, 1, 2, 6), {F32(2, 1, 2, 1), levels}, {F32(2, 1, 2, 1), exactly(0, 0, 1, 0)}},
		}),
	})
	nllGrad = register(&Op{
		Name: "nll_grad",
		Infer: func(attrs any, in []Type) ([]Type, error) {
			if len(in) != 4 {
				return nil, fmt.Errorf("wants 4 inputs")
			}
			if err := want(in[3:], 1); err != nil {
				return nil, err
			}
			return []Type{in[0]}, check(attrs, in)
		},
		Ref: func(attrs any, in, out []*Tensor) {
			a, k := attrs.(backend.Likelihood), attrs.(backend.Likelihood).Params()
			N := in[1].Shape[0]
			per, sums := len(in[1].Data)/N, weights(in[2])
			for i, w := range in[2].Data {
				if w == 0 {
					continue
				}
				dp := out[0].Data[i*k : (i+1)*k]
				LossOf(a, in[0].Data[i*k:(i+1)*k], in[1].Data[i], dp)
				for j := range dp {
					dp[j] *= w / sums[i/per] / float64(N) * in[3].Data[0]
				}
			}
		},
		FLOPs: elementwise(40),
		Cases: cases(true),
	})
}

// NLL is the weighted negative log-likelihood, or error, of values q: [N,H,W,C] under parameters p: [N,H,W,C k], and that of each
// image: [N]. See the op.
func (g *Graph) NLL(a backend.Likelihood, p, q, w *Value) (loss, each *Value) {
	out := g.Apply(nll, a, p, q, w)
	return out[0], out[1]
}
