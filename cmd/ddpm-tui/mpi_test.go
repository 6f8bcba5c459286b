//go:build mpi

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// mpirun is the program on so many ranks of this machine, to be run in dir.
func mpirun(t *testing.T, dir string, n int, args ...string) *exec.Cmd {
	t.Helper()
	c := program(t, dir, args...)
	return underMPI(t, c, append([]string{"-n", strconv.Itoa(n), c.Path}, args...)...)
}

// underMPI makes a command one of mpirun.
func underMPI(t *testing.T, c *exec.Cmd, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("mpirun")
	if err != nil {
		t.Skip("there is no mpirun here")
	}
	c.Path, c.Args = path, append([]string{"mpirun", "--oversubscribe"}, args...)
	c.Env = append(c.Env, "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
	return c
}

// finish runs a command to its end.
func finish(t *testing.T, c *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if crash.MatchString(stdout.String() + stderr.String()) {
		t.Fatalf("%v crashed:\n%s%s", c.Args, stdout.String(), stderr.String())
	}
	return result{stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
}

// lossesOf are the losses of the JSON lines of a training on so many ranks.
func lossesOf(t *testing.T, r result, ranks int) []float64 {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	var list []float64
	for _, l := range decode[stepLine](t, r.stdout) {
		if l.Ranks != ranks {
			t.Fatalf("step %d says %d ranks, want %d", l.Step, l.Ranks, ranks)
		}
		list = append(list, float64(l.Loss))
	}
	return list
}

func sameLosses(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d steps, want %d", what, len(got), len(want))
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(got[i]/want[i]-1))
	}
	t.Logf("%s: largest relative difference of a loss %.2g", what, worst)
	if !(worst <= 1e-4) {
		t.Errorf("%s: largest relative difference of a loss %g, want at most 1e-4", what, worst)
	}
}

// 1 x 32, 2 x 16 and 11 + 11 + 10 images give the same losses over 50 steps; a run of two ranks goes on with three, and with one.
func TestMPITrain(t *testing.T) {
	dir := t.TempDir()
	args := []string{"train", "--preset", "tiny", "--batch", "32", "--json", "--threads", "1"}
	whole := func(steps string) []string { return append(args, "--steps", steps, "--run", "whole"+steps) }
	want := lossesOf(t, invoke(t, dir, whole("50")...), 1)
	for _, n := range []int{2, 3} {
		got := finish(t, mpirun(t, dir, n, append(args, "--steps", "50", "--run", "r"+strconv.Itoa(n))...))
		sameLosses(t, strconv.Itoa(n)+" ranks", lossesOf(t, got, n), want)
	}
	checkRun(t, filepath.Join(dir, "r2"), 50, "done")
	want = lossesOf(t, invoke(t, dir, whole("70")...), 1)[50:]
	got := lossesOf(t, finish(t, mpirun(t, dir, 3, "resume", "r2", "--steps", "60", "--json", "--threads", "1")), 3)
	got = append(got, lossesOf(t, invoke(t, dir, "resume", "r2", "--steps", "70", "--json", "--threads", "1"), 1)...)
	sameLosses(t, "2 ranks, then 3, then 1", got, want)
}

// pids are the processes of a run's ranks.
func pids(t *testing.T, dir string) (list []int) {
	t.Helper()
	for _, e := range events(t, dir) {
		if e.Start != nil {
			list = nil
			for _, r := range e.Start.Ranks {
				list = append(list, r.PID)
			}
		}
	}
	return list
}

