//go:build unix && !aix && !solaris

package run

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks a file for this open file, exclusively or shared with others
// that share, and reports whether it could.
func tryLock(file *os.File, exclusive bool) (bool, error) {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	for {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
			return false, errNoLocks
		}
		return false, err
	}
}
