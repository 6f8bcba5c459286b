package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/backend/vulkan"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
)

// ranks are the processes that do a command's work together: one alone unless mpirun or srun started more.
type ranks struct {
	dist.Comm
	peers  []dist.Peer
	asked  bool          // --distributed
	silent time.Duration // --rank-timeout
	trace  string        // --rank-trace
}

// rankPatience is how long a rank that cannot go on waits for rank 0, which has the run, to end the job.
const rankPatience = 5 * time.Second

func (r *ranks) flags(fl *pflag.FlagSet) {
	r.Comm = dist.Alone
	fl.BoolVar(&r.asked, "distributed", false, "share the work with the other processes of an MPI job (on by itself under mpirun and srun)")
	fl.DurationVar(&r.silent, "rank-timeout", dist.Silence, "how long another process of the job may be silent before it counts as lost")
}

// together runs work as one of the ranks of the command's job.
func (r *ranks) together(c *cobra.Command, work func() error) error {
	if err := r.join(c); err != nil {
		return err
	}
	return r.leave(c.ErrOrStderr(), work())
}

// join finds the other ranks, if there are any.
func (r *ranks) join(c *cobra.Command) error {
	processes := launched(os.Getenv)
	switch {
	case c.Flags().Changed("distributed") && !r.asked, !r.asked && processes < 2:
		return nil
	case !dist.Built && r.asked:
		return dist.ErrNotBuilt
	case !dist.Built:
		return fmt.Errorf("this is one of %d processes of an MPI job, and %w; --distributed=false lets each of them work alone", processes, dist.ErrNotBuilt)
	case r.silent < time.Second:
		return usageError{fmt.Errorf("--rank-timeout %v: want at least 1s", r.silent)}
	}
	r.asked = true
	comm, err := dist.Start(dist.Options{Silence: r.silent, Stop: c.Context().Done()})
	if err != nil {
		return err
	}
	r.Comm = comm
	r.peers, err = dist.Introduce(comm)
	return err
}

// launched is how many processes the MPI job has that this one was started in, 0 if in none.
func launched(env func(string) string) int {
	for _, name := range []string{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"} { // mpirun of Open MPI; of MPICH, and srun --mpi=pmi2
		if n, err := strconv.Atoi(env(name)); err == nil {
			return n
		}
	}
	if env("PMIX_RANK") != "" { // srun --mpi=pmix
		n, _ := strconv.Atoi(env("SLURM_NTASKS"))
		return n
	}
	return 0
}

// leave ends the work in order where all ranks know how it went; else it ends the others too, and does not return.
func (r *ranks) leave(errs io.Writer, err error) error {
	if r.Comm == dist.Alone {
		return err
	}
	if err == nil || errors.As(err, new(*dist.AgreedError)) {
		closed := r.Close()
		switch {
		case closed == nil && r.Rank() != 0:
			return nil // rank 0 says it, and its exit code counts
		case closed == nil:
			return err
		}
		err = errors.Join(err, closed)
	}
	r.Fail(err)
	var lost *dist.RankError
	if r.Rank() != 0 && (!errors.As(err, &lost) || lost.Rank != 0) {
		time.Sleep(rankPatience) // rank 0 is told, writes to the run's log what it was, and ends all
	}
	fmt.Fprintf(errs, "ddpm-tui: %s: %v\n", dist.Who(r.Rank(), ""), err)
	r.Abort(exitCode(err))
	return err
}

// same makes sure that all ranks have the same program, and values whose facts are the same.
func (r *ranks) same(values ...any) error {
	if r.Size() == 1 {
		return nil
	}
	facts := []dist.Fact{{Name: "program", Value: thisProgram()}}
	for _, v := range values {
		more, err := dist.FactsOf(v)
		if err != nil {
			return err
		}
		facts = append(facts, more...)
	}
	return dist.Same(r, facts)
}

// thisProgram names this very program: the version, and a hash of the file.
func thisProgram() string {
	sum := "of unknown content"
	if path, err := os.Executable(); err == nil {
		if file, err := os.Open(path); err == nil {
			h := sha256.New()
			if _, err := io.Copy(h, file); err == nil {
				sum = fmt.Sprintf("%x", h.Sum(nil)[:6])
			}
			_ = file.Close() // it was only read
		}
	}
	return version() + " (" + sum + ")"
}

// compute is what a rank computes on if it was not told: of the GPUs of its host the one that is its turn, or of the processors that
// it may use its share.
func (r *ranks) compute(o compute) compute {
	if r.Size() == 1 {
		return o
	}
	before, _, cpus := dist.Place(r.peers, r.Rank())
	if o.threads == 0 {
		o.threads = cpus
	}
	if o.backend != "cpu" && o.device == "" {
		o.device = turn(before, o.backend == "vulkan")
	}
	return o
}

// turn is the number of the Vulkan device for the host's n-th rank, "" if there is none; also one that is a processor, if any will do.
func turn(n int, any bool) string {
	list, err := vulkan.Devices()
	if err != nil {
		return ""
	}
	return turnOf(list, n, any)
}

func turnOf(list []vulkan.DeviceInfo, n int, any bool) string {
	var numbers []int
	for _, d := range list {
		if d.Usable == "" && (any || d.Kind != "cpu") {
			numbers = append(numbers, d.Index)
		}
	}
	if numbers == nil {
		return ""
	}
	return strconv.Itoa(numbers[n%len(numbers)])
}
