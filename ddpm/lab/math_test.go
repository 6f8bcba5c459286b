package lab

import (
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

func TestGaussian(t *testing.T) {
	g := NewGaussian(200000, 1)
	if !g.Normal.Same || !g.Shifted.Same || !g.Sum.Shape.Same {
		t.Errorf("normals are not normal: %+v %+v %+v", g.Normal, g.Shifted, g.Sum)
	}
	if g.Dependent.Shape.Same || g.Uniform.Shape.Same {
		t.Errorf("the counter-examples pass: %+v %+v", g.Dependent, g.Uniform)
	}
	for _, w := range g.Within {
		if math.Abs(w.Measured-w.Expected) > 0.004 {
			t.Errorf("%d deviations: %v, want %v", w.K, w.Measured, w.Expected)
		}
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"a x + b y", g.Sum.Variance, 1}, {"x + x", g.Dependent.Variance, 4}, {"uniforms", g.Uniform.Variance, 1}} {
		if math.Abs(c.got-c.want) > 0.02*c.want {
			t.Errorf("variance of %s is %v, want %v", c.name, c.got, c.want)
		}
	}
	for _, p := range g.Slopes {
		if math.Abs(p.Pathwise-p.Difference) > 1e-6 || math.Abs(p.Pathwise-p.Exact) > 0.01 {
			t.Errorf("%+v", p)
		}
	}
	area := 0.0
	for _, h := range g.Histogram {
		area += h * 8 / Bins
	}
	if math.Abs(area-1) > 1e-3 {
		t.Errorf("the histogram's area is %v", area)
	}
}

func TestForwardProcess(t *testing.T) {
	for _, c := range []ddpm.ScheduleConfig{{Kind: ddpm.Cosine, T: 300}, {Kind: ddpm.Linear, T: 1000}} {
		s, err := ddpm.NewSchedule(c)
		if err != nil {
			t.Fatal(err)
		}
		f := NewForward(s, 20000, 8, 2)
		if !f.Agree || len(f.Levels) != 8 || f.Levels[7].T != s.T() {
			t.Errorf("%s: %+v", c.Kind, f.Moments)
		}
		if !f.Final.Same {
			t.Errorf("%s: x_T is not standard normal: %+v", c.Kind, f.Final)
		}
		for _, q := range f.Checks {
			if math.Abs(q.Formula-q.Integral) > 1e-8*max(1, math.Abs(q.Formula)) {
				t.Errorf("%s, t = %d: %s is %v, by quadrature %v", c.Kind, q.T, q.What, q.Formula, q.Integral)
			}
		}
		if len(f.Checks) != 12 {
			t.Errorf("%d checks", len(f.Checks))
		}
	}
}

// A schedule that does not reach noise must not pass: the test can fail.
func TestForwardProcessThatStopsEarly(t *testing.T) {
	s, err := ddpm.NewSchedule(ddpm.ScheduleConfig{Kind: ddpm.Linear, T: 100})
	if err != nil {
		t.Fatal(err)
	}
	if f := NewForward(s, 20000, 4, 2); f.Final.Same || !f.Agree {
		t.Errorf("100 steps of the linear schedule end in %+v", f.Final)
	}
}

// The printed betas are those of the uncapped cosine with T = 300, and of nothing with T = 1000.
func TestPrintedBetas(t *testing.T) {
	found, err := FindPrinted(300, 1000)
	if err != nil {
		t.Fatal(err)
	}
	places := map[int]bool{}
	for _, m := range found {
		if m.Beta < 1 && (m.T != 300 || m.Schedule != ddpm.Cosine) {
			t.Errorf("%+v", m)
		}
		if m.T == 300 {
			places[m.Place] = true
		}
	}
	for _, p := range []int{1, 2, 3, 4, 299, 300} {
		if !places[p] {
			t.Errorf("place %d is not found: %v", p, places)
		}
	}
	curves, err := Schedules(300)
	if err != nil || len(curves) != len(ddpm.Kinds()) {
		t.Fatalf("%d curves, %v", len(curves), err)
	}
}
