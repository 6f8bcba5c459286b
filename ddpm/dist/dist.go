// Package dist joins the processes that work on one job: ranks, in the words of MPI.
//
// A Comm is all that the rest of the program knows of them. One process alone satisfies it trivially (Alone); a build with the tag
// mpi has Open MPI's (Start); Threads makes ranks of goroutines, for tests.
package dist

import (
	"fmt"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A Comm is one rank's end of what joins the ranks of a job. What is asked of it, all ranks ask in the same order, each from one
// goroutine. After the first error the job is over: every later call returns it too.
type Comm interface {
	Rank() int // from 0
	Size() int
	// Broadcast copies the root's p into everybody's, which is as long.
	Broadcast(root int, p []byte) error
	// AllReduce begins to replace everybody's v, equally long everywhere, by the sum over the ranks. v is not to be touched until
	// Wait has returned. All ranks get the same bits.
	AllReduce(v []float32) Pending
	// Gather returns everybody's p at rank 0, and nil elsewhere. The lengths may differ.
	Gather(p []byte) ([][]byte, error)
	// Barrier returns when all ranks have called it.
	Barrier() error
	// Fail tells the other ranks that this one cannot go on. They get a *RankError of it, soon.
	Fail(err error)
	// Abort ends all processes of the job with an exit code. It does not return where there are others.
	Abort(code int)
	// Close ends the job in order, when all ranks have called it.
	Close() error
}

// A Pending is something that goes on.
type Pending interface {
	Wait() error
	// Span is when it began and when it was over, known after Wait.
	Span() (begin, end time.Time)
}

// A RankError says which rank ended a job.
type RankError struct {
	Rank int
	Host string
	Text string // what is the matter with it
}

func (e *RankError) Error() string {
	return fmt.Sprintf("%s %s: the job cannot go on without it: resume the run to go on from its last checkpoint, with as many ranks as there are", Who(e.Rank, e.Host), e.Text)
}

// Fault implements what run.FaultOf looks for.
func (e *RankError) Fault() *run.Fault { return &run.FaultRank }

// Who names a rank for people.
func Who(rank int, host string) string {
	if host == "" {
		return fmt.Sprintf("rank %d", rank)
	}
	return fmt.Sprintf("rank %d (on %s)", rank, host)
}

// Share is the part of n things that a rank does: those from begin up to end. The first ranks do one more where they cannot be
// shared out evenly.
func Share(n, rank, size int) (begin, end int) {
	each, more := n/size, n%size
	begin = rank*each + min(rank, more)
	end = begin + each
	if rank < more {
		end++
	}
	return begin, end
}

// Alone is the Comm of a process that has no others.
var Alone Comm = alone{}

type alone struct{}

func (alone) Rank() int                         { return 0 }
func (alone) Size() int                         { return 1 }
func (alone) Broadcast(int, []byte) error       { return nil }
func (alone) AllReduce([]float32) Pending       { return done{} }
func (alone) Gather(p []byte) ([][]byte, error) { return [][]byte{p}, nil }
func (alone) Barrier() error                    { return nil }
func (alone) Fail(error)                        {}
func (alone) Abort(int)                         {}
func (alone) Close() error                      { return nil }

// done is over before it began.
type done struct{}

func (done) Wait() error                  { return nil }
func (done) Span() (begin, end time.Time) { return }
