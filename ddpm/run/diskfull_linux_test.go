package run

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A disk that is really full: the checkpoint before stays, and once there is
// room the next save and the next event work.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skip("mounting a small disk needs root: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := must(Create(dir+"/run", testConfig{Version: 1}))(t)
	l := openLog(t, f)
	appendAll(t, l, step(1, 1))
	large := func(step int64) *Snapshot {
		s := snapshot(step, 1)
		s.Model = append(s.Model, safetensors.Float32("big", []int{16 << 10}, make([]float32, 16<<10))) // 64 KiB
		return s
	}
	save(t, f, large(10), 2)

	ballast := f.Path("ballast")
	fill, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = fill.Write(make([]byte, 1<<10))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	_ = fill.Close()

	before := tree(t, f.Path(checkpointsName))
	c, err := f.Save(large(20), 2)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(c.Error, "no space left on device") || !strings.Contains(c.Error, "step-00000020") {
		t.Errorf("%+v, %v", c, err)
	}
	if !reflect.DeepEqual(before, tree(t, f.Path(checkpointsName))) {
		t.Error("the failed save changed something")
	}
	failed := 0
	for n := int64(2); n < 200; n++ { // what is left of the last page takes some
		if err := l.Append(step(n, 1)); errors.Is(err, unix.ENOSPC) {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if failed == 0 {
		t.Error("no event failed on a full disk")
	}
	logged, _ := read(t, f, 0)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	save(t, f, large(20), 2)
	load(t, f)
	appendAll(t, l, step(300, 1))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if events, _ := read(t, f, 0); len(events) != len(logged)+1 || events[len(logged)].Step != 300 {
		t.Errorf("%d events before, %d after", len(logged), len(events))
	}
}

// A folder that became read-only is said, and does no harm.
func TestReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skip("mounting a disk needs root: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f := must(Create(dir+"/run", testConfig{Version: 1}))(t)
	save(t, f, snapshot(10, 1), 2)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	c, err := f.Save(snapshot(20, 1), 2)
	if !errors.Is(err, unix.EROFS) || c.Error == "" {
		t.Errorf("%+v, %v", c, err)
	}
	if s := load(t, f); s.State.Step != 10 {
		t.Errorf("step %d", s.State.Step)
	}
	if _, err := f.Lock(); !errors.Is(err, unix.EROFS) {
		t.Errorf("Lock: %v", err)
	}
	if i := f.Info(); i.State != Stopped {
		t.Errorf("%+v", i)
	}
}
