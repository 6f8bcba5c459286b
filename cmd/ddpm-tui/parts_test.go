package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Parts that processes made which know nothing of each other are, put together, what one process makes.
func TestShardsMerge(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "2", "--threads", "1", "--json")
	ask := func(more ...string) []string {
		return append([]string{"sample", "r", "-n", "7", "--sampling-steps", "2", "--batch", "2", "--threads", "1", "--json"}, more...)
	}
	for _, output := range []string{"whole.png", "whole.safetensors"} {
		must(t, dir, ask("-o", output)...)
	}
	var files []string
	for _, k := range []string{"1", "2", "3"} {
		must(t, dir, ask("--shard", k+"/3", "-o", "part.png")...)
		files = append(files, "part-"+k+"-of-3.safetensors")
	}
	for _, output := range []string{"whole.png", "whole.safetensors"} {
		merged := "merged" + filepath.Ext(output)
		if out := must(t, dir, append([]string{"merge", "-o", merged, files[2], files[0]}, files[1])...); !strings.Contains(out, "7 images of 3 parts") {
			t.Errorf("merge says %q", out)
		}
		if !bytes.Equal(read(t, dir, merged), read(t, dir, output)) {
			t.Errorf("%s is not %s", merged, output)
		}
	}

	must(t, dir, append(ask("--shard", "2/3", "-o", "other.png"), "--seed", "5")...)
	if err := os.WriteFile(filepath.Join(dir, "cut.safetensors"), read(t, dir, files[0])[:200], 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"missing":     {[]string{files[0], files[2]}, "images 3 to 4 of 7 are missing"},
		"last":        {files[:2], "images 5 to 6 of 7 are missing"},
		"twice":       {append(files, files[1]), "there twice"},
		"other seed":  {[]string{files[0], "other-2-of-3.safetensors", files[2]}, "another job"},
		"no part":     {[]string{"whole.png"}, "whole.png"},
		"weights":     {[]string{filepath.Join("r", "checkpoints", "latest", "model.safetensors")}, partTensor},
		"cut off":     {[]string{"cut.safetensors"}, "cut.safetensors"},
		"not there":   {[]string{"none.safetensors"}, "none.safetensors"},
		"the whole":   {[]string{files[0], "whole.safetensors"}, "there twice"},
		"only a part": {files[1:], "images 0 to 2 of 7 are missing"},
	} {
		r := invoke(t, dir, append([]string{"merge", "-o", "no.png"}, c.files...)...)
		if r.code != exitFail || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: exit code %d, it says %s, want %q", name, r.code, r.stderr, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "no.png")); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
	for _, shard := range []string{"0/3", "4/3", "x", "1", "1/8", "-1/2"} {
		if r := invoke(t, dir, ask("--shard", shard)...); r.code != exitUsage || !strings.Contains(r.stderr, "--shard") {
			t.Errorf("--shard %s: exit code %d, %s", shard, r.code, r.stderr)
		}
	}
}

// Parts of an evaluation that processes made which know nothing of each other are, put together, what one process finds.
func TestEvalShards(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "2", "--threads", "1", "--json")
	ask := func(run string, more ...string) []string {
		return append([]string{"eval", run, "-n", "40", "--held", "20", "--bits-steps", "20", "--sampling-steps", "2", "--batch", "16", "--metrics", "loss,bits,swd,nearest", "--threads", "1", "--json"}, more...)
	}
	for _, other := range []string{"s", "empty"} {
		if err := os.CopyFS(filepath.Join(dir, other), os.DirFS(filepath.Join(dir, "r"))); err != nil {
			t.Fatal(err)
		}
	}
	want := evals(t, must(t, dir, ask("r")...))
	var files []string
	for _, k := range []string{"1", "2", "3"} {
		must(t, dir, ask("s", "--shard", k+"/3")...)
		files = append(files, "eval-"+k+"-of-3.safetensors")
	}
	// The run that the parts go to has none of their work.
	out := must(t, dir, "merge", "-o", "empty", files[2], files[0], files[1])
	if !strings.Contains(out, "samples, ddim with 2 steps: 100% kept from before") {
		t.Errorf("samples were made again:\n%s", out)
	}
	got := map[string]run.Eval{}
	for _, e := range events(t, filepath.Join(dir, "empty")) {
		if e.Eval != nil {
			got[e.Eval.Metric] = *e.Eval
		}
	}
	if len(want) != 5 || len(got) != len(want) {
		t.Fatalf("%d results, one process has %d", len(got), len(want))
	}
	for name, w := range want {
		if g := got[name]; g.Value != w.Value || g.Err != w.Err || g.N != w.N || !slices.Equal(g.Parts, w.Parts) {
			t.Errorf("%s: %+v, one process finds %+v", name, g, w)
		}
	}

	must(t, dir, append(ask("s", "--shard", "2/3", "-o", "other"), "--seed", "5")...)
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"missing":    {[]string{files[0], files[2]}, "part 2 of 3 is not among the 2 files"},
		"last":       {files[:2], "part 3 of 3 is not among the 2 files"},
		"twice":      {append(files, files[1]), "part 2 is there twice"},
		"other seed": {[]string{files[0], "other-2-of-3.safetensors", files[2]}, "another job"},
		"no run":     {append([]string{"-o", "none"}, files...), "none"},
	} {
		if r := invoke(t, dir, append([]string{"merge"}, c.files...)...); r.code != exitFail || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: exit code %d, it says %s, want %q", name, r.code, r.stderr, c.want)
		}
	}
	for want, more := range map[string][]string{"--shard": {"--shard", "4/3"}, "--restart": {"--shard", "1/3", "--restart"}} {
		if r := invoke(t, dir, ask("s", more...)...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%v: exit code %d, %s", more, r.code, r.stderr)
		}
	}
}

// What mpirun and srun say of the number of processes.
func TestLaunched(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want int
	}{
		{nil, 0}, {map[string]string{"OMPI_COMM_WORLD_SIZE": "4"}, 4}, {map[string]string{"PMI_SIZE": "3"}, 3},
		{map[string]string{"PMIX_RANK": "0", "SLURM_NTASKS": "8"}, 8}, {map[string]string{"SLURM_NTASKS": "8"}, 0}, {map[string]string{"PMIX_RANK": "1"}, 0},
	} {
		if got := launched(func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%v: %d processes, want %d", c.env, got, c.want)
		}
	}
}

// A build without MPI says which build has it, and does not let each process of an MPI job train alone by mistake.
func TestWithoutMPI(t *testing.T) {
	if dist.Built {
		t.Skip("this build has MPI")
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"train", "--distributed"}, {"sample", "r", "--distributed"}, {"resume", "r", "--distributed"}} {
		if r := invoke(t, dir, args...); r.code != exitFail || !strings.Contains(r.stderr, "make mpi") {
			t.Errorf("%v: exit code %d, %s", args, r.code, r.stderr)
		}
	}
	c := program(t, dir, "train", "--preset", "tiny")
	c.Env = append(c.Env, "OMPI_COMM_WORLD_SIZE=2")
	out, err := c.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("one of 2 processes")) {
		t.Errorf("%v: %s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); left != nil {
		t.Errorf("it left %v", left)
	}
}
