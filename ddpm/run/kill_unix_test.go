//go:build unix

package run

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

const victimFolder = "DDPM_TEST_VICTIM"

// TestVictim is no test: it is the process that TestKill kills.
func TestVictim(t *testing.T) {
	dir := os.Getenv(victimFolder)
	if dir == "" {
		t.Skip("run by TestKill")
	}
	f := must(Open(dir))(t)
	must(f.Lock())(t)
	l, _, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	from := int64(0)
	if s, warnings, err := f.Load(""); err == nil && len(warnings) == 0 {
		from = s.State.Step
	} else if !errors.Is(err, ErrNoCheckpoint) {
		t.Fatalf("%q, %v", warnings, err)
	}
	fmt.Println("ready")
	for n := from + 1; ; n++ {
		appendAll(t, l, step(n, 1))
		save(t, f, snapshot(n, 1), 2)
	}
}

// A trainer that is killed at a random moment leaves a lock that is free, a
// whole checkpoint and a readable log; the next goes on from there.
func TestKill(t *testing.T) {
	f := create(t)
	kills := 8
	if testing.Short() {
		kills = 2
	}
	last := int64(0)
	for i := range kills {
		victim := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
		victim.Env = append(os.Environ(), victimFolder+"="+f.Dir())
		out := must(victim.StdoutPipe())(t)
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		text := ""
		for buf := make([]byte, 1000); !strings.Contains(text, "ready"); {
			n, err := out.Read(buf)
			text += string(buf[:n])
			if err != nil {
				t.Fatalf("the trainer ended: %s", text)
			}
		}
		if pid, ok := f.Locked(); !ok || pid != victim.Process.Pid {
			t.Errorf("locked by %d, %v; want %d", pid, ok, victim.Process.Pid)
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		if err := victim.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait() // killed, as we know

		if _, ok := f.Locked(); ok {
			t.Error("the dead trainer holds the lock")
		}
		s, warnings, err := f.Load("")
		if errors.Is(err, ErrNoCheckpoint) && last == 0 {
			continue
		}
		if err != nil || len(warnings) != 0 || s.State.Step < last {
			t.Fatalf("kill %d: %q, %v", i, warnings, err)
		}
		last = s.State.Step
		if value(t, s) != value(t, snapshot(last, 1)) {
			t.Errorf("kill %d: the checkpoint is not what was saved", i)
		}
		events, _ := read(t, f, 0)
		if n := len(events); n == 0 || events[n-1].Step < last {
			t.Errorf("kill %d: the log ends before step %d", i, last)
		}
	}
	lock := must(f.Lock())(t)
	if lock.Stale == 0 {
		t.Error("nobody says that the last trainer was killed")
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
	save(t, f, snapshot(last+1, 1), 1)
	g := create(t)
	save(t, g, snapshot(last+1, 1), 1)
	if !reflect.DeepEqual(tree(t, f.Path(checkpointsName)), tree(t, g.Path(checkpointsName))) {
		t.Error("the kills left something")
	}
}
