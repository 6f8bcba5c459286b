//go:build mpi

package dist

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rankEnv says what a process that mpirun started is to do.
const rankEnv = "DDPM_TEST_RANK"

func TestMain(m *testing.M) {
	if what := os.Getenv(rankEnv); what != "" {
		os.Exit(asRank(what))
	}
	os.Exit(m.Run())
}

// asRank is one rank of a test's job.
func asRank(what string) int {
	c, err := Start(Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch what {
	case "exercise":
		err = errors.Join(exercise(c), panics(), c.Close())
	case "kill": // a rank dies while the others wait for it
		if err = c.Barrier(); err == nil && c.Rank() == 1 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		err = endless(c)
	case "fail":
		if c.Rank() == 1 {
			c.Fail(errors.New("no more"))
			time.Sleep(time.Minute) // until the others' end ends it
		}
		err = endless(c)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "rank %d says: %v\n", c.Rank(), err)
		c.Abort(10)
	}
	fmt.Printf("rank %d of %d is done\n", c.Rank(), c.Size())
	return 0
}

// endless sums until something is wrong.
func endless(c Comm) error {
	v := make([]float32, 100000)
	for {
		if err := c.AllReduce(v).Wait(); err != nil {
			return err
		}
	}
}

// panics makes sure that MPI has left Go's signal handlers alone.
func panics() (err error) {
	defer func() {
		if _, ok := recover().(runtime.Error); !ok {
			err = errors.New("a nil pointer was followed")
		}
	}()
	var p *Peer
	p.PID++
	return nil
}

// mpirun runs so many ranks of this test, and returns what they printed, and mpirun's exit code.
func mpirun(t *testing.T, n int, what string) (string, int) {
	t.Helper()
	if _, err := exec.LookPath("mpirun"); err != nil {
		t.Skip("there is no mpirun here")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mpirun", "--oversubscribe", "-n", fmt.Sprint(n), os.Args[0])
	cmd.Env = append(os.Environ(), rankEnv+"="+what, "OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the job did not end:\n%s", out)
	}
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestMPI(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		out, code := mpirun(t, n, "exercise")
		if done := strings.Count(out, "is done"); code != 0 || done != n {
			t.Errorf("%d ranks: exit code %d, %d done:\n%s", n, code, done, out)
		}
	}
}

// A rank that is killed ends the job, and is named.
func TestMPIRankKilled(t *testing.T) {
	out, code := mpirun(t, 3, "kill")
	if code == 0 || !strings.Contains(out, "rank 1") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// A rank that fails ends the job, and its reason reaches the others.
func TestMPIRankFails(t *testing.T) {
	out, code := mpirun(t, 3, "fail")
	if code == 0 || !strings.Contains(out, "rank 0 says: rank 1") || !strings.Contains(out, "failed: no more") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
