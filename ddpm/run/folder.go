package run

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// What a run folder holds. The trainer writes all of it; everybody else reads.
const (
	configName      = "config.json"
	eventsName      = "events.jsonl"
	lockName        = "lock"
	checkpointsName = "checkpoints"
	previewsName    = "previews"

	ImagesName     = "images.safetensors" // the decoded images, for a resume
	SocketName     = "socket"             // a folder; see package socket
	TrainerLogName = "trainer.log"        // what a detached trainer prints
)

// WriteFile makes or replaces a file so that path names the old content or the
// whole new one, even if the machine stops.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	return durable.File(path, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// A Folder is a run folder.
type Folder struct {
	dir string
	mu  sync.Mutex // one Save at a time
}

// Create makes a run folder, its parents too, and writes config, which must
// marshal to an object with a "version". A folder that holds a run is refused.
func Create(dir string, config any) (_ *Folder, err error) {
	data, err := encodeConfig(config)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{checkpointsName, previewsName} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return nil, fmt.Errorf("the run folder %s cannot be made: %w", dir, err)
		}
	}
	f := &Folder{dir: dir}
	lock, err := f.Lock() // of two that create the same run, one comes second
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	// The config is written last: a folder that has it is complete.
	for _, name := range []string{configName, eventsName} {
		if _, err := os.Lstat(f.Path(name)); err == nil {
			return nil, fmt.Errorf("%s already holds a run (it has %s): resume that one, or choose another folder", dir, name)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if err := WriteFile(f.Path(configName), data, 0o666); err != nil {
		return nil, fmt.Errorf("the run folder %s cannot be written: %w", dir, err)
	}
	if err := durable.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return nil, err
	}
	return f, nil
}

// Discard removes a run that came to nothing: it has no checkpoint. What is not
// of a run stays, and so does the folder around it. The caller holds the lock.
func (f *Folder) Discard() error {
	if shelf, err := f.shelf(); err != nil || len(shelf) > 0 {
		return err
	}
	// The config goes first: a folder that lacks it is no run.
	for _, name := range []string{configName, eventsName, checkpointsName, previewsName, ImagesName, SocketName, TrainerLogName, lockName} {
		if err := durable.Remove(f.Path(name)); err != nil {
			return err
		}
	}
	_ = os.Remove(f.dir) // not if there is anything else in it
	return nil
}

// Open opens an existing run folder. It changes nothing there.
func Open(dir string) (*Folder, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("there is no run folder %s", dir)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is a file, not a run folder", dir)
	case !IsRun(dir):
		return nil, fmt.Errorf("%s is not a run folder: it lacks %s or %s", dir, configName, checkpointsName)
	}
	return &Folder{dir: dir}, nil
}

// IsRun reports whether dir looks like a run folder.
func IsRun(dir string) bool {
	config, err := os.Stat(filepath.Join(dir, configName))
	if err != nil || !config.Mode().IsRegular() {
		return false
	}
	checkpoints, err := os.Stat(filepath.Join(dir, checkpointsName))
	return err == nil && checkpoints.IsDir()
}

// Name is the last element of the folder's path.
func (f *Folder) Name() string { return folderName(f.dir) }

func folderName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil { // for "."
		dir = abs
	}
	return filepath.Base(dir)
}

// Dir is the folder's path as it was given.
func (f *Folder) Dir() string { return f.dir }

// Path joins elem to the folder's path.
func (f *Folder) Path(elem ...string) string {
	return filepath.Join(append([]string{f.dir}, elem...)...)
}

// sweep removes what a trainer that died left half done. The caller holds the
// lock.
func (f *Folder) sweep() error {
	for _, dir := range []string{f.dir, f.Path(previewsName)} {
		if err := durable.Sweep(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return f.sweepCheckpoints()
}

// Begun reports whether a trainer has ever begun to train the run.
func (f *Folder) Begun() bool { return f.Info().Steps > 0 }
