package run

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// failing makes operation n on the disk fail, and with dead all after it too:
// what the disk looks like then is what a kill between two operations leaves,
// because nothing that would tidy up works either. A removal fails half done.
// The returned function restores the disk and names operation n, if it was
// reached.
func failing(n int, dead bool) (restore func() string) {
	count, failed := 0, ""
	durable.Before = func(op, path string) error {
		count++
		if count-1 == n {
			failed = op
			if entries, err := os.ReadDir(path); op == "remove" && err == nil && len(entries) > 0 {
				_ = os.Remove(filepath.Join(path, entries[0].Name()))
			}
		}
		if count-1 == n || dead && count > n {
			return errors.New("the disk failed at " + op)
		}
		return nil
	}
	return func() string {
		durable.Before = nil
		return failed
	}
}

// A save that fails, or whose process dies, at any operation leaves a whole
// checkpoint for readers at every moment, and a folder in which the next save
// ends exactly as if nothing had happened.
func TestSaveAtEveryOperation(t *testing.T) {
	t.Cleanup(func() { durable.Before = nil })
	cases := []struct {
		name   string
		before []*Snapshot
		save   *Snapshot
	}{
		{"first", nil, snapshot(20, 1)},
		{"next", []*Snapshot{snapshot(10, 1)}, snapshot(20, 1)},
		{"pruning", []*Snapshot{snapshot(5, 1), snapshot(10, 1)}, snapshot(20, 1)},
		{"replacing", []*Snapshot{snapshot(10, 1), snapshot(20, 1)}, snapshot(20, 2)},
		{"going back", []*Snapshot{snapshot(20, 1), snapshot(30, 1)}, snapshot(10, 1)},
	}
	const keep = 2
	for _, c := range cases {
		for _, dead := range []bool{true, false} {
			prepare := func() *Folder {
				f := create(t)
				for _, s := range c.before {
					save(t, f, s, keep)
				}
				return f
			}
			reference := prepare()
			save(t, reference, c.save, keep)
			want := tree(t, reference.Path(checkpointsName))

			for n := 0; ; n++ {
				f := prepare()
				restore := failing(n, dead)
				event, err := f.Save(c.save, keep)
				failed := restore()
				if failed == "" {
					if err != nil {
						t.Fatalf("%s: %v", c.name, err)
					}
					if n < 15 {
						t.Errorf("%s: %d operations are too few to be all", c.name, n)
					}
					break
				}
				if err == nil != (event.Error == "") {
					t.Fatalf("%s, operation %d: error %v, event %+v", c.name, n, err, event)
				}
				checkReader(t, f, c.before, c.save, err == nil)
				if !dead && failed != "remove" && failed != "syncdir" { // after these the next sweep knows better
					for name := range tree(t, f.Path(checkpointsName)) {
						if strings.HasPrefix(name, ".") && name != "." {
							t.Errorf("%s was left after a failed %s", name, failed)
						}
					}
				}
				if t.Failed() {
					t.Fatalf("%s, dead %v, operation %d", c.name, dead, n)
				}
				again := must(Open(f.Dir()))(t)
				if n%2 == 0 { // a new process; else the same one tries again
					if err := must(again.Lock())(t).Unlock(); err != nil {
						t.Fatal(err)
					}
					checkReader(t, f, c.before, c.save, false)
				}
				save(t, again, c.save, keep)
				if got := tree(t, f.Path(checkpointsName)); !reflect.DeepEqual(got, want) {
					t.Fatalf("%s, dead %v, operation %d: the next save leaves %v", c.name, dead, n, names(got))
				}
			}
		}
	}
}

// checkReader loads as a reader does, who may change nothing, and expects the
// checkpoint before or, once saved is said or by luck, the new one.
func checkReader(t *testing.T, f *Folder, before []*Snapshot, saved *Snapshot, said bool) {
	t.Helper()
	for _, c := range must(f.shelf())(t) {
		if _, err := LoadCheckpoint(f.Path(checkpointsName, c.dir)); err != nil {
			t.Error(err)
		}
	}
	s, warnings, err := f.Load("")
	if errors.Is(err, ErrNoCheckpoint) && len(before) == 0 && !said {
		return
	}
	if err != nil || len(warnings) != 0 {
		t.Errorf("%q, %v", warnings, err)
		return
	}
	got := value(t, s)
	if got == value(t, saved) || !said && len(before) > 0 && got == value(t, before[len(before)-1]) {
		return
	}
	t.Errorf("the checkpoint of step %d is neither the old nor the new one (said %v)", s.State.Step, said)
}

func names(tree map[string]string) []string {
	var list []string
	for name := range tree {
		list = append(list, name)
	}
	return list
}

// Opening and loading change nothing, also in a folder where a save is under way.
func TestReadersChangeNothing(t *testing.T) {
	f := create(t)
	save(t, f, snapshot(10, 1), 3)
	if err := os.Rename(f.Path(checkpointsName, "step-00000010"), f.Path(checkpointsName, ".step-00000010.old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.Path(checkpointsName, ".step-00000010.tmp"), 0o777); err != nil {
		t.Fatal(err)
	}
	before := tree(t, f.Dir())
	g := must(Open(f.Dir()))(t)
	if s := load(t, g); !strings.HasSuffix(s.Path, oldSuffix) {
		t.Errorf("loaded %s", s.Path)
	}
	g.Locked()
	g.Info()
	if !reflect.DeepEqual(before, tree(t, f.Dir())) {
		t.Error("a reader changed the folder")
	}
}

// Somebody samples from a run whose trainer saves, replaces and prunes.
func TestLoadWhileSaving(t *testing.T) {
	f := create(t)
	save(t, f, snapshot(0, 1), 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if _, err := f.Save(snapshot(n/2, float32(n)), 1); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 300 {
		if s, warnings, err := f.Load(""); err != nil || len(warnings) != 0 {
			t.Errorf("%q, %v", warnings, err)
		} else if salt := must(s.Model[0].Float32s())(t)[1]; s.State.Step > 0 && int64(salt)/2 != s.State.Step {
			t.Errorf("step %d holds weights of another", s.State.Step)
		}
	}
	close(stop)
	wg.Wait()
}

func TestCreateAtEveryOperation(t *testing.T) {
	t.Cleanup(func() { durable.Before = nil })
	for n := 0; ; n++ {
		dir := t.TempDir()
		restore := failing(n, true)
		_, err := Create(dir, testConfig{Version: 1})
		if restore() == "" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if IsRun(dir) { // made, but not known to be durable
			if f := must(Open(dir))(t); f.ReadConfig(&testConfig{}) != nil {
				t.Errorf("operation %d: half a config", n)
			}
		} else if _, err := Create(dir, testConfig{Version: 1}); err != nil {
			t.Errorf("operation %d: %v", n, err)
		}
		if l := must((&Folder{dir: dir}).Lock())(t); l.Unlock() != nil {
			t.Error("unlock")
		}
		for name := range tree(t, dir) {
			if strings.HasPrefix(name, ".") && name != "." {
				t.Errorf("operation %d: %s was left", n, name)
			}
		}
	}
}
