package dist

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// An AgreedError is an error that all ranks know of: each of them ends in order. Rank 0's says all that there is to say.
type AgreedError struct {
	Err   error
	fault *run.Fault // of the rank that had it; nil: Err's
}

func (e *AgreedError) Error() string { return e.Err.Error() }
func (e *AgreedError) Unwrap() error { return e.Err }

// Fault implements what run.FaultOf looks for.
func (e *AgreedError) Fault() *run.Fault {
	if e.fault == nil {
		return run.FaultOf(e.Err)
	}
	return e.fault
}

// report is what a rank says of its error.
type report struct {
	Text  string `json:"text,omitempty"`
	Fault string `json:"fault,omitempty"`
	Host  string `json:"host,omitempty"`
}

// Agree brings the ranks' errors together, nil where there is none: if any rank has one, all return an *AgreedError. All ranks call it.
func Agree(c Comm, err error) error {
	if c.Size() == 1 {
		return err
	}
	r := report{Host: self().Host}
	if err != nil {
		r.Text = err.Error()
		if f := run.FaultOf(err); f != nil {
			r.Fault = f.Name
		}
	}
	all, broken := GatherJSON(c, r)
	if broken != nil {
		return broken
	}
	var verdict report
	if c.Rank() == 0 {
		verdict = judge(all)
	}
	if broken := Tell(c, &verdict); broken != nil {
		return broken
	}
	if verdict.Text == "" {
		return nil
	}
	e := &AgreedError{Err: errors.New(verdict.Text), fault: run.FaultNamed(verdict.Fault)}
	if err != nil && c.Rank() == 0 && verdict.Text == err.Error() {
		e.Err = err // with all that it is
	}
	return e
}

// judge makes one report of all ranks'. What all ranks say alike, or rank 0 alone, is said as one process would.
func judge(all []report) report {
	var verdict report
	var parts []string
	for r, one := range all {
		if one.Text == "" {
			continue
		}
		if verdict.Fault == "" {
			verdict.Fault = one.Fault
		}
		parts = append(parts, fmt.Sprintf("%s: %s", Who(r, one.Host), one.Text))
	}
	verdict.Text = strings.Join(parts, "; ")
	if all[0].Text != "" && (len(parts) == 1 || sameText(all)) {
		verdict.Text = all[0].Text
	}
	return verdict
}

func sameText(all []report) bool {
	for _, r := range all {
		if r.Text != all[0].Text {
			return false
		}
	}
	return true
}

// A Fact is something that all ranks must have alike.
type Fact struct {
	Name  string `json:"name"` // for people
	Value string `json:"value"`
}

// A DifferError says that ranks differ in what they must have alike.
type DifferError struct{ Text string }

func (e *DifferError) Error() string {
	return e.Text + ": the ranks differ, and would not train one model: start all of them with the same program, arguments and images"
}

// Fault implements what run.FaultOf looks for.
func (e *DifferError) Fault() *run.Fault { return &run.FaultDiffer }

// Same makes sure that every rank has rank 0's facts. If not, all ranks return an *AgreedError, of a *DifferError at rank 0. All ranks
// call it.
func Same(c Comm, facts []Fact) error {
	if c.Size() == 1 {
		return nil
	}
	type claim struct {
		Host  string `json:"host"`
		Facts []Fact `json:"facts"`
	}
	all, err := GatherJSON(c, claim{self().Host, facts})
	if err != nil {
		return err
	}
	var differ error
	var texts []string
	for r, one := range all {
		if d := difference(facts, one.Facts); d != "" {
			texts = append(texts, Who(r, one.Host)+" has "+d)
		}
	}
	if len(texts) > 8 {
		texts = append(texts[:8], fmt.Sprintf("%d more ranks differ too", len(texts)-8))
	}
	if texts != nil {
		differ = &DifferError{strings.Join(texts, "; ")}
	}
	return Agree(c, differ)
}

// difference says in what a rank's facts differ from rank 0's, "" if in nothing.
func difference(want, got []Fact) string {
	w, g := map[string]string{}, map[string]string{}
	for _, f := range want {
		w[f.Name] = f.Value
	}
	for _, f := range got {
		g[f.Name] = f.Value
	}
	var texts []string
	for _, f := range append(want[:len(want):len(want)], got...) {
		text := fmt.Sprintf("%s %s, rank 0 %s", f.Name, orNone(g[f.Name]), orNone(w[f.Name]))
		if w[f.Name] != g[f.Name] && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if len(texts) > 4 {
		texts = append(texts[:4], fmt.Sprintf("%d other differences", len(texts)-4))
	}
	return strings.Join(texts, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// FactsOf are the leaves of v's JSON, each by its path.
func FactsOf(v any) ([]Fact, error) {
	p, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(p, &tree); err != nil {
		return nil, err
	}
	var list []Fact
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if m, ok := v.(map[string]any); ok {
			for k, w := range m {
				walk(strings.TrimPrefix(path+"."+k, "."), w)
			}
			return
		}
		leaf, _ := json.Marshal(v) // it was JSON a moment ago
		list = append(list, Fact{path, string(leaf)})
	}
	walk("", tree)
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}
