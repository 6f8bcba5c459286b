package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/nn/durable"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// The file of a part of a job's images: one tensor, and what job it is of.
const (
	partTensor = "images" // [n,H,W,C] bytes
	partJob    = "ddpm-tui job"
	partBegin  = "ddpm-tui first image"
	partOf     = "ddpm-tui images in all"
	partEnding = ".safetensors"
)

// A part is the images begin to end of the n of a job, made by one process of an array job, or all of them.
type part struct {
	begin, end, n int
	job           string // names all that the images depend on
}

// part is what this process, or all ranks together, make. A part of an array job goes into a file that is named after it.
func (f *sampleFlags) part() (part, error) {
	if f.shard == "" {
		return part{end: f.n, n: f.n}, nil
	}
	index, count, err := f.ranks.parseShard(f.shard)
	switch {
	case err != nil:
		return part{}, err
	case count > f.n:
		return part{}, fmt.Errorf("--shard %s: there are only %d images", f.shard, f.n)
	case f.gif != "":
		return part{}, errors.New("--gif and --shard exclude each other")
	}
	p := part{n: f.n}
	p.begin, p.end = dist.Share(f.n, index-1, count)
	f.output = partPath(f.output, index, count)
	return p, nil
}

// partPath is where a part goes of what all of an array job would write to path.
func partPath(path string, index, count int) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + fmt.Sprintf("-%0*d-of-%d%s", len(strconv.Itoa(count)), index, count, partEnding)
}

// parseShard reads 3/64.
func (r *ranks) parseShard(s string) (index, count int, err error) {
	if r.Size() > 1 {
		return 0, 0, errors.New("--shard is for processes that know nothing of each other: leave it out under mpirun and srun")
	}
	a, b, ok := strings.Cut(s, "/")
	index, err1 := strconv.Atoi(a)
	count, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || index < 1 || index > count {
		return 0, 0, fmt.Errorf("--shard %q: want a part and the number of parts, 1/64 to 64/64 for instance", s)
	}
	return index, count, nil
}

// sumOf names numbers.
func sumOf(v []float32) string {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, v) // a hash takes all
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// jobOf names a model and what is asked of it: parts of the same job fit together.
func jobOf(t *model.Trained, r model.Request) (string, error) {
	h := sha256.New()
	if t.Precision != "" && t.Precision != backend.FP32 {
		fmt.Fprintln(h, t.Precision)
	}
	err := json.NewEncoder(h).Encode([]any{
		sumOf(t.Weights), t.UNet, t.Schedule.Betas, r.Sampler, r.Options, r.N, r.Seed, r.First, r.Labels, r.Guidance, r.NullLabel, r.Toward, r.From, r.Inpaint,
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}

// write writes images to path: each is called once and writes them, [H,W,C] bytes, one behind the other. With the ending of parts they go
// to the disk as they come.
func (p part) write(path string, size, channels int, each func(w io.Writer) error) error {
	n := p.end - p.begin
	if filepath.Ext(path) == partEnding {
		return durable.File(path, 0o644, func(w io.Writer) error {
			head := []safetensors.Tensor{{Name: partTensor, DType: "U8", Shape: []int{n, size, size, channels}}}
			if err := safetensors.WriteHead(w, head, map[string]string{partJob: p.job, partBegin: strconv.Itoa(p.begin), partOf: strconv.Itoa(p.n)}); err != nil {
				return err
			}
			return each(w)
		})
	}
	var pixels bytes.Buffer
	if err := each(&pixels); err != nil {
		return err
	}
	x := make([]float32, pixels.Len())
	for i, v := range pixels.Bytes() {
		x[i] = float32(v)/127.5 - 1
	}
	return train.WritePNG(path, model.Grid(x, n, size, channels, model.Columns(n)))
}

func newMerge() *cobra.Command {
	c := &cobra.Command{
		Use: "merge PART...", Short: "Put the parts of an array job together", Args: args(1, 1<<20),
		Long: `Put the parts that ddpm-tui sample --shard made together: the images that one process would have made, in one file. Or those of eval
--shard: their work goes into the run's folder, and the numbers that one process would have found are printed and noted. Parts that are
missing, twice there, or of another job are named, and nothing is written.`,
		Example: `  ddpm-tui merge faces-*-of-64.safetensors -o faces.png
  ddpm-tui merge faces-*-of-64.safetensors -o faces.safetensors   # the images themselves
  ddpm-tui merge eval-*-of-64.safetensors                         # says how good the model is`,
	}
	output := c.Flags().StringP("output", "o", "grid.png", "where the images go: a grid, or with the ending .safetensors all of them as bytes [n,H,W,C]; of eval, the run")
	c.RunE = func(c *cobra.Command, files []string) error {
		if list, err := evalParts(files); err != nil || list != nil {
			if err != nil {
				return err
			}
			if c.Flags().Changed("output") {
				list[0].Run = *output
			}
			return mergeEval(c, list)
		}
		n, err := merge(*output, files)
		if err == nil {
			fmt.Fprintf(c.OutOrStdout(), "%d images of %d parts: %s\n", n, len(files), *output)
		}
		return err
	}
	return c
}

// merge writes the images of all parts, and returns how many there are. It holds the images of one part at a time.
func merge(output string, files []string) (int, error) {
	type piece struct {
		part
		path string
	}
	var list []piece
	var shape []int
	for _, path := range files {
		p, t, err := readPart(path)
		if err != nil {
			return 0, err
		}
		list = append(list, piece{p, path})
		if first := list[0]; p.job != first.job || p.n != first.n || shape != nil && !slices.Equal(shape, t.Shape[1:]) {
			return 0, fmt.Errorf("%s is of another job than %s: the weights, the seed or other arguments of sample differ", path, first.path)
		}
		shape = t.Shape[1:]
	}
	slices.SortStableFunc(list, func(a, b piece) int { return a.begin - b.begin })
	at := 0
	for _, p := range list {
		switch {
		case p.begin > at:
			return 0, fmt.Errorf("images %d to %d of %d are missing: the part before %s is not among the %d files", at, p.begin-1, p.n, p.path, len(files))
		case p.begin < at:
			return 0, fmt.Errorf("images from %d on are there twice: leave %s out, or the part before it", p.begin, p.path)
		}
		at = p.end
	}
	n := list[0].n
	if at != n {
		return 0, fmt.Errorf("images %d to %d of %d are missing: the last parts are not among the %d files", at, n-1, n, len(files))
	}
	whole := part{end: n, n: n, job: list[0].job}
	return n, whole.write(output, shape[0], shape[2], func(w io.Writer) error {
		for _, p := range list {
			again, t, err := readPart(p.path)
			if err == nil && again != p.part {
				err = fmt.Errorf("%s changed while it was read", p.path)
			}
			if err == nil {
				_, err = w.Write(t.Data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// readPart reads a part of a job's images.
func readPart(path string) (p part, t *safetensors.Tensor, err error) {
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return p, nil, err
	}
	if t, err = f.Tensor(partTensor); err != nil {
		return p, nil, err
	}
	begin, err1 := strconv.Atoi(f.Metadata[partBegin])
	n, err2 := strconv.Atoi(f.Metadata[partOf])
	if err1 != nil || err2 != nil || t.DType != "U8" || len(t.Shape) != 4 || t.Shape[1] != t.Shape[2] || (t.Shape[3] != 1 && t.Shape[3] != 3) {
		return p, nil, fmt.Errorf("%s is no part of a job: want a file that ddpm-tui sample --shard or eval --shard wrote", path)
	}
	return part{begin: begin, end: begin + t.Shape[0], n: n, job: f.Metadata[partJob]}, t, nil
}
