package conformance

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes a table with a line for each op: how many cases and runs, how far the worst is from the reference beside what is
// allowed, and what failed first.
func Print(w io.Writer, results []Result) error {
	type line struct {
		op           string
		cases        map[string]bool
		runs, failed int
		worst        Result
		first        error
		unsupported  bool
	}
	var lines []*line
	byOp := map[string]*line{}
	ratio := func(r Result) float64 {
		if r.Tol == 0 {
			return r.Diff
		}
		return r.Diff / r.Tol
	}
	for _, r := range results {
		name := r.Op
		if r.Variant == halfVariant { // a line of its own, for it has other tolerances
			name += ", halfs"
		}
		l := byOp[name]
		if l == nil {
			l = &line{op: name, cases: map[string]bool{}, worst: r}
			byOp[name], lines = l, append(lines, l)
		}
		if r.Case != "" {
			l.cases[r.Case] = true
		}
		l.runs++
		if ratio(r) > ratio(l.worst) {
			l.worst = r
		}
		l.unsupported = l.unsupported || r.Unsupported
		if r.Err != nil {
			l.failed++
			if l.first == nil {
				l.first = fmt.Errorf("%s: %w", r.name(), r.Err)
			}
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "op\tcases\truns\tworst\tallowed\t")
	for _, l := range lines {
		verdict := "ok"
		switch {
		case l.unsupported:
			verdict = "unsupported"
		case l.failed > 0:
			verdict = fmt.Sprintf("%d FAILED: %v", l.failed, l.first)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1e\t%.1e\t%s\n", l.op, len(l.cases), l.runs, l.worst.Diff, l.worst.Tol, verdict)
	}
	return t.Flush()
}
