package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ErrNoCheckpoint says that a run has no checkpoint at all.
var ErrNoCheckpoint = errors.New("there is no checkpoint yet")

// Load reads a checkpoint and verifies it. path names it, as Checkpoint.Path or
// by its last element; "" is the latest, and if that is damaged a warning names
// it and the one before it is used. It changes nothing, and works while a
// trainer saves.
//
// Without any checkpoint the error is ErrNoCheckpoint. A checkpoint of a newer
// version is an error, a *NewerError, and never passed over: to go on from an
// older one would throw away work that is not damaged.
func (f *Folder) Load(path string) (s *Snapshot, warnings []string, err error) {
	if path != "" && filepath.Base(path) != latestName {
		s, err = LoadCheckpoint(f.find(path))
		if err != nil {
			err = fmt.Errorf("%w; without a name the latest whole checkpoint is used", err)
		}
		return s, nil, err
	}
	// A trainer may replace or remove a checkpoint while it is read or while the
	// folder is listed, which looks like damage; then another look is due.
	for try := 1; ; try++ {
		shelf, err := f.shelf()
		if err != nil {
			return nil, nil, err
		}
		s, warnings, err := f.loadBest(shelf)
		if err == nil && len(warnings) == 0 || try == 10 {
			return s, warnings, err
		}
		after, _ := f.shelf()
		_, saved := f.latest()
		if slices.EqualFunc(shelf, after, shelved.same) && (len(shelf) > 0 || !saved) {
			return s, warnings, err
		}
	}
}

// loadBest loads the first whole checkpoint of a shelf.
func (f *Folder) loadBest(shelf []shelved) (s *Snapshot, warnings []string, err error) {
	if len(shelf) == 0 {
		return nil, nil, fmt.Errorf("%s: %w", f.dir, ErrNoCheckpoint)
	}
	for _, c := range shelf {
		s, err := LoadCheckpoint(f.Path(checkpointsName, c.dir))
		if err == nil {
			return s, warnings, nil
		}
		var newer *NewerError
		if errors.As(err, &newer) {
			return nil, warnings, err
		}
		warnings = append(warnings, err.Error())
	}
	last := len(warnings) - 1
	return nil, warnings[:last], fmt.Errorf("%s has no whole checkpoint: %s", f.dir, warnings[last])
}

// find turns the name of a checkpoint into its folder.
func (f *Folder) find(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	for _, dir := range []string{f.Path(path), f.Path(checkpointsName, path)} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return f.Path(checkpointsName, filepath.Base(path))
}

// LoadPath reads what a person names to sample from: a run folder (its latest
// checkpoint), a checkpoint folder wherever it is, or checkpoints/latest.
func LoadPath(path string) (s *Snapshot, warnings []string, err error) {
	if IsRun(path) {
		return (&Folder{dir: path}).Load("")
	}
	info, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("there is no run or checkpoint %s", path)
		}
		return nil, nil, err
	}
	if !info.IsDir() { // "latest" may be a file with a name in it
		name, ok := readLatest(path)
		if _, isStep := stepOf(name); !ok || !isStep || filepath.Base(path) != latestName {
			return nil, nil, fmt.Errorf("%s is a file: a run folder or a checkpoint folder is needed", path)
		}
		path = filepath.Join(filepath.Dir(path), name)
	} else if _, err := os.Stat(filepath.Join(path, stateFile)); errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s is neither a run, which has %s and %s, nor a checkpoint, which has %s", path, configName, checkpointsName, stateFile)
	}
	s, err = LoadCheckpoint(path)
	return s, nil, err
}
