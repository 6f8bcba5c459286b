package ddpm

import "fmt"

// A Prediction says what the network's output means. The names are diffusers'.
type Prediction string

const (
	Epsilon     Prediction = "epsilon"      // the noise eps
	Sample0     Prediction = "sample"       // the clean image x_0
	VPrediction Prediction = "v_prediction" // v = sqrt(alphabar) eps - sqrt(1 - alphabar) x_0
)

// Check accepts the three names; empty means epsilon.
func (p Prediction) Check() error {
	switch p {
	case "", Epsilon, Sample0, VPrediction:
		return nil
	}
	return fmt.Errorf("prediction type %q is unknown, want %s, %s or %s", string(p), Epsilon, Sample0, VPrediction)
}

// Target writes what a network of this kind should say at timestep t, given the
// clean image and the noise that was added.
func (s *Schedule) Target(p Prediction, dst, x0, eps []float32, t int) {
	switch p {
	case Sample0:
		copy(dst, x0)
	case VPrediction:
		s.Velocity(dst, x0, eps, t)
	default:
		copy(dst, eps)
	}
}

// An x0eps turns an element x of x_t and the network's output for it into the
// predicted clean image and noise. Each parametrisation is linear in both.
type x0eps struct{ x0x, x0out, epsx, epsout float64 }

// convert returns the coefficients for signal a = sqrt(alphabar) and noise
// b = sqrt(1 - alphabar), from x_t = a x_0 + b eps:
//
//	eps network: x_0 = (x_t - b out)/a    eps = out
//	x_0 network: x_0 = out                eps = (x_t - a out)/b
//	v network:   x_0 = a x_t - b out      eps = a out + b x_t
func (p Prediction) convert(a, b float64) x0eps {
	switch p {
	case Sample0:
		return x0eps{x0x: 0, x0out: 1, epsx: 1 / b, epsout: -a / b}
	case VPrediction:
		return x0eps{x0x: a, x0out: -b, epsx: b, epsout: a}
	default:
		return x0eps{x0x: 1 / a, x0out: -b / a, epsx: 0, epsout: 1}
	}
}

func (c x0eps) x0(x, out float64) float64 {
	return float64(c.x0x*x) + float64(c.x0out*out)
}

func (c x0eps) eps(x, out float64) float64 {
	return float64(c.epsx*x) + float64(c.epsout*out)
}

// PredictX0 writes the clean image that a network's output implies.
func (s *Schedule) PredictX0(p Prediction, dst, xt, out []float32, t int) {
	c := p.convert(s.SqrtAlphasCumprod[t], s.SqrtOneMinusAlphasCumprod[t])
	for i := range dst {
		dst[i] = float32(c.x0(float64(xt[i]), float64(out[i])))
	}
}

// PredictEps writes the noise that a network's output implies.
func (s *Schedule) PredictEps(p Prediction, dst, xt, out []float32, t int) {
	c := p.convert(s.SqrtAlphasCumprod[t], s.SqrtOneMinusAlphasCumprod[t])
	for i := range dst {
		dst[i] = float32(c.eps(float64(xt[i]), float64(out[i])))
	}
}
