package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
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

// A part is the images begin to end of the n of a job, made by one rank, or by one process of an array of count.
type part struct {
	begin, end, n int
	index, count  int    // from 1; 0: not of an array
	job           string // names all that the images depend on
}

// part is what this process makes. A part of an array goes into a file that is named after it.
func (f *sampleFlags) part() (part, error) {
	p := part{n: f.n}
	if f.shard == "" {
		p.begin, p.end = dist.Share(f.n, f.ranks.Rank(), f.ranks.Size())
		return p, nil
	}
	var err error
	if p.index, p.count, err = parseShard(f.shard); err != nil {
		return p, err
	}
	switch {
	case f.ranks.Size() > 1:
		return p, errors.New("--shard is for processes that know nothing of each other: leave it out under mpirun and srun")
	case p.count > f.n:
		return p, fmt.Errorf("--shard %s: there are only %d images", f.shard, f.n)
	case f.gif != "":
		return p, errors.New("--gif and --shard exclude each other")
	}
	p.begin, p.end = dist.Share(f.n, p.index-1, p.count)
	f.output = strings.TrimSuffix(f.output, filepath.Ext(f.output)) + fmt.Sprintf("-%0*d-of-%d%s", len(strconv.Itoa(p.count)), p.index, p.count, partEnding)
	return p, nil
}

// parseShard reads 3/64.
func parseShard(s string) (index, count int, err error) {
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
	err := json.NewEncoder(h).Encode([]any{
		sumOf(t.Weights), t.UNet, t.Schedule.Betas, r.Sampler, r.Options, r.N, r.Seed, r.First, r.Labels, r.Guidance, r.NullLabel, r.Toward, r.From, r.Inpaint,
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}

// write writes this process's images x: [n,H,W,C], or at rank 0 those of all ranks, and says where they are.
func (p part) write(comm dist.Comm, path string, x []float32, size, channels int) (string, error) {
	pixels := make([]byte, len(x))
	for i, v := range x {
		pixels[i] = model.Byte(v)
	}
	pixels, err := gatherBytes(comm, pixels)
	if err != nil || comm.Rank() != 0 {
		return "", err
	}
	return path, p.save(path, pixels, size, channels)
}

// gatherMost is the most that each rank sends at once.
const gatherMost = 16 << 20

// gatherBytes is everybody's p, one behind the other, at rank 0. All ranks know how long the longest is: rank 0's, by dist.Share.
func gatherBytes(comm dist.Comm, p []byte) ([]byte, error) {
	if comm.Size() == 1 {
		return p, nil
	}
	longest := len(p)
	if err := dist.Tell(comm, &longest); err != nil {
		return nil, err
	}
	each := make([][]byte, comm.Size())
	most := max(1, gatherMost/comm.Size())
	for at := 0; at < longest; at += most {
		list, err := comm.Gather(p[min(at, len(p)):min(at+most, len(p))])
		if err != nil {
			return nil, err
		}
		for r, q := range list {
			each[r] = append(each[r], q...)
		}
	}
	return slices.Concat(each...), nil
}

// save writes images as a grid, or as they are.
func (p part) save(path string, pixels []byte, size, channels int) error {
	n := len(pixels) / (size * size * channels)
	if filepath.Ext(path) == partEnding {
		data, err := safetensors.Encode([]safetensors.Tensor{{Name: partTensor, DType: "U8", Shape: []int{n, size, size, channels}, Data: pixels}},
			map[string]string{partJob: p.job, partBegin: strconv.Itoa(p.begin), partOf: strconv.Itoa(p.n)})
		if err != nil {
			return err
		}
		return run.WriteFile(path, data, 0o644)
	}
	x := make([]float32, len(pixels))
	for i, v := range pixels {
		x[i] = float32(v)/127.5 - 1
	}
	return train.WritePNG(path, model.Grid(x, n, size, channels, model.Columns(n)))
}

func newMerge() *cobra.Command {
	c := &cobra.Command{
		Use: "merge PART...", Short: "Put the parts of an array job's images together", Args: args(1, 1<<20),
		Long: `Put the parts that ddpm-tui sample --shard made together: the images that one process would have made, in one file. Parts that are
missing, twice there, or of another job are named, and nothing is written.`,
		Example: `  ddpm-tui merge faces-*-of-64.safetensors -o faces.png
  ddpm-tui merge faces-*-of-64.safetensors -o faces.safetensors   # the images themselves`,
	}
	output := c.Flags().StringP("output", "o", "grid.png", "where the images go: a grid, or with the ending .safetensors all of them as bytes [n,H,W,C]")
	c.RunE = func(c *cobra.Command, files []string) error {
		n, err := merge(*output, files)
		if err == nil {
			fmt.Fprintf(c.OutOrStdout(), "%d images of %d parts: %s\n", n, len(files), *output)
		}
		return err
	}
	return c
}

// merge writes the images of all parts, and returns how many there are.
func merge(output string, files []string) (int, error) {
	type piece struct {
		part
		path   string
		pixels []byte
	}
	var list []piece
	var shape []int
	for _, path := range files {
		f, err := safetensors.ReadFile(path)
		if err != nil {
			return 0, err
		}
		t, err := f.Tensor(partTensor)
		if err != nil {
			return 0, err
		}
		begin, err1 := strconv.Atoi(f.Metadata[partBegin])
		n, err2 := strconv.Atoi(f.Metadata[partOf])
		if err1 != nil || err2 != nil || t.DType != "U8" || len(t.Shape) != 4 || t.Shape[1] != t.Shape[2] || (t.Shape[3] != 1 && t.Shape[3] != 3) {
			return 0, fmt.Errorf("%s is no part of a job: want a file that ddpm-tui sample --shard wrote", path)
		}
		list = append(list, piece{part{begin: begin, end: begin + t.Shape[0], n: n, job: f.Metadata[partJob]}, path, t.Data})
		first := list[0]
		if p := list[len(list)-1]; p.job != first.job || p.n != first.n || shape != nil && !slices.Equal(shape, t.Shape[1:]) {
			return 0, fmt.Errorf("%s is of another job than %s: the weights, the seed or other arguments of sample differ", path, first.path)
		}
		shape = t.Shape[1:]
	}
	slices.SortStableFunc(list, func(a, b piece) int { return a.begin - b.begin })
	var pixels []byte
	at := 0
	for _, p := range list {
		switch {
		case p.begin > at:
			return 0, fmt.Errorf("images %d to %d of %d are missing: the part before %s is not among the %d files", at, p.begin-1, p.n, p.path, len(files))
		case p.begin < at:
			return 0, fmt.Errorf("images from %d on are there twice: leave %s out, or the part before it", p.begin, p.path)
		}
		pixels, at = append(pixels, p.pixels...), p.end
	}
	if n := list[0].n; at != n {
		return 0, fmt.Errorf("images %d to %d of %d are missing: the last parts are not among the %d files", at, n-1, n, len(files))
	}
	return at, part{n: at, job: list[0].job}.save(output, pixels, shape[0], shape[2])
}
