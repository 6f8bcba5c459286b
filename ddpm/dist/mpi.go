//go:build mpi

package dist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

/*
#include <mpi.h>
#include <stdlib.h>
#include <sched.h>
#include <time.h>

// progress tests requests until one is over, *wake is set, or ns nanoseconds have gone; *which is the one that is over, or -1.
// MPI moves messages only while it is called: eager asks nearly without pause, for when somebody waits and has nothing else to do.
static int progress(int n, MPI_Request *requests, int *which, int *wake, int eager, long ns) {
	struct timespec from, now, nap = {0, 20000};
	int over, err, tries = 0;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (;;) {
		over = 0;
		err = MPI_Testany(n, requests, which, &over, MPI_STATUS_IGNORE);
		if (err == MPI_SUCCESS && over && *which != MPI_UNDEFINED) return err;
		*which = -1;
		if (err != MPI_SUCCESS || __atomic_load_n(wake, __ATOMIC_ACQUIRE)) return err;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - from.tv_sec) * 1000000000L + now.tv_nsec - from.tv_nsec > ns) return err;
		if (eager && ++tries < 200) sched_yield(); else nanosleep(&nap, NULL);
	}
}

// MPI's constants are macros, which cgo cannot see through.
static int all_reduce(void *v, int n, MPI_Comm c, MPI_Request *r) { return MPI_Iallreduce(MPI_IN_PLACE, v, n, MPI_FLOAT, MPI_SUM, c, r); }
static int broadcast(void *p, int n, int root, MPI_Comm c, MPI_Request *r) { return MPI_Ibcast(p, n, MPI_BYTE, root, c, r); }
static int gather(void *p, int n, void *all, int *counts, int *at, MPI_Comm c, MPI_Request *r) {
	return MPI_Igatherv(p, n, MPI_BYTE, all, counts, at, MPI_BYTE, 0, c, r);
}
static int barrier(MPI_Comm c, MPI_Request *r) { return MPI_Ibarrier(c, r); }
static int say(void *p, int n, int to, MPI_Comm c, MPI_Request *r) { return MPI_Isend(p, n, MPI_BYTE, to, 0, c, r); }
static int listen(void *p, int n, MPI_Comm c, MPI_Request *r) { return MPI_Irecv(p, n, MPI_BYTE, MPI_ANY_SOURCE, 0, c, r); }
static int heard(MPI_Request *r, int *over, int *from, int *n) {
	MPI_Status s;
	int err = MPI_Test(r, over, &s);
	if (err == MPI_SUCCESS && *over) { *from = s.MPI_SOURCE; MPI_Get_count(&s, MPI_BYTE, n); }
	return err;
}
static void drop(MPI_Request *r) { MPI_Cancel(r); MPI_Wait(r, MPI_STATUS_IGNORE); }
static int init(MPI_Comm *job, MPI_Comm *talk, int *rank, int *size, int *threads) {
	int err = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, threads);
	if (err != MPI_SUCCESS) return err;
	*job = MPI_COMM_WORLD;
	MPI_Comm_set_errhandler(*job, MPI_ERRORS_RETURN);
	if ((err = MPI_Comm_dup(*job, talk)) != MPI_SUCCESS) return err;
	MPI_Comm_set_errhandler(*talk, MPI_ERRORS_RETURN);
	MPI_Comm_rank(*job, rank);
	return MPI_Comm_size(*job, size);
}
static void end_all(int code) { MPI_Abort(MPI_COMM_WORLD, code); }
*/
import "C"

// Built says whether this build has MPI.
const Built = true

// mpi is a Comm of Open MPI, or of another MPI 3. One thread makes all of MPI's calls: it takes what the program asks from a queue,
// keeps what is under way moving while the program computes, and says and hears what watch wants.
type mpi struct {
	rank, size int
	job, talk  C.MPI_Comm // one for the program's calls, one for watch
	calls      chan *call
	wake       *C.int       // not 0: look at the queue
	waiting    atomic.Int32 // how many wait for the end of a call
	active     []*call
	requests   []C.MPI_Request // of active
	over       bool            // the thread ends

	watch  *watch // nil before the ranks know each other, and when the job is over
	ear    C.MPI_Request
	heard  *C.char // what comes in
	spoken []spoken

	mu     sync.Mutex
	failed error // why the job cannot go on
}

