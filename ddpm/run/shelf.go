package run

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// The folder checkpoints holds step-N folders, a link "latest" (a file with the
// name in it where there are no links), and hidden folders while something is
// being changed:
//
//	.step-N.tmp    a checkpoint being written
//	.step-N.old    the one that step-N replaces, until that has its name
//	.step-N.trash  one being removed
const (
	latestName  = "latest"
	stepPrefix  = "step-"
	tempSuffix  = ".tmp"
	oldSuffix   = ".old"
	trashSuffix = ".trash"
)

func stepName(step int64) string { return fmt.Sprintf(stepPrefix+"%08d", step) }

// stepOf is the inverse of stepName.
func stepOf(name string) (int64, bool) {
	digits, ok := strings.CutPrefix(name, stepPrefix)
	step, err := strconv.ParseInt(digits, 10, 64)
	return step, ok && err == nil && step >= 0 && stepName(step) == name
}

func hidden(name, suffix string) string { return "." + name + suffix }

// hiddenStep is the inverse of hidden.
func hiddenStep(entry, suffix string) (name string, ok bool) {
	name, ok = strings.CutPrefix(entry, ".")
	if !ok {
		return "", false
	}
	if name, ok = strings.CutSuffix(name, suffix); !ok {
		return "", false
	}
	_, ok = stepOf(name)
	return name, ok
}

// A shelved checkpoint is a folder and the step that it is of.
type shelved struct {
	step int64
	dir  string // within checkpoints
	info os.FileInfo
}

func (s shelved) same(o shelved) bool { return s.dir == o.dir && os.SameFile(s.info, o.info) }

// shelf lists the checkpoints, the best to go on from first: the latest, those
// before it, and then those after it, which are of a future that was given up
// when the run went back.
func (f *Folder) shelf() ([]shelved, error) {
	entries, err := os.ReadDir(f.Path(checkpointsName))
	if err != nil {
		return nil, err
	}
	var all []shelved
	var olds []shelved // left by a crash while step-N was being replaced
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.IsDir() { // gone, or not ours
			continue
		}
		if step, ok := stepOf(e.Name()); ok {
			all = append(all, shelved{step, e.Name(), info})
		} else if name, ok := hiddenStep(e.Name(), oldSuffix); ok {
			step, _ := stepOf(name)
			olds = append(olds, shelved{step, e.Name(), info})
		}
	}
	for _, old := range olds {
		if !slices.ContainsFunc(all, func(s shelved) bool { return s.step == old.step }) {
			all = append(all, old)
		}
	}
	latest, known := f.latest()
	slices.SortFunc(all, func(a, b shelved) int {
		if known && (a.step > latest) != (b.step > latest) {
			if a.step > latest {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.step, a.step)
	})
	return all, nil
}

// latest returns the step that the link names.
func (f *Folder) latest() (int64, bool) {
	name, ok := readLatest(f.Path(checkpointsName, latestName))
	if !ok {
		return 0, false
	}
	return stepOf(name)
}

// readLatest reads the link, or the file in its place.
func readLatest(path string) (name string, ok bool) {
	if target, err := os.Readlink(path); err == nil {
		return target, true
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 100 {
		return "", false
	}
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err == nil
}

// sweepCheckpoints finishes or undoes what was going on when a trainer died.
func (f *Folder) sweepCheckpoints() error {
	dir := f.Path(checkpointsName)
	if err := durable.Sweep(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if name, ok := hiddenStep(e.Name(), oldSuffix); ok {
			if _, err := os.Lstat(filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) {
				// The replacement never got its name: the old one is the truth.
				if err := durable.Rename(path, filepath.Join(dir, name)); err != nil {
					return err
				}
				continue
			}
			if err := durable.Remove(path); err != nil {
				return err
			}
		}
		_, temp := hiddenStep(e.Name(), tempSuffix)
		_, trash := hiddenStep(e.Name(), trashSuffix)
		if temp || trash {
			if err := durable.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}
