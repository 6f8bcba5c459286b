package chart

import (
	"math"
	"testing"
)

func BenchmarkLines(b *testing.B) {
	s, e := &Series{}, &Series{}
	for i := range 3000 {
		s.Add(float64(i), math.Exp(-float64(i)/900)*(1+.3*math.Sin(float64(i*i))))
		e.Add(float64(i), math.Exp(-float64(i)/900))
	}
	for b.Loop() {
		Lines{Log: true, Curves: []Curve{{Points: s.Points(), Ink: "\x1b[31m", Band: true}, {Points: e.Points()}}}.Draw(120, 30)
	}
}