// spoken is a message that may still be on its way.
type spoken struct {
	request C.MPI_Request
	text    unsafe.Pointer
}

// A call is something asked of the thread. It is a Pending.
type call struct {
	m          *mpi
	start      func(*C.MPI_Request) C.int
	at         bool // it is over when start returns
	pin        runtime.Pinner
	done       chan struct{}
	err        error
	began, end time.Time
}

// Start joins the job that mpirun or srun started this process for; a process that was started alone is a job of one rank.
func Start(o Options) (Comm, error) {
	// Open MPI's own handlers of SIGSEGV and its like would take Go's panics away.
	for _, set := range [][2]string{{"OMPI_MCA_opal_signal", ""}, {"OMPI_MCA_mpi_warn_on_fork", "0"}} {
		if _, is := os.LookupEnv(set[0]); !is {
			if err := os.Setenv(set[0], set[1]); err != nil {
				return nil, err
			}
		}
	}
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // the thread need not wait for a worker to be done
	m := &mpi{calls: make(chan *call, 1024), wake: (*C.int)(C.calloc(1, C.sizeof_int))}
	started := make(chan error, 1)
	go m.thread(started)
	if err := <-started; err != nil {
		return nil, err
	}
	peers, err := Introduce(m)
	if err != nil {
		return nil, err
	}
	return m, m.now(func() error {
		m.watch = newWatch(m.rank, peers, o)
		m.heard = (*C.char)(C.malloc(messageMost))
		return m.listen()
	})
}

func (m *mpi) Rank() int { return m.rank }
func (m *mpi) Size() int { return m.size }

// mpiError is what MPI says of an error code.
func mpiError(what string, code C.int) error {
	if code == C.MPI_SUCCESS {
		return nil
	}
	var text [C.MPI_MAX_ERROR_STRING]C.char
	var n C.int
	C.MPI_Error_string(code, &text[0], &n)
	return fmt.Errorf("mpi: %s: %s", what, C.GoStringN(&text[0], n))
}

// thread makes all of MPI's calls.
func (m *mpi) thread(started chan<- error) {
	runtime.LockOSThread()
	var rank, size, threads C.int
	if code := C.init(&m.job, &m.talk, &rank, &size, &threads); code != C.MPI_SUCCESS {
		started <- mpiError("init", code)
		return
	}
	m.rank, m.size = int(rank), int(size)
	if threads < C.MPI_THREAD_FUNNELED {
		started <- errors.New("mpi: this MPI was built without threads")
		return
	}
	started <- nil
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	looked := time.Now()
	for !m.over {
		if len(m.active) == 0 {
			select {
			case c := <-m.calls:
				m.begin(c)
			case <-tick.C:
			}
		}
		atomic.StoreInt32((*int32)(unsafe.Pointer(m.wake)), 0)
		for more := true; more; {
			select {
			case c := <-m.calls:
				m.begin(c)
			default:
				more = false
			}
		}
		m.progress()
		if time.Since(looked) >= watchEvery {
			m.look()
			looked = time.Now()
		}
	}
}

// progress keeps what is under way moving, until one call is over or there is something else to do.
func (m *mpi) progress() {
	if len(m.active) == 0 {
		return
	}
	var which, eager C.int
	if m.waiting.Load() > 0 {
		eager = 1
	}
	code := C.progress(C.int(len(m.requests)), &m.requests[0], &which, m.wake, eager, C.long(watchEvery))
	if code != C.MPI_SUCCESS {
		m.fail(mpiError("a call under way", code))
		return
	}
	if i := int(which); i >= 0 {
		c := m.active[i]
		m.active = append(m.active[:i], m.active[i+1:]...)
		m.requests = append(m.requests[:i], m.requests[i+1:]...)
		c.finish(nil)
	}
}