// A rank that is killed ends the job: it is named, the exit code is not 0, the log says so, and the run goes on from a checkpoint that
// is whole.
func TestMPIKill(t *testing.T) {
	dir := t.TempDir()
	tr := background(t, dir, func(c *exec.Cmd) { underMPI(t, c, append([]string{"-n", "3", c.Path}, c.Args[1:]...)...) },
		pictures(), "--config", quick(), "--run", "r", "--steps", "1000000", "--checkpoint-every", "3")
	tr.until(7)
	ranks := pids(t, filepath.Join(dir, "r"))
	if len(ranks) != 3 {
		t.Fatalf("the log knows the processes %v", ranks)
	}
	if err := syscall.Kill(ranks[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := tr.wait(); code == 0 || !strings.Contains(tr.stderr.String(), "rank 1") {
		t.Errorf("exit code %d, it says\n%s", code, tr.stderr.String())
	}
	for _, e := range events(t, filepath.Join(dir, "r")) {
		// mpirun asks the others to stop at once, which between two steps is an end in order.
		if e.End != nil && e.End.Reason != run.Stopped && (e.End.Fault != run.FaultRank.Name || !strings.Contains(e.End.Error, "rank 1 ")) {
			t.Errorf("the log ends with %+v", e.End)
		}
	}
	lossesOf(t, finish(t, mpirun(t, dir, 2, "resume", "r", "--steps", strconv.FormatInt(tr.step+3, 10), "--json")), 2)
	checkRun(t, filepath.Join(dir, "r"), tr.step+3, "done")
}

// A rank that is asked to stop, as srun asks each of them, stops all in order.
func TestMPIStop(t *testing.T) {
	dir := t.TempDir()
	tr := background(t, dir, func(c *exec.Cmd) { underMPI(t, c, append([]string{"-n", "2", c.Path}, c.Args[1:]...)...) },
		pictures(), "--config", quick(), "--run", "r", "--steps", "1000000")
	tr.until(3)
	if err := syscall.Kill(pids(t, filepath.Join(dir, "r"))[1], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := tr.wait(); code != 0 || tr.stderr.Len() > 0 {
		t.Errorf("exit code %d, it says\n%s", code, tr.stderr.String())
	}
	checkRun(t, filepath.Join(dir, "r"), tr.step, "stopped")
}

// Ranks with another configuration, another program or other images are refused, and nothing is left of the run.
func TestMPIRefuses(t *testing.T) {
	dir := t.TempDir()
	c := program(t, dir)
	self, err := os.ReadFile(c.Path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, append(self, 0), 0o755); err != nil { // what is behind an executable's end is not looked at
		t.Fatal(err)
	}
	fewer := filepath.Join(dir, "b", "pictures")
	if err := errors.Join(os.Mkdir(filepath.Dir(fewer), 0o755), os.CopyFS(fewer, os.DirFS(pictures()))); err != nil {
		t.Fatal(err)
	}
	args := func(more ...string) []string {
		return append([]string{"train", "--config", quick(), "--run", "r", "--headless"}, more...)
	}
	for _, x := range []struct {
		name, program string
		first, second []string
		want          []string
	}{
		{"another batch", c.Path, args(pictures(), "--batch", "8"), args(pictures(), "--batch", "6"), []string{"rank 1", "has batch 6, rank 0 8"}},
		{"another program", other, args(pictures()), args(pictures()), []string{"rank 1", "has program "}},
		{"other images", c.Path, args(pictures()), args(fewer), []string{"rank 1", "has data "}},
	} {
		r := finish(t, underMPI(t, program(t, dir), append(append(append([]string{"-n", "1", c.Path}, x.first...), ":", "-n", "1", x.program), x.second...)...))
		if r.code != run.FaultDiffer.Exit {
			t.Errorf("%s: exit code %d\n%s%s", x.name, r.code, r.stdout, r.stderr)
		}
		for _, want := range x.want {
			if !strings.Contains(r.stderr, want) {
				t.Errorf("%s: it lacks %q:\n%s", x.name, want, r.stderr)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "r")); err == nil {
			t.Errorf("%s: a run was left", x.name)
		}
	}
}

// Ranks sample the images that one process samples.
func TestMPISample(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "train", pictures(), "--config", quick(), "--run", "r", "--steps", "2", "--threads", "1", "--json")
	args := []string{"sample", "r", "-n", "7", "--sampling-steps", "2", "--batch", "2", "--threads", "1", "--json"}
	must(t, dir, append(args, "-o", "alone.png")...)
	r := finish(t, mpirun(t, dir, 3, append(args, "-o", "together.png")...))
	if r.code != 0 || !strings.Contains(r.stdout, `"ranks":3`) {
		t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if !bytes.Equal(read(t, dir, "alone.png"), read(t, dir, "together.png")) {
		t.Error("three ranks make other images than one process")
	}

	// And they find the same of the model.
	eval := []string{"eval", "r", "-n", "20", "--held", "16", "--bits-steps", "20", "--sampling-steps", "2", "--metrics", "loss,bits,swd", "--threads", "1", "--json", "--restart"}
	results := func(text string) (list []string) {
		for line := range strings.Lines(text) {
			var r run.Eval
			if json.Unmarshal([]byte(line), &r) == nil && r.Metric != "" {
				list = append(list, fmt.Sprint(r.Metric, r.Value, r.Err, r.Parts))
			}
		}
		return list
	}
	want := results(must(t, dir, eval...))
	if r = finish(t, mpirun(t, dir, 2, eval...)); r.code != 0 || len(want) != 3 || !slices.Equal(results(r.stdout), want) {
		t.Errorf("exit code %d: two ranks find %v, one process %v\n%s", r.code, results(r.stdout), want, r.stderr)
	}
}
