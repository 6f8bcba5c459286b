package chart

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// odd are numbers that charts get to see.
var odd = [][]float64{
	nil, {1}, {0, 0, 0}, {1, 2, 3, 4, 5}, {math.NaN()}, {math.NaN(), 1, math.NaN(), 2}, {math.Inf(1), 1, math.Inf(-1)},
	{-1, 0, 1}, {1e-300, 1e300}, {-math.MaxFloat64, math.MaxFloat64}, {1, 1 + 1e-15}, {0.03, 0.0300001},
}

func series(y []float64) *Series {
	s := &Series{}
	for i, v := range y {
		s.Add(float64(i), v)
	}
	return s
}

func checkSize(t *testing.T, what string, lines []string, w, h int) {
	t.Helper()
	if len(lines) != h {
		t.Fatalf("%s: %d lines, want %d", what, len(lines), h)
	}
	for _, l := range lines {
		if n := ansi.StringWidth(l); n != w {
			t.Fatalf("%s: a line of %d cells, want %d: %q", what, n, w, l)
		}
	}
}

// Every chart is as large as it was asked to be, at any size, whatever the numbers.
func TestEverySize(t *testing.T) {
	ink := Ink("\x1b[31m")
	for _, values := range odd {
		s := series(values)
		for _, w := range []int{1, 2, 3, 7, 15, 16, 17, 40, 119, 300} {
			for _, h := range []int{1, 2, 3, 4, 5, 10, 33} {
				for _, log := range []bool{false, true} {
					c := Lines{Log: log, Axis: ink, Curves: []Curve{{Points: s.Points(), Ink: ink, Band: true}, {Points: s.Points()}}}
					checkSize(t, "lines", c.Draw(w, h), w, h)
				}
				checkSize(t, "spark", Spark(values, w, h, ink), w, h)
				checkSize(t, "spark", Spark(Log(values), w, h, ""), w, h)
				checkSize(t, "bars", Bars(values, w, h, []Ink{ink, ""}, ink), w, h)
				checkSize(t, "bars", Bars(values, w, h, nil, ""), w, h)
			}
			for _, f := range []float64{-1, 0, .3, 1, 2, math.NaN(), math.Inf(1)} {
				checkSize(t, "progress", []string{Progress(f, w, ink, "")}, w, 1)
			}
		}
	}
	if got := (Lines{}).Draw(0, -3); len(got) != 0 {
		t.Error("no room is no lines")
	}
}

func TestLineGoesDown(t *testing.T) {
	s := &Series{}
	for i := range 400 {
		s.Add(float64(i), math.Exp(-float64(i)/100))
	}
	lines := Lines{Log: true, Curves: []Curve{{Points: s.Points()}}}.Draw(60, 12)
	all := strings.Join(lines, "\n")
	for _, want := range []string{"1┤", "0.1┤", "└0 ", " 200 ", " 399"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	first, last := []rune(lines[0]), []rune(lines[10])
	if dots(first[:30]) == 0 || dots(first[30:]) != 0 || dots(last[:30]) != 0 || dots(last[30:]) == 0 {
		t.Errorf("the line does not fall:\n%s", all)
	}
}

func dots(rs []rune) int {
	n := 0
	for _, r := range rs {
		if r > empty && r < empty+256 {
			n++
		}
	}
	return n
}

func TestSeries(t *testing.T) {
	s := &Series{}
	const n = 100_000
	for i := range n {
		y := float64(i % 10)
		if i%100 == 7 {
			y = math.NaN()
		}
		s.Add(float64(i), y)
	}
	if len(s.Points()) >= limit || len(s.Points()) < limit/2 {
		t.Errorf("%d points", len(s.Points()))
	}
	seen, finite := 0, 0
	for _, p := range s.Points() {
		seen, finite = seen+p.seen, finite+p.N
		if p.N > 0 && (p.Mean < p.Min || p.Mean > p.Max) {
			t.Fatalf("%+v", p)
		}
	}
	if seen != n || finite != n-n/100 {
		t.Errorf("%d values of which %d finite", seen, finite)
	}
	if got := s.Points()[len(s.Points())-1].X; got != n-1 {
		t.Errorf("ends at %v", got)
	}
	s.Add(50_000, 3) // resumed from there
	if got := s.Points()[len(s.Points())-1].X; got != 50_000 {
		t.Errorf("after going back it ends at %v", got)
	}
	if v := s.Values(64); len(v) != 64 {
		t.Errorf("%d values", len(v))
	}
}

func TestSpark(t *testing.T) {
	if got := Spark([]float64{0, 1, 2, math.NaN(), 7}, 6, 1, "")[0]; got != "▁▂▃ \x1b[7m\u00a0\x1b[m " {
		t.Errorf("%q", got)
	}
	if got := Bars([]float64{math.NaN(), 4, 8}, 6, 1, nil, "")[0]; got != "··▄▄\x1b[7m\u00a0\u00a0\x1b[m" {
		t.Errorf("%q", got)
	}
}

func TestLabel(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .05: "0.05", 48200: "48.2k", 1e6: "1M", 2e-5: "2e-5", -3: "-3", 1e20: "1e20"} {
		if got := Label(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func FuzzTicks(f *testing.F) {
	f.Add(0.01, 1.0, 6, true)
	f.Add(-1.0, 1.0, 3, false)
	f.Add(0.0, 1e300, 9, true)
	f.Fuzz(func(t *testing.T, low, high float64, n int, log bool) {
		if !finite(low) || !finite(high) || low > high || n < 1 || n > 100 {
			return
		}
		ticks := newAxis(low, high, log).ticks(n)
		if len(ticks) > n+1 {
			t.Errorf("%d ticks, asked for %d", len(ticks), n)
		}
		for _, v := range ticks {
			if utf8.RuneCountInString(Label(v)) > 8 {
				t.Errorf("label %q", Label(v))
			}
		}
	})
}
