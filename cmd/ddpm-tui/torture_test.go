//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// killAt, in the environment of the program, is the number of changes to the disk after which it kills itself: a kill at a random
// time rarely meets the moments in which a checkpoint is half written.
const killAt = "DDPM_TUI_KILL_AT"

func init() {
	left, err := strconv.Atoi(os.Getenv(killAt))
	if err != nil {
		return
	}
	durable.Before = func(string, string) error {
		if left--; left < 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it comes
		}
		return nil
	}
}

// kills is how many kills the torture takes: DDPM_TORTURE says, 20 where it does not.
func kills(t *testing.T) int {
	t.Helper()
	if v := os.Getenv("DDPM_TORTURE"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 4
	}
	return 20
}

// A torture is a run that is killed again and again, beside one that was left alone and kept all its checkpoints.
type torture struct {
	t         *testing.T
	dir       string
	config    string
	steps     int64
	victim    int
	identical int // checkpoints found after a kill that equal those of the run that was left alone
	none      int // kills before the first checkpoint
	inside    int // kills while something was being written
	seed1     uint64
	random    *rand.Rand
}

// Resume is exact: whenever a run is killed, also while a checkpoint is being written, what is left is a whole checkpoint, equal to
// the last byte to that of a run that was never interrupted, and so is what comes of going on from it, on another number of threads.
func TestTorture(t *testing.T) {
	n := kills(t)
	x := &torture{t: t, dir: t.TempDir(), steps: 30, seed1: uint64(time.Now().UnixNano())}
	x.random = rand.New(rand.NewPCG(x.seed1, 0))
	t.Logf("seed %d", x.seed1)
	x.config = x.tinyNet()
	start := time.Now()
	all := []string{"--steps", strconv.FormatInt(x.steps, 10), "--checkpoint-every", "1", "--keep", "1000000", "--threads", "1", "--json"}
	must(t, x.dir, append([]string{"train", pictures(), "--config", x.config, "--run", "whole"}, all...)...)
	x.edit("edited")
	must(t, x.dir, append([]string{"resume", "edited"}, all...)...)
	if bytes.Equal(read(t, x.dir, "whole", "checkpoints", "latest", weights[0]), read(t, x.dir, "edited", "checkpoints", "latest", weights[0])) {
		t.Fatal("the edits change nothing")
	}
	for killed := 0; killed < n; {
		if x.life() {
			killed++
			x.compare()
			continue
		}
		x.finished()
	}
	t.Logf("%d kills (%d of them within a write) of %d runs in %.0f s: %d left a checkpoint, all %d identical with the unbroken run's; %d came before the first one",
		n, x.inside, x.victim+1, time.Since(start).Seconds(), x.identical, x.identical, x.none)
	for x.life() { // the last one ends too
		x.compare()
	}
	x.finished()
}

// tinyNet is a configuration whose steps take a millisecond or two.
func (x *torture) tinyNet() string {
	c, err := train.PresetConfig("tiny")
	if err != nil {
		x.t.Fatal(err)
	}
	c.UNet.SampleSize, c.UNet.BlockOutChannels, c.UNet.NormNumGroups = 8, []int{8, 16}, 4
	c.Batch = 4
	c.Preview = train.Preview{Images: 1, Sampler: "ddim", Steps: 1}
	data, err := json.Marshal(c)
	if err != nil {
		x.t.Fatal(err)
	}
	return write(x.t, filepath.Join(x.dir, "net.json"), string(data))
}

// edit makes a run with edits at steps to come, as one has that was edited and has gone back since.
func (x *torture) edit(name string) {
	var c train.Config
	if err := run.DecodeConfig("config.json", read(x.t, x.dir, "whole", "config.json"), &c); err != nil {
		x.t.Fatal(err)
	}
	c.CheckpointKeep = 0
	lr, decay := 1e-4, 0.5
	edited(x.t, filepath.Join(x.dir, name), &c,
		run.Event{Step: 7, Edit: &run.Edit{LR: &lr}}, run.Event{Step: 12, Edit: &run.Edit{EMADecay: &decay}}, run.Event{Step: 12, Log: &run.Log{Text: "between"}})
}

// isEdited says which runs are edited: every second.
func (x *torture) isEdited() bool { return x.victim%2 == 1 }

func (x *torture) path() string { return filepath.Join(x.dir, "r"+strconv.Itoa(x.victim)) }

// life begins the run, or goes on with it, and kills it: from outside at a random time, or from inside at a random change to the
// disk. It returns false if the run came to its end before.
func (x *torture) life() bool {
	t := x.t
	t.Helper()
	common := []string{"--steps", strconv.FormatInt(x.steps, 10), "--checkpoint-every", "1", "--threads", strconv.Itoa(1 + x.random.IntN(3)), "--json"}
	if x.isEdited() && !run.IsRun(x.path()) {
		x.edit("r" + strconv.Itoa(x.victim))
	}
	args := append([]string{"train", pictures(), "--config", x.config, "--run", x.path()}, common...)
	if run.IsRun(x.path()) {
		args = append([]string{"resume", x.path()}, common...)
	}
	c := program(t, x.dir, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	inside := x.random.IntN(2) == 0
	if inside {
		c.Env = append(c.Env, killAt+"="+strconv.Itoa(x.random.IntN(300)))
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if !inside {
		time.AfterFunc(time.Duration(x.random.IntN(600))*time.Millisecond, func() { _ = c.Process.Kill() }) // it may have ended
	}
	_ = c.Wait() // its state says how it ended
	if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGKILL {
		if inside {
			x.inside++
		}
		return true
	}
	if code := c.ProcessState.ExitCode(); code != 0 || stderr.Len() > 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr.String())
	}
	return false
}

// compare looks at what a kill left.
func (x *torture) compare() {
	t := x.t
	t.Helper()
	f, err := run.Open(x.path())
	if err != nil {
		x.none++
		return // killed before the run was made
	}
	if _, running := f.Locked(); running {
		t.Fatal("the killed process holds the lock")
	}
	if _, _, err := run.ReadEvents(f.Dir(), 0); err != nil {
		t.Errorf("the log: %v", err)
	}
	s, warnings, err := f.Load("")
	if errors.Is(err, run.ErrNoCheckpoint) {
		x.none++
		return
	}
	if err != nil || len(warnings) > 0 {
		t.Fatalf("after a kill: %v, %q", err, warnings)
	}
	x.same(s.Path)
	x.identical++
}

// same compares a checkpoint with that of the unbroken run.
func (x *torture) same(path string) {
	x.t.Helper()
	name := filepath.Base(path)
	if name[0] == '.' { // moved aside while it was being replaced
		name = name[1 : len("step-00000000")+1]
	}
	unbroken := "whole"
	if x.isEdited() {
		unbroken = "edited"
	}
	want := filepath.Join(x.dir, unbroken, "checkpoints", name)
	for _, name := range weights {
		if !bytes.Equal(read(x.t, path, name), read(x.t, want, name)) {
			x.t.Fatalf("%s differs from that of the run that was not killed (%s), seed %d", filepath.Join(path, name), want, x.seed1)
		}
	}
}

// finished looks at a run that came to its end, and begins the next.
func (x *torture) finished() {
	x.t.Helper()
	checkRun(x.t, x.path(), x.steps, "done")
	x.same(filepath.Join(x.path(), "checkpoints", fmt.Sprintf("step-%08d", x.steps)))
	x.victim++
}
