package data

import (
	"bufio"
	"compress/gzip"
	"io"
	"sync"
)

// An openedFile is one entry, open at its first byte, with a gzip around it taken off.
type openedFile struct {
	io.Reader
	kind kind
	head []byte
	size int64 // of what Reader gives; -1 if not known
	file io.Closer
	used []*bufio.Reader
}

// openFile opens an entry, finds out what it is, and looks through one layer of gzip.
func openFile(name string, size int64, open opener) (*openedFile, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	f := &openedFile{file: r, size: size}
	b := f.buffer(r)
	head, err := b.Peek(sniffBytes)
	if err == nil || err == io.EOF {
		f.head, f.kind = head, sniff(head, size, name)
		if f.kind != gzipFile {
			return f, nil
		}
		var z *gzip.Reader
		if z, err = gzip.NewReader(b); err == nil {
			b = f.buffer(z)
			f.size = -1
			if head, err = b.Peek(sniffBytes); err == nil || err == io.EOF {
				f.head, f.kind = head, sniff(head, -1, name)
				if f.kind == gzipFile {
					f.kind = unknown // one layer is enough
				}
				return f, nil
			}
		}
	}
	f.Close()
	return nil, err
}

// buffers are 48 KiB each: a new one for each small file would keep the collector busy.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, sniffBytes) }}

// buffer puts a buffer over r, which becomes what f reads from.
func (f *openedFile) buffer(r io.Reader) *bufio.Reader {
	b := buffers.Get().(*bufio.Reader)
	b.Reset(r)
	f.used = append(f.used, b)
	f.Reader = b
	return b
}

// Close ends the use of the file, its head included.
func (f *openedFile) Close() {
	for _, b := range f.used {
		b.Reset(nil)
		buffers.Put(b)
	}
	f.used = nil
	f.file.Close()
}

// readAll reads a picture file, up to the limit.
func (f *openedFile) readAll(lim limits) ([]byte, error) { return readCapped(f, f.size, lim) }

// readCapped reads to the end. size is a hint that is not trusted: a file can grow while it is read.
func readCapped(r io.Reader, size int64, lim limits) ([]byte, error) {
	if size > lim.fileBytes {
		return nil, tooLong(size, lim)
	}
	var p []byte
	if size > 0 {
		p = make([]byte, 0, min(size, 1<<20)+512)
	}
	r = io.LimitReader(r, lim.fileBytes+1)
	for {
		if len(p) == cap(p) {
			p = append(p, 0)[:len(p)]
		}
		n, err := r.Read(p[len(p):cap(p)])
		p = p[:len(p)+n]
		if int64(len(p)) > lim.fileBytes {
			return nil, tooLong(int64(len(p)), lim)
		}
		if err == io.EOF {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
