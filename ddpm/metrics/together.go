package metrics

import (
	"context"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// together computes those chunks of a task that all (at rank 0) lacks, on all ranks: in rounds, one chunk a rank. Rank 0 keeps what comes of
// each round, so that the end of the job costs a round at most. Of a chain rank 0 makes all, and the others get the last. In the end all
// ranks have what one process would have.
func together(ctx context.Context, w *Work, t task, dir string, all [][]float32, first int, p Progress, compute func(int, []float32, func(float64)) ([]float32, error)) ([][]float32, error) {
	c := w.Comm
	start := time.Now()
	done := func(i int, chunk []float32) error {
		all[i] = chunk
		p.Done++
		p.Left = time.Since(start).Seconds() / max(p.Done-float64(p.Kept), 1) * (p.Total - p.Done)
		w.say(p)
		if w.Dir == "" {
			return nil
		}
		return writeChunk(chunkPath(dir, i), chunk)
	}
	quiet := func(float64) {}
	if t.chain {
		for i := first; i < t.n && c.Rank() == 0; i++ {
			var before []float32
			if i > 0 {
				before = all[i-1]
			}
			chunk, err := compute(i, before, quiet)
			if err == nil {
				err = done(i, chunk)
			}
			if err != nil {
				return nil, err
			}
		}
		last, err := everywhere(w, all[t.n-1])
		return [][]float32{last}, err
	}
	var missing []int
	if c.Rank() == 0 {
		for i, chunk := range all {
			if chunk == nil {
				missing = append(missing, i)
			}
		}
	}
	if err := dist.Tell(c, &missing); err != nil {
		return nil, err
	}
	for at := 0; at < len(missing); at += c.Size() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var chunk []float32
		var err error
		if k := at + c.Rank(); k < len(missing) {
			chunk, err = compute(missing[k], nil, quiet)
		}
		if ctx.Err() != nil { // all are told to stop
			return nil, ctx.Err()
		}
		if err := dist.Agree(c, err); err != nil { // else the others would wait for who failed
			return nil, err
		}
		list, err := c.Gather(model.BytesOf(chunk))
		if err != nil {
			return nil, err
		}
		for r := range min(len(list), len(missing)-at) {
			if err := done(missing[at+r], floatsOf(list[r])); err != nil {
				return nil, err
			}
		}
	}
	for i := range all {
		var err error
		if all[i], err = everywhere(w, all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// everywhere gives rank 0's numbers to all ranks.
func everywhere(w *Work, v []float32) ([]float32, error) {
	n := len(v)
	if err := dist.Tell(w.Comm, &n); err != nil {
		return nil, err
	}
	if w.Comm.Rank() != 0 {
		v = make([]float32, n)
	}
	return v, w.Comm.Broadcast(0, model.BytesOf(v))
}

// floatsOf are the numbers in memory that another rank sent.
func floatsOf(p []byte) []float32 {
	v := make([]float32, len(p)/4)
	copy(model.BytesOf(v), p)
	return v
}
