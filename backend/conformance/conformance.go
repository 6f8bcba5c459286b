// Package conformance holds every backend to the references of backend/graph.
//
// Check runs each case of each op on a backend and compares it with the op's float64 reference; Memory does the same for
// whole training steps, with and without shared memory; Gradients needs no backend: it compares each op's gradient rule
// with finite differences of its reference. All three walk the registry of ops, so a new op is covered by registering it,
// and one that has no cases fails.
//
// The package does not know the testing package: a person can ask for the same checks on their own device.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
)

// A Result is the outcome of one case of one op in one variant.
type Result struct {
	Op, Case, Variant string
	Err               error   // nil: it passed
	Diff              float64 // worst difference found, in the unit of Tol
	Tol               float64 // largest allowed
	Unsupported       bool    // the backend has no kernel for the op; Err says so too
}

func (r Result) name() string {
	s := r.Op
	for _, part := range []string{r.Case, r.Variant} {
		if part != "" {
			s += "/" + part
		}
	}
	return s
}

// defaultTol is the tolerance of a case that names none.
const defaultTol = 1e-5

// slack is what is added to the tolerance of an op whose kernel rounds its operands: both of a product, with some to spare for those of
// its terms that are larger than their sum.
func slack(b backend.Backend, op string, p backend.Precision) float64 {
	if r, ok := b.(backend.Rounder); ok {
		return 4 * r.Rounding(op, p)
	}
	return 0
}

// Err joins the errors of all results, each with the name of its op, case and variant.
func Err(results []Result) error {
	var errs []error
	for _, r := range results {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.name(), r.Err))
		}
	}
	return errors.Join(errs...)
}

// Check runs the cases of every op on b: those whose "op/case" contains only, which is all for "". Once ctx is
// cancelled, the cases left fail with its error.
func Check(ctx context.Context, b backend.Backend, only string) []Result {
	return CheckIn(ctx, b, backend.FP32, only)
}

// CheckIn is Check in programs of a precision. What kernels round (backend.Rounder) is added to what is allowed.
func CheckIn(ctx context.Context, b backend.Backend, precision backend.Precision, only string) []Result {
	return checkOps(ctx, b, graph.Ops(), precision, only)
}

func checkOps(ctx context.Context, b backend.Backend, ops []*graph.Op, precision backend.Precision, only string) []Result {
	return walk(ops, only, func(op *graph.Op, c graph.Case) []Result {
		if err := ctx.Err(); err != nil {
			return []Result{{Op: op.Name, Case: c.Name, Err: err}}
		}
		h := halver(b)
		pose := func(c graph.Case, precision backend.Precision) (*problem, error) {
			p, err := newProblem(op, c)
			if err != nil {
				return nil, err
			}
			p.precision, p.slack = precision, slack(b, "conv2d", precision)
			p.tol += slack(b, op.Name, precision)
			if h != nil && precision == backend.FP16 {
				p.halfTol(h)
			}
			return p, nil
		}
		p, err := pose(c, precision)
		if err != nil {
			return []Result{{Op: op.Name, Case: c.Name, Err: err}}
		}
		var results []Result
		for _, v := range variants {
			if v.apart && (precision != backend.FP32 || len(apart(b, p)) == 0) {
				continue
			}
			if v.half {
				if precision != backend.FP16 || h == nil || !takesHalfs(h, op.Name, c) {
					continue
				}
				if p, err = pose(halved(h, op, c), precision); err != nil {
					return append(results, Result{Op: op.Name, Case: c.Name, Variant: v.name, Err: err})
				}
			}
			if !v.half && precision == backend.FP16 && h != nil && slack(b, op.Name, precision) == 0 {
				continue // without halfs there is nothing that fp32 does not show
			}
			r := Result{Op: op.Name, Case: c.Name, Variant: v.name, Tol: p.tol}
			if v.arena && p.rounded != nil {
				r.Tol += slices.Max(p.rounded)
			}
			r.Diff, r.Err = guarded(func() (float64, error) { return v.check(ctx, b, p) })
			r.Unsupported = errors.Is(r.Err, backend.ErrUnsupported)
			results = append(results, r)
			if r.Unsupported {
				break // it would be for the same reason in the others
			}
		}
		return results
	})
}

// walk calls f with each case that only selects. An op without cases, and a selection of nothing, fail.
func walk(ops []*graph.Op, only string, f func(*graph.Op, graph.Case) []Result) []Result {
	var results []Result
	selected := 0
	for _, op := range ops {
		if len(op.Cases) == 0 && strings.Contains(op.Name+"/", only) {
			selected++
			results = append(results, Result{Op: op.Name, Err: errors.New("the op has no cases")})
		}
		for _, c := range op.Cases {
			if strings.Contains(op.Name+"/"+c.Name, only) {
				selected++
				results = append(results, f(op, c)...)
			}
		}
	}
	if selected == 0 {
		results = append(results, Result{Op: only, Err: fmt.Errorf("no op's case matches %q", only)})
	}
	return results
}

// guarded turns a panic of f into an error: one broken kernel shall not hide the state of the others.
func guarded(f func() (float64, error)) (diff float64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}
