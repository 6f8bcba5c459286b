package ddpm

import "slices"

func init() { samplers["heun"] = newHeun }

// heunSampler is EDM's algorithm 1: an Euler step from sigma to sigma_next, then
// the same step again with the mean of the slopes at both ends,
//
//	d = (y - x_0)/sigma,    y_next = y + (sigma_next - sigma) (d + d')/2
//
// in y = x/a. The step to the clean image, where there is no slope, is Euler's.
// So n levels cost 2n - 1 evaluations, one a Step: the even ones predict, the
// odd ones, at the level that was predicted, correct.
type heunSampler struct {
	*ladder
	timesteps []int // of each evaluation
	y, d      []float64
}

func newHeun(p *process) (Sampler, error) {
	l, err := newLadder(p)
	if err != nil {
		return nil, err
	}
	s := &heunSampler{ladder: l}
	for i, t := range p.timesteps {
		if s.timesteps = append(s.timesteps, t); i > 0 {
			s.timesteps = append(s.timesteps, t)
		}
	}
	return s, nil
}

func (s *heunSampler) Timesteps() []int { return s.timesteps }

// Level implements Sampler: evaluation i is at level (i+1)/2.
func (s *heunSampler) Level(i int) float64 { return s.ladder.Level((i + 1) / 2) }

func (s *heunSampler) Step(i int, x, out, x0 []float32, _ func([]float32)) {
	at := (i + 1) / 2
	clean := s.cleanAt(at, x, out)
	store(x0, clean)
	a, _ := s.ab(at)
	sigma := s.sigmas[at]
	if i%2 == 0 {
		s.y = slices.Grow(s.y[:0], len(x))[:len(x)]
		s.d = slices.Grow(s.d[:0], len(x))[:len(x)]
		aNext, _ := s.ab(at + 1)
		h := s.sigmas[at+1] - sigma
		for e := range x {
			s.y[e] = float64(x[e]) / a
			s.d[e] = (s.y[e] - clean[e]) / sigma
			x[e] = float32(aNext * (s.y[e] + float64(h*s.d[e])))
		}
		return
	}
	h := sigma - s.sigmas[at-1]
	for e := range x {
		d := (float64(x[e])/a - clean[e]) / sigma
		x[e] = float32(a * (s.y[e] + float64(h*(s.d[e]+d))/2))
	}
}
