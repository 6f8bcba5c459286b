package ddpm

import (
	"fmt"
	"math"
	"slices"
)

func init() { samplers["unipc"] = newUniPC }

// unipcSampler is UniPC (Zhao et al. 2023) for x_0 networks: a multistep
// predictor like DPM-Solver++, and a corrector that redoes the step before with
// the evaluation that has been made at its end, so that it costs none. Through
// m_0 and the values before it (and, correcting, the one at the end) goes a
// polynomial in lambda, which is integrated against e^lambda; for the lowest
// orders the paper replaces the integral by B(h)/2, with B = -h (bh1) or
// e^-h - 1 (bh2).
type unipcSampler struct {
	*ladder
	bh1   bool
	order int         // of the step before
	m     [][]float64 // x_0 at this level and at those before, newest first
	from  []float64   // x of the step before, corrected
}

func newUniPC(p *process) (Sampler, error) {
	if p.opts.Order == 0 {
		p.opts.Order = 2
	}
	switch {
	case p.opts.Order < 1 || p.opts.Order > 3:
		return nil, fmt.Errorf("order is %d, want 1 to 3", p.opts.Order)
	case p.opts.Solver != "" && p.opts.Solver != "bh1" && p.opts.Solver != "bh2":
		return nil, fmt.Errorf("solver %q is unknown, want bh1 or bh2", p.opts.Solver)
	}
	l, err := newMultistepLadder(p)
	return &unipcSampler{ladder: l, bh1: p.opts.Solver == "bh1"}, err
}

func (s *unipcSampler) Step(i int, x, out, x0 []float32, _ func([]float32)) {
	clean := s.cleanAt(i, x, out)
	store(x0, clean)
	if i == 0 {
		s.m = nil
		s.from = make([]float64, len(x))
		for e, v := range x {
			s.from[e] = float64(v)
		}
	} else {
		s.step(i-1, s.order, clean)
	}
	s.m = append([][]float64{slices.Clone(clean)}, s.m[:min(len(s.m), s.opts.Order-1)]...)
	s.order = min(s.opts.Order, len(s.timesteps)-i, i+1)
	corrected := slices.Clone(s.from)
	s.step(i, s.order, nil)
	for e, v := range s.from {
		x[e] = float32(v)
	}
	s.from = corrected
}

// step moves s.from from level i to the next. at is x_0 there, known to the
// corrector and nil for the predictor.
func (s *unipcSampler) step(i, order int, at []float64) {
	_, b := s.ab(i)
	aNext, bNext := s.ab(i + 1)
	h := math.Log(s.sigmas[i] / s.sigmas[i+1]) // infinite at the end
	points, values := make([]float64, 0, order), make([][]float64, 0, order)
	for k := 1; k < order; k++ { // lambda of the levels before, in steps from this one
		points = append(points, math.Log(s.sigmas[i]/s.sigmas[i-k])/h)
		values = append(values, s.m[k])
	}
	if at != nil {
		points, values = append(points, 1), append(values, at)
	}
	weights := s.weights(points, h, at != nil)
	phi := math.Expm1(-h)
	m0 := s.m[0]
	for e := range s.from {
		v := bNext/b*s.from[e] - aNext*phi*m0[e]
		for k, w := range weights {
			v -= aNext * w * (values[k][e] - m0[e])
		}
		s.from[e] = v
	}
}

// weights of the differences to m_0 at points, so that the integral of
// e^-(lambda_next - lambda) times the polynomial through them is exact: rho B/r of the paper.
func (s *unipcSampler) weights(points []float64, h float64, corrector bool) []float64 {
	n := len(points)
	if n == 0 {
		return nil
	}
	if n == 1 {
		B := math.Expm1(-h)
		if s.bh1 {
			B = -h
		}
		return []float64{B / 2 / points[0]}
	}
	// Rows j = 1..n: sum_k w_k r_k^j = j! phi_{j+1} h, from the Taylor
	// series of x_0; B cancels.
	rows := make([][]float64, n)
	phi, factorial := math.Expm1(-h)/-h-1, 1.0
	for j := range rows {
		rows[j] = make([]float64, n+1)
		for k, r := range points {
			rows[j][k] = math.Pow(r, float64(j+1))
		}
		rows[j][n] = phi * factorial
		factorial *= float64(j + 2)
		phi = phi/-h - 1/factorial
	}
	return solve(rows)
}

// solve is Gaussian elimination with pivoting of n rows [n+1].
func solve(rows [][]float64) []float64 {
	n := len(rows)
	for c := range n {
		pivot := c
		for r := c + 1; r < n; r++ {
			if math.Abs(rows[r][c]) > math.Abs(rows[pivot][c]) {
				pivot = r
			}
		}
		rows[c], rows[pivot] = rows[pivot], rows[c]
		for r := range n {
			if r == c {
				continue
			}
			f := rows[r][c] / rows[c][c]
			for k := c; k <= n; k++ {
				rows[r][k] -= f * rows[c][k]
			}
		}
	}
	x := make([]float64, n)
	for i := range x {
		x[i] = rows[i][n] / rows[i][i]
	}
	return x
}