// begin starts a call.
func (m *mpi) begin(c *call) {
	if err := m.why(); err != nil {
		c.finish(err)
		return
	}
	c.began = time.Now()
	var r C.MPI_Request
	code := c.start(&r)
	switch {
	case code != C.MPI_SUCCESS:
		c.finish(mpiError("call", code))
	case c.at:
		c.finish(nil)
	default:
		m.active, m.requests = append(m.active, c), append(m.requests, r)
	}
}

func (c *call) finish(err error) {
	if c.err == nil {
		c.err = err
	}
	c.end = time.Now()
	c.pin.Unpin()
	close(c.done)
}

// Wait implements Pending.
func (c *call) Wait() error {
	select {
	case <-c.done:
		return c.err
	default:
	}
	c.m.waiting.Add(1)
	c.m.stir()
	<-c.done
	c.m.waiting.Add(-1)
	return c.err
}

// Span implements Pending.
func (c *call) Span() (begin, end time.Time) { return c.began, c.end }

// stir makes the thread look at the queue.
func (m *mpi) stir() { atomic.StoreInt32((*int32)(unsafe.Pointer(m.wake)), 1) }

// ask puts a call into the queue. The memory of pinned is MPI's until it is over.
func (m *mpi) ask(start func(*C.MPI_Request) C.int, pinned ...unsafe.Pointer) *call {
	c := &call{m: m, start: start, done: make(chan struct{})}
	for _, p := range pinned {
		if p != nil {
			c.pin.Pin(p)
		}
	}
	m.calls <- c
	m.stir()
	return c
}

// now has the thread call f.
func (m *mpi) now(f func() error) error {
	c := &call{m: m, at: true, done: make(chan struct{})}
	c.start = func(*C.MPI_Request) C.int {
		c.err = f()
		return C.MPI_SUCCESS
	}
	m.calls <- c
	m.stir()
	return c.Wait()
}

func pointer[E any](v []E) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(v)) }

// chunk is the most bytes of one call: MPI counts in 32 bits.
const chunk = 1 << 30

// Broadcast implements Comm.
func (m *mpi) Broadcast(root int, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), chunk)
		at := pointer(p)
		if err := m.ask(func(r *C.MPI_Request) C.int { return C.broadcast(at, C.int(n), C.int(root), m.job, r) }, at).Wait(); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// AllReduce implements Comm.
func (m *mpi) AllReduce(v []float32) Pending {
	at := pointer(v)
	return m.ask(func(r *C.MPI_Request) C.int { return C.all_reduce(at, C.int(len(v)), m.job, r) }, at)
}

// Gather implements Comm.
func (m *mpi) Gather(p []byte) ([][]byte, error) {
	each := make([]C.int, m.size)
	at := make([]C.int, m.size)
	for i := range each {
		each[i], at[i] = 8, C.int(8*i)
	}
	lengths := make([]byte, 8*m.size)
	if err := m.gather(binary.LittleEndian.AppendUint64(nil, uint64(len(p))), lengths, each, at); err != nil {
		return nil, err
	}
	var all []byte
	if m.rank == 0 {
		total := uint64(0)
		for i := range each {
			n := binary.LittleEndian.Uint64(lengths[8*i:])
			each[i], at[i] = C.int(n), C.int(total)
			total += n
		}
		if total >= 1<<31 {
			err := fmt.Errorf("mpi: %d bytes of all ranks are too many for one gather", total)
			m.Fail(err)
			return nil, err
		}
		all = make([]byte, total)
	}
	if err := m.gather(p, all, each, at); err != nil || m.rank != 0 {
		return nil, err
	}
	list := make([][]byte, m.size)
	for i := range list {
		list[i] = all[at[i]:][:each[i]:each[i]]
	}
	return list, nil
}

