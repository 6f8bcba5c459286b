package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/ddpm/metrics"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// partEval is the key of a file's metadata that has an evalPart, as JSON.
const partEval = "ddpm-tui eval"

// An evalPart says what the file of a part of an evaluation is part of.
type evalPart struct {
	Job   string   `json:"job"` // names all that the numbers depend on
	Index int      `json:"index"`
	Count int      `json:"count"`
	Run   string   `json:"run"`
	Args  []string `json:"args"` // flags of eval that were given, but for those of one process alone

	path string // where it was read
}

// alone are the flags of eval that each part may have of its own.
var alone = []string{"shard", "output", "json", "backend", "device", "threads", "distributed", "rank-timeout"}

// part is what --shard asks for, of an evaluation with these facts.
func (f *evalFlags) part(c *cobra.Command, path string, facts any) (evalPart, error) {
	p := evalPart{Run: path}
	var err error
	if p.Index, p.Count, err = f.ranks.parseShard(f.shard); err != nil {
		return p, usageError{err}
	}
	c.Flags().Visit(func(fl *pflag.Flag) {
		if !slices.Contains(alone, fl.Name) {
			p.Args = append(p.Args, "--"+fl.Name+"="+fl.Value.String())
		}
	})
	h := sha256.New()
	err = json.NewEncoder(h).Encode([]any{facts, p.Args})
	p.Job = hex.EncodeToString(h.Sum(nil)[:8])
	return p, err
}

// write writes the part's file, and says so.
func (p evalPart) write(c *cobra.Command, w *metrics.Work, f *evalFlags) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := partPath(f.output, p.Index, p.Count)
	if err := w.WritePart(path, map[string]string{partEval: string(text)}); err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(c.OutOrStdout()).Encode(map[string]any{"output": path, "part": p.Index, "parts": p.Count, "done": true})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "part %d of %d is done: %s; with all of them: ddpm-tui merge %s\n", p.Index, p.Count, path,
		filepath.Join(filepath.Dir(path), filepath.Base(partGlob(f.output, p.Count))))
	return err
}

// partGlob is a shell's pattern for all parts.
func partGlob(path string, count int) string {
	return path[:len(path)-len(filepath.Ext(path))] + fmt.Sprintf("-*-of-%d%s", count, partEnding)
}

// evalParts are the parts of an evaluation in files, in order, or nil if the first of them is none.
func evalParts(files []string) ([]evalPart, error) {
	var list []evalPart
	for i, path := range files {
		f, err := safetensors.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text, is := f.Metadata[partEval]
		if !is && i == 0 {
			return nil, nil
		}
		p := evalPart{path: path}
		if err := json.Unmarshal([]byte(text), &p); err != nil || p.Count < 1 || p.Index < 1 || p.Index > p.Count {
			return nil, fmt.Errorf("%s is no part of an evaluation, as %s is: want files that ddpm-tui eval --shard wrote", path, files[0])
		}
		if i > 0 && (p.Job != list[0].Job || p.Count != list[0].Count) {
			return nil, fmt.Errorf("%s is of another job than %s: the weights, the seed, the number of parts or other arguments of eval differ", path, list[0].path)
		}
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(a, b evalPart) int { return a.Index - b.Index })
	for i, p := range list {
		switch {
		case p.Index > i+1:
			return nil, fmt.Errorf("part %d of %d is not among the %d files", i+1, p.Count, len(files))
		case p.Index < i+1:
			return nil, fmt.Errorf("part %d is there twice: leave %s out", p.Index, p.path)
		}
	}
	if n := list[0].Count; len(list) < n {
		return nil, fmt.Errorf("part %d of %d is not among the %d files", len(list)+1, n, len(files))
	}
	return list, nil
}

// mergeEval puts the parts' work into the run's folder and evaluates: what is left to do are the numbers that rest on all of it.
func mergeEval(c *cobra.Command, list []evalPart) error {
	folder, err := run.Open(list[0].Run)
	if err != nil {
		return fmt.Errorf("the run of these parts: %w; -o names it", err)
	}
	w := &metrics.Work{Dir: folder.Path(evalDir)}
	for _, p := range list {
		f, err := safetensors.ReadFile(p.path)
		if err != nil {
			return err
		}
		if err := w.TakePart(f); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "%d parts are in %s\n", len(list), folder.Path(evalDir))
	e := newEval()
	e.SetArgs(append([]string{list[0].Run}, list[0].Args...))
	e.SetOut(c.OutOrStdout())
	e.SetErr(c.ErrOrStderr())
	e.SilenceUsage, e.SilenceErrors = true, true
	return e.ExecuteContext(c.Context())
}
