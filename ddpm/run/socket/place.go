package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// In a run's folder there is a folder that only its owner can enter, with the socket in it, or, where the path would be too long
// for the system or the disk has no sockets, with a file that says where the socket is.
const (
	socketName = "control"
	placeName  = "place"
	outside    = "ddpm-tui-" // what the names of folders elsewhere begin with
)

// maxPath is a path that every system takes: 104 bytes with the final zero on some.
const maxPath = 100

// listen makes the socket, and returns what removes it.
func listen(f *run.Folder) (net.Listener, func(), error) {
	if runtime.GOOS == "windows" { // a socket there is not private by its mode
		return nil, nil, fmt.Errorf("a socket for viewers: %w on this system", errors.ErrUnsupported)
	}
	dir := f.Path(run.SocketName)
	removeOutside(f)
	if err := os.RemoveAll(dir); err != nil { // of a trainer that was killed: the caller holds the lock
		return nil, nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	l, err := listenAt(filepath.Join(dir, socketName))
	if err == nil {
		return l, remove, nil
	}
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()} {
		if !filepath.IsAbs(base) {
			continue
		}
		private, mkErr := os.MkdirTemp(base, outside+"*") // 0700
		if mkErr != nil {
			continue
		}
		path := filepath.Join(private, socketName)
		if l, err = listenAt(path); err == nil {
			err = run.WriteFile(filepath.Join(dir, placeName), []byte(path+"\n"), 0o600)
		}
		if err == nil {
			return l, func() { _ = os.RemoveAll(private); remove() }, nil
		}
		if l != nil {
			_ = l.Close()
		}
		_ = os.RemoveAll(private)
	}
	remove()
	return nil, nil, err
}

func listenAt(path string) (net.Listener, error) {
	path = short(path)
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path of the socket is too long: %s", path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// short is a path in the shorter of its forms: absolute, or from here.
func short(path string) string {
	if abs, err := filepath.Abs(path); err == nil && len(abs) < len(path) {
		return abs
	}
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, path); err == nil && len(rel) < len(path) {
			return rel
		}
	}
	return path
}

// place is where the run's socket is, or would be.
func place(f *run.Folder) string {
	data, err := os.ReadFile(f.Path(run.SocketName, placeName))
	path := strings.TrimSuffix(string(data), "\n")
	if err != nil || !filepath.IsAbs(path) || len(path) > maxPath {
		return short(f.Path(run.SocketName, socketName))
	}
	return path
}

// removeOutside removes what a trainer that was killed left outside of the run's folder.
func removeOutside(f *run.Folder) {
	path := place(f)
	dir := filepath.Dir(path)
	if filepath.IsAbs(path) && filepath.Base(path) == socketName && strings.HasPrefix(filepath.Base(dir), outside) {
		_ = os.Remove(path)
		_ = os.Remove(dir)
	}
}

// private reports whether nobody else can have put a socket where this one is.
func private(path string) bool {
	info, err := os.Lstat(filepath.Dir(path))
	return err == nil && info.IsDir() && info.Mode().Perm() == 0o700
}