func (m *mpi) gather(p, all []byte, counts, at []C.int) error {
	from, to, n, a := pointer(p), pointer(all), pointer(counts), pointer(at)
	return m.ask(func(r *C.MPI_Request) C.int {
		return C.gather(from, C.int(len(p)), to, (*C.int)(n), (*C.int)(a), m.job, r)
	}, from, to, n, a).Wait()
}

// Barrier implements Comm.
func (m *mpi) Barrier() error {
	return m.ask(func(r *C.MPI_Request) C.int { return C.barrier(m.job, r) }).Wait()
}

// why is the reason why the job cannot go on, nil if it can.
func (m *mpi) why() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// fail ends all calls with an error, those to come too. It is the thread's.
func (m *mpi) fail(err error) {
	m.mu.Lock()
	if m.failed == nil {
		m.failed = err
	}
	err = m.failed
	m.mu.Unlock()
	for _, c := range m.active {
		c.finish(err)
	}
	m.active, m.requests = nil, nil // MPI goes on with them until Abort
}

// look says that this rank lives, hears what others say, and learns whether one is gone.
func (m *mpi) look() {
	if m.watch == nil {
		return
	}
	for {
		var over, from, n C.int
		if code := C.heard(&m.ear, &over, &from, &n); code != C.MPI_SUCCESS {
			m.fail(mpiError("receive", code))
			return
		}
		if over == 0 {
			break
		}
		m.watch.hear(int(from), string(C.GoBytes(unsafe.Pointer(m.heard), n)), time.Now())
		if err := m.listen(); err != nil {
			m.fail(err)
			return
		}
	}
	said, lost := m.watch.tick(time.Now())
	m.tell(said)
	if lost != nil {
		m.fail(lost)
	}
}

func (m *mpi) listen() error {
	return mpiError("receive", C.listen(unsafe.Pointer(m.heard), messageMost, m.talk, &m.ear))
}

// tell sends messages, and forgets those that have gone.
func (m *mpi) tell(list []message) {
	m.spoken = keepUnsent(m.spoken)
	for _, s := range list {
		text := C.CBytes([]byte(s.text))
		var r C.MPI_Request
		if code := C.say(text, C.int(len(s.text)), C.int(s.to), m.talk, &r); code != C.MPI_SUCCESS {
			C.free(text)
			continue // whoever is not reached is missed soon
		}
		m.spoken = append(m.spoken, spoken{r, text})
	}
}

func keepUnsent(list []spoken) []spoken {
	var kept []spoken
	for _, s := range list {
		var over, from, n C.int
		if C.heard(&s.request, &over, &from, &n) == C.MPI_SUCCESS && over == 0 {
			kept = append(kept, s)
			continue
		}
		C.free(s.text)
	}
	return kept
}

// Fail implements Comm.
func (m *mpi) Fail(err error) {
	_ = m.now(func() error {
		if m.watch != nil {
			m.tell(m.watch.failed(err))
		}
		m.fail(err)
		return nil
	})
}

// Abort implements Comm.
func (m *mpi) Abort(code int) {
	m.calls <- &call{m: m, done: make(chan struct{}), start: func(*C.MPI_Request) C.int {
		C.end_all(C.int(code))
		return C.MPI_SUCCESS
	}}
	m.stir()
	time.Sleep(3 * time.Second) // it does not come back, unless the thread is stuck in MPI
	os.Exit(code)
}

// Close implements Comm.
func (m *mpi) Close() error {
	if err := m.Barrier(); err != nil { // from here on nobody is missed
		return err
	}
	err := m.now(func() error {
		m.watch.off = true
		for until := time.Now().Add(5 * time.Second); len(m.spoken) > 0 && time.Now().Before(until); {
			m.spoken = keepUnsent(m.spoken)
		}
		return nil
	})
	if err = errors.Join(err, m.Barrier()); err != nil { // from here on nothing is on its way
		return err
	}
	return m.now(func() error {
		C.drop(&m.ear)
		m.watch, m.over = nil, true
		return mpiError("finalize", C.MPI_Finalize())
	})
}
