// Package durable changes files and folders so that a crash, a kill or a full
// disk leaves the old state or the new one, never a mixture.
//
// The rule is the same everywhere: write beside, force it to the disk, rename
// into place, force the folder, so that the new name survives too. A process
// that dies leaves at most hidden files, which Sweep removes.
package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Before, when set, is called before each operation that changes the disk; if
// it returns an error, that is the operation's result. It exists for tests,
// which stop a process between any two operations with it, and must not change
// while files are written.
var Before func(op, path string) error

func before(op, path string) error {
	if Before == nil {
		return nil
	}
	return Before(op, path)
}

// File makes or replaces the file at path with what write writes. If anything
// fails before the new file has its name, the old one is untouched.
func File(path string, perm os.FileMode, write func(io.Writer) error) error {
	temp := tempName(path)
	if err := NewFile(temp, perm, write); err != nil {
		return err
	}
	if err := Rename(temp, path); err != nil {
		_ = Remove(temp) // the first error is the one that matters
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// NewFile makes a file that must not exist and forces its content, not its
// name, to the disk: one file of a folder that is not in place yet. A file that
// could not be written whole is removed.
func NewFile(path string, perm os.FileMode, write func(io.Writer) error) (err error) {
	if err := before("create", path); err != nil {
		return err
	}
	// O_EXCL and the wanted mode, rather than os.CreateTemp and chmod, so that
	// the user's umask counts.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = Remove(path)
		}
	}()
	w := bufio.NewWriterSize(hooked{f}, 256<<10)
	if err = write(w); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = before("sync", path); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// hooked is a file whose writes a test can stop.
type hooked struct{ f *os.File }

func (h hooked) Write(p []byte) (int, error) {
	if err := before("write", h.f.Name()); err != nil {
		return 0, err
	}
	return h.f.Write(p)
}

// Symlink makes or replaces the symbolic link at path.
func Symlink(target, path string) error {
	temp := tempName(path)
	if err := before("symlink", path); err != nil {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	if err := Rename(temp, path); err != nil {
		_ = Remove(temp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Mkdir makes one folder; its name is durable after SyncDir of its parent.
func Mkdir(path string) error {
	if err := before("mkdir", path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o777)
}

// Rename renames a file or a folder; it is durable after SyncDir of the parent.
func Rename(old, new string) error {
	if err := before("rename", new); err != nil {
		return err
	}
	return os.Rename(old, new)
}

// Remove removes a file, or a folder with everything in it. It need not exist.
func Remove(path string) error {
	if err := before("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// SyncDir forces the names in a folder to the disk.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" { // folders cannot be synced there
		return nil
	}
	if err := before("syncdir", dir); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // some network file systems have no such call: nothing more can be done
	}
	return errors.Join(err, d.Close())
}

// Sweep removes what File and Symlink left in a folder when their process died.
// Nobody else may be writing there.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if n := e.Name(); !e.IsDir() && strings.HasPrefix(n, ".") && strings.HasSuffix(n, tempSuffix) {
			if err := Remove(filepath.Join(dir, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tempSuffix is unlike what other programs use: Sweep removes by it.
const tempSuffix = ".durable-tmp"

func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x%s", filepath.Base(path), rand.Uint32(), tempSuffix))
}
