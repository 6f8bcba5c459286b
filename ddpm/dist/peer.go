package dist

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Options of Start.
type Options struct {
	Silence time.Duration   // how long a rank may be silent before the job ends; 0 is Silence
	Stop    <-chan struct{} // closed when this process is asked to end; nil: it never is
}

// Silence is how long a rank may be silent unless Options says otherwise.
const Silence = 10 * time.Second

// ErrNotBuilt says that this build cannot do more than one process.
var ErrNotBuilt = errors.New("this build has no MPI: make mpi builds bin/ddpm-tui-mpi, which has (it needs libopenmpi-dev; the build tag is mpi)")

// A Peer is what the ranks know of each other.
type Peer struct {
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Space string `json:"space,omitempty"` // in which PID has a meaning, "" if none is known
	CPUs  string `json:"cpus,omitempty"`  // that the process may use, as the system writes them
	Count int    `json:"count"`           // how many these are
}

// self is this process.
var self = sync.OnceValue(func() Peer {
	p := Peer{PID: os.Getpid(), Count: runtime.NumCPU()}
	p.Host, _ = os.Hostname() // without one there is no name to show
	if space, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // two machines may have spaces of one number
		p.Space = space + strings.TrimSpace(string(boot))
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
				p.CPUs = strings.TrimSpace(list)
			}
		}
	}
	return p
})

// Here names this host and process.
func Here() (host string, pid int) { return self().Host, self().PID }

// alive reports whether the process is there. One that cannot be seen from here counts as alive.
func (p Peer) alive() bool {
	if here := self(); p.Space == "" || p.Space != here.Space {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X") // dead, but nobody has looked
}

// Introduce tells all ranks what each of them is. All ranks call it.
func Introduce(c Comm) ([]Peer, error) {
	list, err := GatherJSON(c, self())
	if err != nil {
		return nil, err
	}
	return list, Tell(c, &list)
}

// Place is a rank's place among those of its host: how many ranks there are before it, how many in all, and how many processors it
// has for itself if those that may use the same ones share them evenly.
func Place(peers []Peer, rank int) (before, all, cpus int) {
	me, same := peers[rank], 0
	for r, p := range peers {
		if p.Host != me.Host {
			continue
		}
		if all++; r < rank {
			before++
		}
		if p.CPUs == me.CPUs {
			same++
		}
	}
	return before, all, max(1, me.Count/same)
}

// Tell gives rank 0's value to all ranks, as JSON.
func Tell[T any](c Comm, v *T) error {
	var p []byte
	if c.Rank() == 0 {
		var err error
		if p, err = json.Marshal(v); err != nil {
			return err
		}
	}
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(p)))
	if err := c.Broadcast(0, length); err != nil {
		return err
	}
	if c.Rank() != 0 {
		p = make([]byte, binary.LittleEndian.Uint64(length))
	}
	if err := c.Broadcast(0, p); err != nil || c.Rank() == 0 {
		return err
	}
	*v = *new(T)
	return json.Unmarshal(p, v)
}

// GatherJSON is every rank's v at rank 0, and nil elsewhere, as JSON.
func GatherJSON[T any](c Comm, v T) ([]T, error) {
	p, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	all, err := c.Gather(p)
	if err != nil || c.Rank() != 0 {
		return nil, err
	}
	list := make([]T, len(all))
	for i, p := range all {
		if err := json.Unmarshal(p, &list[i]); err != nil {
			return nil, fmt.Errorf("what rank %d said: %w", i, err)
		}
	}
	return list, nil
}
