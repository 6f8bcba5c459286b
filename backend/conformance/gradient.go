package conformance

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// Central differences in float64: with a step of 1e-5 both the curvature left out and the rounding stay near 1e-10.
const (
	gradientTol  = 1e-6
	gradientStep = 1e-5
	directions   = 3 // that each input is moved in
)

// Gradients compares the gradient rule of every op that has one with central differences of its reference, in float64: those
// cases whose "op/case" contains only, which is all for "". An op with a rule that no case checks fails.
func Gradients(only string) []Result { return gradientsOf(graph.Ops(), only) }

func gradientsOf(ops []*graph.Op, only string) []Result {
	results := walk(ops, only, func(op *graph.Op, c graph.Case) []Result {
		if len(c.Grad) == 0 {
			return nil
		}
		r := Result{Op: op.Name, Case: c.Name, Variant: "gradient", Tol: gradientTol}
		r.Diff, r.Err = guarded(func() (float64, error) { return checkGradient(op, c) })
		return []Result{r}
	})
	for _, op := range ops {
		checked := slices.ContainsFunc(op.Cases, func(c graph.Case) bool { return len(c.Grad) > 0 })
		if op.VJP != nil && !checked && strings.Contains(op.Name+"/", only) {
			results = append(results, Result{Op: op.Name, Variant: "gradient", Err: errors.New("no case checks the op's gradient")})
		}
	}
	return results
}

// checkGradient compares <VJP(c), d> with the difference of <c, Ref(x)> along d, for each input x that the case names and
// random cotangents c.
func checkGradient(op *graph.Op, c graph.Case) (diff float64, err error) {
	if op.VJP == nil {
		return 0, errors.New("the case checks the gradient of an op that has none")
	}
	p, err := newProblem(op, c)
	if err != nil {
		return 0, err
	}
	r := source("gradient of " + op.Name + "/" + c.Name)
	cotangents := make([]*graph.Tensor, len(p.want))
	for i, w := range p.want {
		if w.DType == backend.F32 && !slices.Contains(c.NoGrad, i) {
			cotangents[i] = direction(r, w.Type)
		}
	}
	grads, err := p.vjp(c.Grad, cotangents)
	if err != nil {
		return 0, err
	}
	for k, i := range c.Grad {
		alone, err := p.vjp([]int{i}, cotangents)
		if err != nil {
			return diff, fmt.Errorf("asked for input %d alone: %w", i, err)
		}
		if _, err := compare(alone[0], grads[k], 0, 1); err != nil {
			return diff, fmt.Errorf("gradient of input %d depends on which others are asked for: %w", i, err)
		}
		for range directions {
			d := direction(r, p.in[i].Type)
			got, want := dot(grads[k].Data, d.Data), p.slope(i, d, cotangents)
			// Where the true slope along d happens to be small, so is no error: its size is that of the gradient.
			e := math.Abs(got-want) / max(math.Abs(want), math.Sqrt(dot(grads[k].Data, grads[k].Data)), 1e-12)
			if diff = max(diff, e); !(e <= gradientTol) {
				return diff, fmt.Errorf("gradient of input %d along a random direction is %.9g, by finite differences %.9g", i, got, want)
			}
		}
	}
	return diff, nil
}

func direction(r *rand.Rand, t graph.Type) *graph.Tensor {
	d := graph.NewTensor(t)
	for i := range d.Data {
		d.Data[i] = r.NormFloat64()
	}
	return d
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// vjp evaluates the gradients of the inputs in wrt, as the op's rule builds them.
func (p *problem) vjp(wrt []int, cotangents []*graph.Tensor) ([]*graph.Tensor, error) {
	buffers := map[string][]float64{}
	state := func(name string, t *graph.Tensor) *graph.Value {
		buffers[name] = slices.Clone(t.Data)
		return graph.State(name, 0, t.Type, name)
	}
	var grads []*graph.Value
	g, err := graph.Build(func(g *graph.Graph) {
		in := make([]*graph.Value, len(p.in))
		for i, t := range p.in {
			if t != nil {
				in[i] = state(fmt.Sprintf("in%d", i), t)
			}
		}
		out := g.Apply(p.op, p.attrs, in...)
		c := &graph.Cotangent{Graph: g, Node: out[0].Producer, Out: make([]*graph.Value, len(out)), Need: make([]bool, len(in))}
		for i, t := range cotangents {
			if t != nil {
				c.Out[i] = state(fmt.Sprintf("cotangent%d", i), t)
			}
		}
		for _, i := range wrt {
			c.Need[i] = true
		}
		grads = p.op.VJP(c)
	})
	if err != nil {
		return nil, err
	}
	if len(grads) != len(p.in) {
		return nil, fmt.Errorf("the rule gives %d gradients for %d inputs", len(grads), len(p.in))
	}
	values := g.Eval(buffers)
	out := make([]*graph.Tensor, len(wrt))
	for k, i := range wrt {
		v := grads[i]
		if v == nil {
			return nil, fmt.Errorf("the rule gives no gradient for input %d", i)
		}
		if v.DType != backend.F32 || !v.Shape.Equal(p.in[i].Shape) {
			return nil, fmt.Errorf("the gradient of input %d is %v, the input %v", i, v.Type, p.in[i].Type)
		}
		if v.Store != nil { // the cotangent itself
			out[k] = &graph.Tensor{Type: v.Type, Data: buffers[v.Store.Buffer]}
		} else {
			out[k] = values[v]
		}
	}
	return out, nil
}

// slope is the derivative of <cotangents, Ref(in)> as input i moves along d.
func (p *problem) slope(i int, d *graph.Tensor, cotangents []*graph.Tensor) float64 {
	at := func(h float64) float64 {
		in, out := slices.Clone(p.in), make([]*graph.Tensor, len(p.want))
		in[i] = graph.NewTensor(p.in[i].Type)
		for j, v := range p.in[i].Data {
			in[i].Data[j] = v + h*d.Data[j]
		}
		for j, w := range p.want {
			out[j] = graph.NewTensor(w.Type)
		}
		p.op.Ref(p.attrs, in, out)
		sum := 0.0
		for j, c := range cotangents {
			if c != nil {
				sum += dot(c.Data, out[j].Data)
			}
		}
		return sum
	}
	return (at(gradientStep) - at(-gradientStep)) / (2 * gradientStep)
}
