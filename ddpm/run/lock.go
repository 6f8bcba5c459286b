package run

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Lock is the right to train in a folder. The operating system holds it for
// the process and lets go when the process ends, however it ends; the file's
// content, "pid host", is only for people. The file itself stays: removing it
// would let two processes lock two files of the same name.
type Lock struct {
	file *os.File

	// Stale is the process that held the lock before and ended without giving
	// it back; 0 if there was none.
	Stale int
}

// A BusyError says who trains in a folder.
type BusyError struct {
	Dir  string
	PID  int // 0 where it is not known
	Host string
}

func (e *BusyError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	if host, _ := os.Hostname(); e.Host != "" && e.Host != host {
		who += " on " + strconv.QuoteToGraphic(e.Host)
	}
	return fmt.Sprintf("%s is being trained by %s: stop that one first, or choose another folder", e.Dir, who)
}

// errNoLocks says that the system or the file system has no locks.
var errNoLocks = errors.New("no file locks")

// Lock takes the folder for training, and removes what a trainer that died left
// half done. If it is taken the error is a *BusyError.
func (f *Folder) Lock() (*Lock, error) {
	file, err := os.OpenFile(f.Path(lockName), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	l := &Lock{file: file}
	if l.Stale, err = f.take(file); err == nil {
		err = f.sweep()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	held.Store(l, nil)
	return l, nil
}

// held keeps locks that nobody looks at any more from the garbage collector,
// which would close their files and so give them back.
var held sync.Map

// take locks file, writes who has it, and returns the pid of a holder that is
// gone.
func (f *Folder) take(file *os.File) (stale int, err error) {
	free, err := tryLock(file, true)
	// Locked looks by locking for a moment: one of those is not a trainer.
	for i := 0; i < 5 && err == nil && !free; i++ {
		time.Sleep(20 * time.Millisecond)
		free, err = tryLock(file, true)
	}
	if err != nil && !errors.Is(err, errNoLocks) {
		return 0, fmt.Errorf("%s: %w", file.Name(), err)
	}
	pid, host := holder(file)
	if errors.Is(err, errNoLocks) {
		// The pid is all there is. Two trainers that start in the same instant
		// are not told apart, which is the best such a file system allows.
		free = pid == 0 || !alive(pid, host)
	}
	if !free {
		return 0, &BusyError{Dir: f.dir, PID: pid, Host: host}
	}
	name, _ := os.Hostname()
	who := fmt.Sprintf("%d %s\n", os.Getpid(), name)
	if err := file.Truncate(0); err != nil {
		return 0, err
	}
	_, err = file.WriteAt([]byte(who), 0)
	return pid, err
}

// Unlock gives the folder back.
func (l *Lock) Unlock() error {
	held.Delete(l)
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// Locked reports whether a process trains in the folder, and which, for
// listings: it may be over by the time it is read.
func (f *Folder) Locked() (pid int, ok bool) {
	file, err := os.Open(f.Path(lockName))
	if err != nil {
		return 0, false
	}
	defer func() { _ = file.Close() }() // it was only read
	free, err := tryLock(file, false)
	pid, host := holder(file)
	switch {
	case errors.Is(err, errNoLocks):
		free = pid == 0 || !alive(pid, host)
	case err != nil:
		free = true
	}
	if free {
		return 0, false
	}
	return pid, true
}

// Signal sends a signal to the process that trains in the folder, if that is on
// this machine.
func (f *Folder) Signal(s os.Signal) error {
	pid, ok := f.Locked()
	if !ok {
		return fmt.Errorf("%s is not being trained", f.dir)
	}
	file, err := os.Open(f.Path(lockName))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	_, host := holder(file)
	if name, _ := os.Hostname(); host != name || pid < 1 {
		return fmt.Errorf("%s is being trained on %s: ask for it there", f.dir, strconv.QuoteToGraphic(host))
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(s)
}

// holder reads who holds, or held, the lock.
func holder(file *os.File) (pid int, host string) {
	data := make([]byte, 300)
	n, err := file.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, ""
	}
	id, host, _ := strings.Cut(strings.TrimSpace(string(data[:n])), " ")
	if pid, err = strconv.Atoi(id); err != nil || pid < 1 {
		return 0, ""
	}
	return pid, host
}

// alive reports whether a process exists. One of another machine cannot be seen
// and counts as alive.
func alive(pid int, host string) bool {
	if name, _ := os.Hostname(); host != name {
		return true
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	if runtime.GOOS == "windows" { // FindProcess has looked already
		return true
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
