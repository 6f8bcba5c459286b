package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
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
