package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// replayCost is what a replay costs beside what its operations do, measured with operations that do next to nothing. Seconds.
type replayCost struct {
	Submit      float64 `json:"submit_s"`      // one operation, submitted and waited for
	Independent float64 `json:"independent_s"` // one more operation that waits for nothing
	Dependent   float64 `json:"dependent_s"`   // one more operation that waits for the one before
	Apart       float64 `json:"apart_s"`       // a step of shortSteps operations: submitted, waited for, its result read
	Together    float64 `json:"together_s"`    // such a step, of togetherSteps that are submitted together
}

// replaySteps is how many operations the longer programs have, shortSteps how many one has that is like a small network's training step,
// and togetherSteps how many of those go together.
const replaySteps, shortSteps, togetherSteps = 1000, 200, 32

// replayNumbers is what each operation works on.
const replayNumbers = 64

func (c *replayCost) String() string {
	return fmt.Sprintf("%.1f us to submit a program and wait for it; each operation more costs %.2f us, or %.2f us if it waits for the one before; "+
		"a step of %d operations takes %.1f us if the host waits for each, %.1f us if %d are submitted together",
		c.Submit*1e6, c.Independent*1e6, c.Dependent*1e6, shortSteps, c.Apart*1e6, c.Together*1e6, togetherSteps)
}

// printReplay measures and prints the cost of a replay.
func printReplay(ctx context.Context, out io.Writer, b backend.Backend, iters int, asJSON bool) error {
	c, err := replay(ctx, b, iters)
	if err != nil {
		return err
	}
	i := b.Info()
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"backend": i.Backend, "device": i.Device, "isa": i.ISA, "mode": "replay", "replay": c})
	}
	_, err = fmt.Fprintf(out, "replay on %s: %v\n", where(i), c)
	return err
}

// replay measures the cost of a replay: the best of so many runs.
func replay(ctx context.Context, b backend.Backend, iters int) (*replayCost, error) {
	c := new(replayCost)
	for _, x := range []struct {
		steps, times int
		chain        bool
		to           *float64
	}{
		{1, 1, false, &c.Submit}, {replaySteps, 1, false, &c.Independent}, {replaySteps, 1, true, &c.Dependent},
		{shortSteps, 1, true, &c.Apart}, {shortSteps, togetherSteps, true, &c.Together},
	} {
		var err error
		if *x.to, err = replayTime(ctx, b, iters, x.steps, x.times, x.chain, x.steps == shortSteps); err != nil {
			return nil, err
		}
	}
	c.Independent = max(0, c.Independent-c.Submit) / (replaySteps - 1)
	c.Dependent = max(0, c.Dependent-c.Submit) / (replaySteps - 1)
	return c, nil
}

// replayTime is the seconds of each of so many replays, submitted together, of a program of so many operations, each of the last one's
// result if it is a chain. Where it is read, the host gets a result of each replay.
func replayTime(ctx context.Context, b backend.Backend, iters, steps, times int, chain, read bool) (best float64, err error) {
	const n = replayNumbers
	m := model.NewMemory(b)
	defer func() { err = errors.Join(err, m.Close()) }()
	g, err := graph.Build(func(g *graph.Graph) {
		first := graph.State("x", 0, graph.F32(1, 1, 1, n), "x")
		v := first
		for i := range steps {
			if !chain {
				graph.Keep(g.Scale(first, 1, 1), "y", 4*n*i)
				continue
			}
			v = g.Scale(v, 1, 1)
		}
		if chain {
			graph.Keep(v, "y", 0)
		}
	})
	if err != nil {
		return 0, err
	}
	p, _, err := m.Plan("replay", g)
	if err != nil {
		return 0, err
	}
	es, err := m.Compile(p)
	if err != nil {
		return 0, err
	}
	results := make([][]byte, times)
	for i := range results {
		results[i] = make([]byte, 4*n)
	}
	run := func() error {
		y := m.Buffer("y")
		if r, ok := es[0].(backend.Recorder); ok && times > 1 {
			return r.RunRecorded(ctx, y, results)
		}
		for _, result := range results {
			if err := es[0].Run(ctx, 1); err != nil {
				return err
			}
			if !read {
				continue
			}
			if err := y.Read(0, result); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range iters + 1 {
		start := time.Now()
		if err := run(); err != nil {
			return 0, err
		}
		if took := time.Since(start).Seconds() / float64(times); i == 1 || i > 0 && took < best {
			best = took
		}
	}
	return best, nil
}
