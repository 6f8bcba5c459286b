package chart

import "math"

// limit is how many points a Series keeps. It is more than twice the dots of the widest chart.
const limit = 2048

// A Series is a history of any length in bounded memory: when it is full, neighbours are merged, and from then on each point stands
// for twice as many values.
type Series struct {
	points []Point
	stride int // values a point
}

// A Point stands for N values that follow each other. X is that of the last.
type Point struct {
	X, Mean, Min, Max float64
	N                 int // finite values in it
	seen              int // all values in it
}

// Add appends a value. Going back in x drops what was there from x on: a run that was resumed from an earlier step.
func (s *Series) Add(x, y float64) {
	if !finite(x) {
		return
	}
	for n := len(s.points); n > 0 && s.points[n-1].X >= x; n-- {
		s.points = s.points[:n-1]
	}
	s.stride = max(1, s.stride)
	p := Point{X: x, Mean: y, Min: y, Max: y, N: 1, seen: 1}
	if !finite(y) {
		p = Point{X: x, Mean: math.NaN(), Min: math.NaN(), Max: math.NaN(), seen: 1}
	}
	if n := len(s.points); n > 0 && s.points[n-1].seen < s.stride {
		s.points[n-1] = merge(s.points[n-1], p)
		return
	}
	s.points = append(s.points, p)
	if len(s.points) >= limit {
		half := s.points[:0]
		for i := 0; i+1 < len(s.points); i += 2 {
			half = append(half, merge(s.points[i], s.points[i+1]))
		}
		s.points = half
		s.stride *= 2
	}
}

func merge(a, b Point) Point {
	seen := a.seen + b.seen
	switch {
	case b.N == 0:
		a.X, a.seen = b.X, seen
		return a
	case a.N == 0:
		b.seen = seen
		return b
	}
	n := a.N + b.N
	return Point{
		X:    b.X,
		Mean: (a.Mean*float64(a.N) + b.Mean*float64(b.N)) / float64(n),
		Min:  min(a.Min, b.Min),
		Max:  max(a.Max, b.Max),
		N:    n,
		seen: seen,
	}
}

// Points are the points, oldest first. They belong to the series.
func (s *Series) Points() []Point { return s.points }

// Last is the mean of the last point with a finite value.
func (s *Series) Last() (float64, bool) {
	for i := len(s.points) - 1; i >= 0; i-- {
		if s.points[i].N > 0 {
			return s.points[i].Mean, true
		}
	}
	return 0, false
}

// Values are n means, evenly taken over the whole history, for a sparkline; fewer if there are fewer points.
func (s *Series) Values(n int) []float64 {
	points := fewer(s.points, n)
	out := make([]float64, len(points))
	for i, p := range points {
		out[i] = p.Mean
	}
	return out
}

// fewer merges points until there are at most n.
func fewer(points []Point, n int) []Point {
	if n <= 0 {
		return nil
	}
	if len(points) <= n {
		return points
	}
	out := make([]Point, n)
	for i := range out {
		group := points[i*len(points)/n : (i+1)*len(points)/n]
		out[i] = group[0]
		for _, q := range group[1:] {
			out[i] = merge(out[i], q)
		}
	}
	return out
}
