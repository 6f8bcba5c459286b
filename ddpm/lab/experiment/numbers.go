package experiment

import (
	"context"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// These experiments need no network.

var forward = &Experiment{
	Name: "forward", Short: "from an image to noise: the ink drop",
	Explain: []string{
		"Every step keeps a little less of the image and adds a little Gaussian noise, until only noise is left.",
		"Any number of steps is one: x_t = sqrt(alphabar) x_0 + sqrt(1 - alphabar) eps. Both ways are compared.",
		"SNR is what is left of the image over the noise in it.",
	},
	Knobs: []Knob{KnobT, KnobSchedule, KnobSeed},
}

var schedule = &Experiment{
	Name: "schedule", Short: "beta, alphabar and SNR of each schedule",
	Explain: []string{
		"A schedule says how fast the noise comes. beta is the variance that a step adds, alphabar what is left of the image.",
		"The betas that the tutorial prints are those of the cosine schedule, uncapped, with T = 300 and not 1000.",
	},
	Knobs: []Knob{KnobT, KnobSchedule},
}

var gaussian = &Experiment{
	Name: "gaussian", Short: "why normal noise: the bell, its sums, and what is not normal",
	Explain: []string{
		"Sums of independent normals are normal, with the variances added: that is why any number of noising steps is one.",
		"The sum of two uniforms is no uniform: with such noise x_t would have another shape at every t.",
		"mu + sigma eps draws from N(mu, sigma^2) in a way that one can differentiate through.",
	},
	Knobs: []Knob{KnobSeed},
}

func init() {
	forward.run, schedule.run, gaussian.run = runForward, runSchedule, runGaussian
}

func (j *job) schedule() (*ddpm.Schedule, error) {
	return ddpm.NewSchedule(ddpm.ScheduleConfig{Kind: j.p.Schedule, T: j.p.T})
}

func runForward(ctx context.Context, j *job) (any, error) {
	s, err := j.schedule()
	if err != nil {
		return nil, err
	}
	set, err := j.set(ctx)
	if err != nil {
		return nil, err
	}
	const levels = 8
	f := lab.NewForward(s, 20000, min(levels, s.T()), j.p.Seed)
	count := len(f.Levels) + 1
	image := int(j.p.Seed % uint64(set.N))
	strip := f.Strip(s, lab.Floats(set.Bytes(image)), j.p.Seed)
	picture := Picture{"strip", "x_0, then x_t to x_T", model.Grid(strip, count, set.Size, set.Channels, count), 1, count}
	var figures []Figure
	bar, snr := Line{Name: "alphabar"}, Line{Name: "SNR"}
	for t := range s.T() {
		bar.X, bar.Y = append(bar.X, float64(t+1)), append(bar.Y, s.AlphasCumprod[t])
		snr.X, snr.Y = append(snr.X, float64(t+1)), append(snr.Y, s.SNR[t])
	}
	for i, l := range f.Levels {
		m := f.Moments[i]
		figures = append(figures, Figure{fmt.Sprintf("t = %d", l.T), fmt.Sprintf("alphabar %.4g, SNR %.3g", l.AlphaBar, l.SNR),
			fmt.Sprintf("mean %.3f by steps, %.3f at once; variance %.3f, %.3f", m.StepMean, m.OnceMean, m.StepVariance, m.OnceVariance)})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	figures = append(figures,
		Figure{"both ways", yes(f.Agree, "agree", "differ"), "in mean and variance, within 4 standard errors"},
		Figure{"x_T is normal", yes(f.Final.Same, "yes", "no"), fmt.Sprintf("Kolmogorov-Smirnov %.4f, critical %.4f", f.Final.D, f.Final.Critical)})
	j.emit(Frame{Phase: "done", Done: 1, Total: 1, Pictures: []Picture{picture}, Figures: figures, Charts: []Chart{
		{Name: "alphabar", X: "t", Y: "alphabar", Lines: []Line{bar}}, {Name: "SNR", X: "t", Y: "SNR", LogY: true, Lines: []Line{snr}},
	}})
	return f, nil
}

// Schedules is what schedule measures.
type Schedules struct {
	Curves  []lab.Curve `json:"schedules"`
	Printed []lab.Match `json:"printed_betas_found"`
}

func runSchedule(_ context.Context, j *job) (any, error) {
	curves, err := lab.Schedules(j.p.T)
	if err != nil {
		return nil, err
	}
	found, err := lab.FindPrinted(300, 1000, j.p.T)
	if err != nil {
		return nil, err
	}
	charts := []Chart{{Name: "alphabar", X: "t", Y: "alphabar"}, {Name: "beta", X: "t", Y: "beta", LogY: true}, {Name: "SNR", X: "t", Y: "SNR", LogY: true}}
	var figures []Figure
	for _, c := range curves {
		x := make([]float64, c.T)
		for t := range x {
			x[t] = float64(t + 1)
		}
		for i, y := range [][]float64{c.AlphaBar, c.Beta, c.SNR} {
			charts[i].Lines = append(charts[i].Lines, Line{Name: c.Schedule, X: x, Y: y})
		}
		figures = append(figures, Figure{c.Schedule, fmt.Sprintf("beta %.4g to %.4g", c.Beta[0], c.Beta[c.T-1]), fmt.Sprintf("alphabar %.3g at the end", c.AlphaBar[c.T-1])})
	}
	seen := map[string]bool{}
	for _, m := range found {
		s := fmt.Sprintf("%s, T = %d", m.Schedule, m.T)
		name := fmt.Sprintf("printed %.6g", m.Printed)
		if m.Beta < 1 && !seen[name+s] {
			seen[name+s] = true
			figures = append(figures, Figure{name, fmt.Sprintf("t = %d of %s", m.Place, s), fmt.Sprintf("%.16g", m.Beta)})
		}
	}
	// The chosen one comes last, where it is drawn on top.
	for i := range charts {
		for k, l := range charts[i].Lines {
			if l.Name == j.p.Schedule {
				charts[i].Lines = append(append(charts[i].Lines[:k:k], charts[i].Lines[k+1:]...), l)
				break
			}
		}
	}
	j.emit(Frame{Phase: "done", Done: 1, Total: 1, Figures: figures, Charts: charts})
	return &Schedules{curves, found}, nil
}

func runGaussian(_ context.Context, j *job) (any, error) {
	j.emit(Frame{Phase: "drawing"})
	g := lab.NewGaussian(200000, j.p.Seed)
	drawn, bell := Line{Name: "drawn", Steps: true}, Line{Name: "bell"}
	for i, h := range g.Histogram {
		x := -4 + 8*(float64(i)+0.5)/lab.Bins
		drawn.X, drawn.Y = append(drawn.X, x), append(drawn.Y, h)
		bell.X, bell.Y = append(bell.X, x), append(bell.Y, lab.Density(x, 0, 1))
	}
	ks := func(k lab.KS) string {
		return fmt.Sprintf("%s (KS %.4f, critical %.4f)", yes(k.Same, "yes", "no"), k.D, k.Critical)
	}
	figures := []Figure{
		{"drawn", fmt.Sprint(g.N), fmt.Sprintf("mean %.4f, variance %.4f", g.Mean, g.Variance)},
		{"standard normal?", ks(g.Normal), ""},
	}
	for _, w := range g.Within {
		figures = append(figures, Figure{fmt.Sprintf("within %d dev", w.K), fmt.Sprintf("%.2f %%", 100*w.Measured), fmt.Sprintf("%.2f %% expected", 100*w.Expected)})
	}
	figures = append(figures,
		Figure{"0.8 x + 0.6 y", fmt.Sprintf("variance %.4f", g.Sum.Variance), "independent: normal? " + ks(g.Sum.Shape)},
		Figure{"x + x", fmt.Sprintf("variance %.4f", g.Dependent.Variance), "not independent: 4 and not 2"},
		Figure{"u + v of uniforms", fmt.Sprintf("variance %.4f", g.Uniform.Variance), "uniform again? " + ks(g.Uniform.Shape)},
		Figure{"mu + sigma eps", ks(g.Shifted), fmt.Sprintf("against N(%g, %g^2)", g.Mu, g.Sigma)})
	for _, p := range g.Slopes {
		figures = append(figures, Figure{"d E[sin z] / d " + p.By, fmt.Sprintf("%.5f", p.Pathwise), fmt.Sprintf("%.5f by differences, %.5f exact", p.Difference, p.Exact)})
	}
	j.emit(Frame{Phase: "done", Done: 1, Total: 1, Figures: figures, Charts: []Chart{{Name: "histogram and bell", X: "x", Y: "density", Lines: []Line{drawn, bell}}}})
	return g, nil
}
