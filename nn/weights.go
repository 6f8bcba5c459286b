package nn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// Files hold weights as PyTorch does, a convolution's as [O,I,KH,KW]; the graph wants [O,KH,KW,I]. This file is the only
// place that knows both.

func fileShape(kind Kind, s graph.Shape) []int {
	switch kind {
	case ConvWeight:
		return []int{s[0], s[3], s[1], s[2]}
	case LinearWeight:
		return []int{s[0], s[3]}
	}
	return s
}

// each calls f with the place of every element in the file and in the parameter's part of the flat buffer.
func (q *Param) each(f func(file, flat int)) {
	if q.Kind != ConvWeight {
		for i := range q.Shape.Elems() {
			f(i, i)
		}
		return
	}
	O, KH, KW, I := q.Shape[0], q.Shape[1], q.Shape[2], q.Shape[3]
	file := 0
	for o := range O {
		for i := range I {
			for k := range KH * KW {
				f(file, (o*KH*KW+k)*I+i)
				file++
			}
		}
	}
}

// oldNames are the attention layers' names in checkpoints from before diffusers 0.15.
var oldNames = strings.NewReplacer(".query.", ".to_q.", ".key.", ".to_k.", ".value.", ".to_v.", ".proj_attn.", ".to_out.0.")

// Decode fills flat: [Elems] from a file under diffusers' names. Every parameter must be there, in its shape, and nothing
// else; flat is unchanged if not.
func (p *Params) Decode(flat []float32, file *safetensors.File) error {
	if len(flat) != p.elems {
		return fmt.Errorf("nn: a buffer of %d floats for parameters that want %d", len(flat), p.elems)
	}
	in := map[string]string{} // our name to the file's
	var unexpected []string
	for _, name := range file.Names() {
		if ours := oldNames.Replace(name); p.byName[ours] != nil && in[ours] == "" {
			in[ours] = name
		} else {
			unexpected = append(unexpected, name)
		}
	}
	var missing []string
	values := make([][]float32, len(p.list))
	for i, q := range p.sorted() {
		name, ok := in[q.Name]
		if !ok {
			missing = append(missing, q.Name)
			continue
		}
		t, err := file.Tensor(name)
		if err != nil {
			return err
		}
		if !t.HasShape(q.FileShape...) {
			return fmt.Errorf("nn: %s: tensor %q has shape %v, the config wants %v", file.Path, name, t.Shape, q.FileShape)
		}
		if values[i], err = t.Float32s(); err != nil {
			return err
		}
	}
	if missing != nil || unexpected != nil {
		slices.Sort(unexpected)
		return fmt.Errorf("nn: %s does not fit the config:%s%s", file.Path, some(" missing", missing), some(" unexpected", unexpected))
	}
	clear(flat)
	for i, q := range p.sorted() {
		q.each(func(file, at int) { flat[q.Offset+at] = values[i][file] })
	}
	return nil
}

// Encode returns the parameters in flat: [Elems] as a file's tensors, sorted by name. The gradients, the moments and the
// average have the same layout.
func (p *Params) Encode(flat []float32) []safetensors.Tensor {
	var tensors []safetensors.Tensor
	for _, q := range p.sorted() {
		values := make([]float32, q.Shape.Elems())
		q.each(func(file, at int) { values[file] = flat[q.Offset+at] })
		tensors = append(tensors, safetensors.Float32(q.Name, q.FileShape, values))
	}
	return tensors
}

// some lists names, the first few of them.
func some(what string, names []string) string {
	const most = 5
	switch n := len(names); {
	case n == 0:
		return ""
	case n > most:
		return fmt.Sprintf("%s %d tensors (%s, ...)", what, n, strings.Join(names[:most], ", "))
	default:
		return fmt.Sprintf("%s %s", what, strings.Join(names, ", "))
	}
}
