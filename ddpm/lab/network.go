package lab

import (
	"context"
	"fmt"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// A Network is a trained network of the lab on a device.
type Network struct {
	Task     *Task
	Side, C  int            // of the images
	Batch    int            // images that Forward takes at most
	Schedule *ddpm.Schedule // of noise; for masks only its T counts

	// Prediction is what a network of head Noise says of x_t. From each kind the noise follows; zero is the noise itself.
	Prediction ddpm.Prediction

	// Forward computes out: [n,side,side,out] of x: [n,side,side,2C+2] at times t: [n], n at most Batch.
	Forward func(ctx context.Context, x []float32, t []int, out []float32) error
	Calls   int // network evaluations so far, one an image
}

// D is the number of values of an image.
func (n *Network) D() int { return n.Side * n.Side * n.C }

// A query asks what the network says of an image of which known is known.
type query struct {
	image []float32 // [D]
	known []bool    // [D]
}

// ask evaluates the network for any number of queries, given one by one by next until it returns false, and hands each answer,
// [side,side,out], to take in their order.
func (n *Network) ask(ctx context.Context, next func() (query, bool), take func(i int, q query, out []float32)) error {
	in, out := n.Task.Channels(n.C)
	pixels := n.Side * n.Side
	x, y, ts := make([]float32, n.Batch*pixels*in), make([]float32, n.Batch*pixels*out), make([]int, n.Batch)
	var queries []query
	done := 0
	flush := func() error {
		if len(queries) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		k := len(queries)
		if err := n.Forward(ctx, x[:k*pixels*in], ts[:k], y[:k*pixels*out]); err != nil {
			return err
		}
		n.Calls += k
		for i, q := range queries {
			take(done+i, q, y[i*pixels*out:(i+1)*pixels*out])
		}
		done += k
		queries = queries[:0]
		return nil
	}
	for {
		q, ok := next()
		if !ok {
			return flush()
		}
		k, hidden := len(queries), 0
		for _, v := range q.known {
			if !v {
				hidden++
			}
		}
		Assemble(x[k*pixels*in:(k+1)*pixels*in], q.image, q.known, n.Side, n.C)
		ts[k] = TimeOf(hidden, n.D(), n.Schedule.T())
		if queries = append(queries, q); len(queries) == n.Batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// list is next for queries that are there already.
func list(qs []query) func() (query, bool) {
	return func() (q query, ok bool) {
		if len(qs) == 0 {
			return q, false
		}
		q, qs = qs[0], qs[1:]
		return q, true
	}
}

// Floats are an image's bytes in [-1,1], as the network is trained on them.
func Floats(bytes []byte) []float32 {
	v := make([]float32, len(bytes))
	for i, b := range bytes {
		v[i] = float32(b)/127.5 - 1
	}
	return v
}

// Predict is what the network says of image where it does not know it: [side,side,out].
func (n *Network) Predict(ctx context.Context, image []float32, known []bool) (out []float32, err error) {
	err = n.ask(ctx, list([]query{{image, known}}), func(_ int, _ query, y []float32) { out = append(out, y...) })
	return out, err
}

// params are the parameters of value v (pixel*C + channel) in the network's answer.
func (n *Network) params(out []float32, v int) []float32 {
	k := n.Task.Likelihood().Params()
	return out[v*k : (v+1)*k]
}

// masked is an error for a network of noise.
func (n *Network) masked() error {
	if !n.Task.Masked() {
		return fmt.Errorf("a network of head %s fills in no masks", n.Task.Head)
	}
	return nil
}
