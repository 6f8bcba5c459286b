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
}

// replaySteps is how many operations the longer programs have.
const replaySteps = 1000

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
	_, err = fmt.Fprintf(out, "replay on %s: %.1f us to submit a program and wait for it; each operation more costs %.2f us, or %.2f us if it waits for the one before\n",
		where(i), c.Submit*1e6, c.Independent*1e6, c.Dependent*1e6)
	return err
}

// replay measures the cost of a replay: the best of so many runs.
func replay(ctx context.Context, b backend.Backend, iters int) (c replayCost, err error) {
	for _, x := range []struct {
		steps int
		chain bool
		to    *float64
	}{{1, false, &c.Submit}, {replaySteps, false, &c.Independent}, {replaySteps, true, &c.Dependent}} {
		if *x.to, err = replayTime(ctx, b, iters, x.steps, x.chain); err != nil {
			return c, err
		}
	}
	c.Independent = max(0, c.Independent-c.Submit) / (replaySteps - 1)
	c.Dependent = max(0, c.Dependent-c.Submit) / (replaySteps - 1)
	return c, nil
}

// replayTime is the seconds of a program of so many operations on 64 numbers, each of the last one's if it is a chain.
func replayTime(ctx context.Context, b backend.Backend, iters, steps int, chain bool) (best float64, err error) {
	const n = 64
	m := model.NewMemory(b)
	defer func() { err = errors.Join(err, m.Close()) }()
	g, err := graph.Build(func(g *graph.Graph) {
		first := graph.State("x", 0, graph.F32(1, 1, 1, n), "x")
		v := first
		for i := range steps {
			if !chain {
				v = first
			}
			v = g.Scale(v, 1, 1)
			if !chain || i == steps-1 {
				graph.Keep(v, "y", 4*n*i)
			}
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
	for i := range iters + 1 {
		start := time.Now()
		if err := es[0].Run(ctx, 1); err != nil {
			return 0, err
		}
		if took := time.Since(start).Seconds(); i == 1 || i > 0 && took < best {
			best = took
		}
	}
	return best, nil
}
