package run

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// Save writes a checkpoint and then removes all but the newest keep, at least
// one; the caller holds the lock. What it returns is the event's content: also
// after an error, when Error is set and the checkpoints that were there are as
// they were. A Warning is trouble after the checkpoint was safe.
func (f *Folder) Save(s *Snapshot, keep int) (Checkpoint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	began := time.Now()
	name := stepName(s.State.Step)
	c := Checkpoint{Path: path.Join(checkpointsName, name)}
	var err error
	if c.Bytes, err = f.save(s, name); err != nil {
		err = fmt.Errorf("%s was not saved: %w", c.Path, err)
		c.Error = err.Error()
	} else if err := f.prune(max(keep, 1)); err != nil {
		c.Warning = "an old checkpoint could not be removed: " + err.Error()
	}
	c.Seconds = Float(time.Since(began).Seconds())
	return c, err
}

// BestName begins the name of the checkpoint that early stopping keeps besides the others.
const BestName = "best-"

// SaveBest writes a checkpoint as checkpoints/best-STEP, and removes the one before it. It is no checkpoint to resume from.
func (f *Folder) SaveBest(s *Snapshot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, err := filepath.Glob(f.Path(checkpointsName, BestName+"*"))
	if err != nil {
		return err
	}
	name := BestName + stepName(s.State.Step)
	temp := f.Path(checkpointsName, hidden(name, tempSuffix))
	if err := durable.Remove(temp); err != nil { // what a crash left
		return err
	}
	if err := durable.Mkdir(temp); err != nil {
		return err
	}
	if _, err = s.write(temp); err == nil {
		err = f.place(temp, name)
	}
	if err != nil {
		_ = durable.Remove(temp) // the first error is the one that matters
		return err
	}
	for _, path := range old {
		if filepath.Base(path) != name {
			err = errors.Join(err, durable.Remove(path))
		}
	}
	return err
}

func (f *Folder) save(s *Snapshot, name string) (size int64, err error) {
	if s.State.Step < 0 {
		return 0, fmt.Errorf("step %d makes no sense", s.State.Step)
	}
	if err := os.MkdirAll(f.Path(checkpointsName), 0o777); err != nil {
		return 0, err
	}
	if err := f.sweepCheckpoints(); err != nil { // a full disk may need that room
		return 0, err
	}
	temp := f.Path(checkpointsName, hidden(name, tempSuffix))
	if err := durable.Mkdir(temp); err != nil {
		return 0, err
	}
	if size, err = s.write(temp); err == nil {
		err = f.place(temp, name)
	}
	if err != nil {
		_ = durable.Remove(temp) // the first error is the one that matters
		return 0, err
	}
	return size, f.setLatest(name)
}

// place gives a whole checkpoint its name. A folder cannot be renamed over
// another one, so the one it replaces steps aside for a moment; readers, and
// the sweep after a crash, know where to find it.
func (f *Folder) place(temp, name string) error {
	dir, final, old := f.Path(checkpointsName), f.Path(checkpointsName, name), f.Path(checkpointsName, hidden(name, oldSuffix))
	_, err := os.Lstat(final)
	replaces := err == nil
	if replaces {
		if err := durable.Rename(final, old); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := durable.Rename(temp, final); err != nil {
		if replaces {
			err = errors.Join(err, durable.Rename(old, final))
		}
		return err
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	if replaces {
		return durable.Remove(old)
	}
	return nil
}

// setLatest points latest at a checkpoint.
func (f *Folder) setLatest(name string) error {
	path := f.Path(checkpointsName, latestName)
	var linkErr error
	if runtime.GOOS != "windows" { // there a link needs a privilege and cannot be replaced in one step
		if linkErr = durable.Symlink(name, path); linkErr == nil {
			return nil
		}
	}
	// A file system without links: a file says the same.
	err := durable.File(path, 0o666, func(w io.Writer) error {
		_, err := io.WriteString(w, name+"\n")
		return err
	})
	if err != nil {
		return errors.Join(linkErr, err)
	}
	return nil
}

// prune removes the checkpoints after the first keep of the shelf. Each gets a
// hidden name first, so that none is ever seen in part.
func (f *Folder) prune(keep int) error {
	all, err := f.shelf()
	if err != nil || len(all) <= keep {
		return err
	}
	for _, c := range all[keep:] {
		trash := f.Path(checkpointsName, hidden(stepName(c.step), trashSuffix))
		if err := durable.Rename(f.Path(checkpointsName, c.dir), trash); err != nil {
			return err
		}
		if err := durable.Remove(trash); err != nil {
			return err
		}
	}
	return nil
}
