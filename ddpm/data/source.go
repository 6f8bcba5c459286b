package data

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// An entry is one file of a source that may hold pictures. What a source cannot offer (a link, a device) is a Skip
// from the start; what is known to be no picture (a hidden file) is left out without a word.
type entry struct {
	name string // slash-separated, relative to the source, not escaped
	size int64  // bytes when unpacked, as the source claims
	zip  zipEntry
	seq  int32 // its place in a tar
}

// An opener gives the bytes of one entry from the start. Those of an unordered source work only until do returns, once.
type opener func() (io.ReadCloser, error)

// A source is a set of files to read. Its methods are called from one goroutine at a time; sibling and the openers that an
// ordered source hands out, from many.
type source interface {
	// label is what messages call it, escaped.
	label() string
	// list returns the entries in any order.
	list(ctx context.Context) ([]entry, []Skip, error)
	// feed calls do for each wanted entry, with its place in want. A source that can go to any file keeps the order of
	// want; a tar keeps its own. It ends early with do's error. A file that cannot be read is the opener's error.
	feed(ctx context.Context, want []entry, do func(i int, size int64, open opener) error) error
	// sibling opens another file of the source by name; errNoSibling where it cannot.
	sibling(name string) (io.ReadCloser, error)
	// ordered says that feed keeps the order of want.
	ordered() bool
	close() error
}

var errNoSibling = errors.New("no such file")

// open finds out what a path is, by its content.
func open(name string, lim limits) (source, error) {
	if name == "" {
		return embedded{}, nil
	}
	label := Escape(name)
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %s; name a folder, a zip, a tar, a CIFAR-10 or MNIST file, or nothing for the embedded avatars", label, reason(err))
	}
	if info.IsDir() {
		return &folder{root: name, name: label, lim: lim}, nil
	}
	f, size, err := openRegular(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %s; name a folder, a zip, a tar, a CIFAR-10 or MNIST file", label, reason(err))
	}
	head, err := peekAt(f, sniffBytes)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %s", label, reason(err))
	}
	switch sniff(head, size, name) {
	case zipFile:
		return &zipSource{f: f, size: size, name: label, lim: lim}, nil
	case tarFile:
		return &tarSource{f: f, size: size, name: label, lim: lim}, nil
	case gzipFile:
		if inner, err := gunzipHead(f); err == nil && looksTar(inner) {
			return &tarSource{f: f, size: size, name: label, lim: lim, gz: true}, nil
		}
	}
	f.Close()
	return &single{path: name, name: label, size: size}, nil
}

// archiveFile is what a zip or a tar is read from.
type archiveFile interface {
	io.ReaderAt
	io.Closer
}

// openRegular opens a file only if it is a regular one. A FIFO would hang on open, a device never end; O_NONBLOCK
// covers the moment between the two looks.
func openRegular(name string) (*os.File, int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if err := regular(info); err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err = f.Stat()
	if err == nil {
		err = regular(info)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func regular(info fs.FileInfo) error {
	switch m := info.Mode(); {
	case m.IsRegular():
		return nil
	case m.IsDir():
		return skipf("a folder, not a file")
	case m&fs.ModeNamedPipe != 0:
		return skipf("a pipe, not a file")
	case m&fs.ModeSocket != 0:
		return skipf("a socket, not a file")
	case m&fs.ModeDevice != 0:
		return skipf("a device, not a file")
	}
	return skipf("not a regular file")
}

func peekAt(r io.ReaderAt, n int) ([]byte, error) {
	head := make([]byte, n)
	k, err := r.ReadAt(head, 0)
	if err == io.EOF {
		err = nil
	}
	return head[:k], err
}

// gunzipHead unpacks the first bytes of a gzip file and leaves its position alone.
func gunzipHead(r io.ReaderAt) ([]byte, error) {
	z, err := gzip.NewReader(bufio.NewReader(io.NewSectionReader(r, 0, 1<<62)))
	if err != nil {
		return nil, err
	}
	head := make([]byte, 1024)
	n, err := io.ReadFull(z, head)
	if err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// ignored says whether a file is left out quietly: hidden ones, and what Finder and Explorer leave behind.
func ignored(name string) bool {
	for _, part := range strings.Split(name, "/") {
		switch {
		case part == "." || part == "..":
		case strings.HasPrefix(part, "."), part == "__MACOSX":
			return true
		}
	}
	switch strings.ToLower(path.Base(name)) {
	case "thumbs.db", "ehthumbs.db", "desktop.ini":
		return true
	}
	return false
}

// outside says whether an archive's name points out of the archive. Nothing is ever written under such a name, but
// who wrote it meant no good.
func outside(name string) bool {
	if strings.HasPrefix(name, "/") || len(name) >= 2 && name[1] == ':' {
		return true
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// single is one file that is no archive: a picture, a CIFAR-10 batch, an idx file.
type single struct {
	path, name string
	size       int64
}

func (s *single) label() string { return s.name }
func (s *single) ordered() bool { return true }
func (s *single) close() error  { return nil }

func (s *single) list(context.Context) ([]entry, []Skip, error) {
	return []entry{{name: filepath.Base(s.path), size: s.size}}, nil, nil
}

func (s *single) feed(_ context.Context, want []entry, do func(int, int64, opener) error) error {
	for i := range want {
		if err := do(i, s.size, fileOpener(s.path)); err != nil {
			return err
		}
	}
	return nil
}

func (s *single) sibling(name string) (io.ReadCloser, error) {
	return fileOpener(filepath.Join(filepath.Dir(s.path), filepath.FromSlash(name)))()
}

func fileOpener(name string) opener {
	return func() (io.ReadCloser, error) {
		f, _, err := openRegular(name)
		if err != nil { // a nil *os.File in the interface would not be nil
			return nil, err
		}
		return f, nil
	}
}
