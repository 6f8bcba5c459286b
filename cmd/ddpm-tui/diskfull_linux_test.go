package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// On a disk that is full training goes on; the screen says so, though the log cannot, and so does it when there is room again.
func TestFullDisk(t *testing.T) {
	long(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skip("mounting a small disk needs root: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	term := open(t, dir, false, "train", pictures(), "--preset", "tiny", "--run", "r", "--steps", "100000", "--threads", "1", "--checkpoint-every", "2s", "--keep", "1")
	term.until("RUNNING", "saved checkpoints/")
	f := underway(t, filepath.Join(dir, "r"))

	term.press("6")
	term.until("[6 Logs]")
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = ballast.Write(make([]byte, 512))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	ballast.Close()
	term.until("error make room")
	before := checkpoints(t, f.Dir())
	term.press("c")
	term.until("checkpoint failed: make room")
	if after := checkpoints(t, f.Dir()); len(before) != 1 || len(after) != 1 || before[0] != after[0] {
		t.Errorf("the checkpoints were %v, are %v", before, after)
	}

	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	term.press("c")
	term.until("the event log can be written again")
	term.press("Q")
	term.until("stop training?")
	term.press("s")
	term.end(exitOK)
	if i := f.Info(); i.State != run.Stopped || checkpoints(t, f.Dir())[0] == before[0] {
		t.Errorf("%+v, %v", i, checkpoints(t, f.Dir()))
	}
}
