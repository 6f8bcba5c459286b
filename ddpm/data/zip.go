package data

import (
	"bufio"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// The directory of a zip is read here and not by archive/zip, which keeps some 400 bytes for each of the entries that a
// file claims, as many as there are, and has no say about entries that overlap (how a small zip unpacks to petabytes).

// zipEntry is where a file lies in a zip.
type zipEntry struct {
	offset int64 // of its local header
	packed int64
	crc    uint32
	method uint16
}

type zipSource struct {
	f        archiveFile
	size     int64
	name     string
	lim      limits
	unpacked atomic.Int64
	all      []entry // for sibling
}

func (z *zipSource) label() string { return z.name }
func (z *zipSource) ordered() bool { return true }
func (z *zipSource) close() error  { return z.f.Close() }

func (z *zipSource) list(ctx context.Context) (entries []entry, skips []Skip, err error) {
	dir, err := findZipDirectory(z.f, z.size)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s", z.name, reason(err))
	}
	if dir.size > z.lim.nameBytes {
		return nil, nil, fmt.Errorf("%s: its directory takes %d MiB, more than %d are not read: unpack it and name the folder", z.name, dir.size>>20, z.lim.nameBytes>>20)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(z.f, dir.start, dir.size), 1<<16)
	var head [46]byte
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			break
		} else if err != nil || string(head[:4]) != "PK\x01\x02" {
			skips = append(skips, Skip{z.name, fmt.Sprintf("the archive is damaged: its directory breaks off after %d entries", n)})
			break
		}
		if len(entries)+len(skips) >= z.lim.entries {
			return nil, nil, fmt.Errorf("%s holds more than %d files: unpack it and name a folder with fewer", z.name, z.lim.entries)
		}
		e, skip, err := readZipEntry(head[:], r, dir.base)
		if err != nil {
			skips = append(skips, Skip{z.name, fmt.Sprintf("the archive is damaged: its directory breaks off after %d entries", n)})
			break
		}
		switch {
		case strings.HasSuffix(e.name, "/"), ignored(e.name):
		case skip == nil && outside(e.name):
			skips = append(skips, Skip{Escape(e.name), "its path points out of the archive"})
		case skip != nil:
			skips = append(skips, Skip{Escape(e.name), reason(skip)})
		default:
			entries = append(entries, e)
		}
	}
	entries, over := dropOverlaps(entries)
	z.all = entries
	return entries, append(skips, over...), nil
}

// readZipEntry reads the rest of one directory entry. skip is a reason to leave the file out.
func readZipEntry(head []byte, r io.Reader, base int64) (e entry, skip, err error) {
	le := binary.LittleEndian
	nameLen, extraLen, noteLen := int(le.Uint16(head[28:])), int(le.Uint16(head[30:])), int(le.Uint16(head[32:]))
	rest := make([]byte, nameLen+extraLen+noteLen)
	if _, err := io.ReadFull(r, rest); err != nil {
		return e, nil, err
	}
	e.name = strings.ReplaceAll(string(rest[:nameLen]), `\`, "/") // some Windows tools write backslashes
	e.size = int64(le.Uint32(head[24:]))
	e.zip = zipEntry{offset: int64(le.Uint32(head[42:])), packed: int64(le.Uint32(head[20:])), crc: le.Uint32(head[16:]), method: le.Uint16(head[10:])}
	for x := rest[nameLen : nameLen+extraLen]; len(x) >= 4; {
		id, n := le.Uint16(x), int(le.Uint16(x[2:]))
		if len(x) < 4+n {
			break
		}
		if id == 1 { // zip64: eight bytes for each of the fields that did not fit, in this order
			body := x[4 : 4+n]
			for _, field := range []*int64{&e.size, &e.zip.packed, &e.zip.offset} {
				if *field == 0xffffffff && len(body) >= 8 {
					*field = int64(le.Uint64(body))
					body = body[8:]
				}
			}
		}
		x = x[4+n:]
	}
	e.zip.offset += base
	const unix, link, typeMask = 3, 0o120000, 0o170000
	switch mode := le.Uint32(head[38:]) >> 16; {
	case head[5] == unix && mode&typeMask == link:
		skip = skipf("a link inside an archive, not followed")
	case le.Uint16(head[8:])&1 != 0:
		skip = skipf("encrypted: unpack the archive with its password first")
	case e.zip.method != 0 && e.zip.method != 8:
		skip = skipf("packed by method %d, which is not read: pack the zip with deflate", e.zip.method)
	case e.size < 0 || e.zip.packed < 0 || e.zip.offset < 0:
		skip = skipf("corrupt: a negative size in the archive's directory")
	}
	return e, skip, nil
}

// dropOverlaps leaves out entries that share bytes with an earlier one. In a good zip none do.
func dropOverlaps(entries []entry) (good []entry, skips []Skip) {
	sort.SliceStable(entries, func(i, j int) bool { return entries[i].zip.offset < entries[j].zip.offset })
	good = entries[:0]
	end := int64(0)
	for _, e := range entries {
		if e.zip.offset < end {
			skips = append(skips, Skip{Escape(e.name), "its bytes overlap another file's: the archive is damaged or a bomb"})
			continue
		}
		end = e.zip.offset + 30 + e.zip.packed
		good = append(good, e)
	}
	return good, skips
}

type zipDirectory struct {
	start, size int64 // in the file
	base        int64 // what offsets in the zip count from: not 0 where something was put in front of it
}

// findZipDirectory reads the record at the end of the file, and its 64-bit twin.
func findZipDirectory(f io.ReaderAt, size int64) (d zipDirectory, err error) {
	const endLen = 22
	damaged := skipf("a damaged zip, or a part of one: copy it again")
	tail := make([]byte, min(size, endLen+1<<16))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return d, err
	}
	i := len(tail) - endLen
	le := binary.LittleEndian
	for ; i >= 0; i-- {
		if string(tail[i:i+4]) == "PK\x05\x06" && i+endLen+int(le.Uint16(tail[i+20:])) <= len(tail) {
			break
		}
	}
	if i < 0 {
		return d, damaged
	}
	end := size - int64(len(tail)) + int64(i)
	d.size, d.start = int64(le.Uint32(tail[i+12:])), int64(le.Uint32(tail[i+16:]))
	if le.Uint16(tail[i+10:]) == 0xffff || d.size == 0xffffffff || d.start == 0xffffffff {
		if i >= 20 && string(tail[i-20:i-16]) == "PK\x06\x07" {
			at := int64(le.Uint64(tail[i-12:]))
			rec := make([]byte, 56)
			if at < 0 || at > size-56 {
				return d, damaged
			}
			if _, err := f.ReadAt(rec, at); err != nil {
				return d, err
			}
			if string(rec[:4]) != "PK\x06\x06" {
				return d, damaged
			}
			d.size, d.start = int64(le.Uint64(rec[40:])), int64(le.Uint64(rec[48:]))
			end = at
		}
	}
	if d.size < 0 || d.start < 0 || d.size > end || d.start > end {
		return d, damaged
	}
	d.base = end - d.size - d.start
	if d.base < 0 {
		return d, damaged
	}
	d.start += d.base
	return d, nil
}

func (z *zipSource) feed(_ context.Context, want []entry, do func(int, int64, opener) error) error {
	for i, e := range want {
		if err := do(i, e.size, z.opener(e)); err != nil {
			return err
		}
	}
	return nil
}

func (z *zipSource) sibling(name string) (io.ReadCloser, error) {
	for _, e := range z.all {
		if e.name == name {
			return z.opener(e)()
		}
	}
	return nil, errNoSibling
}

func (z *zipSource) opener(e entry) opener {
	return func() (io.ReadCloser, error) {
		var local [30]byte
		if _, err := z.f.ReadAt(local[:], e.zip.offset); err != nil || string(local[:4]) != "PK\x03\x04" {
			return nil, skipf("corrupt: it is not where the archive's directory says")
		}
		at := e.zip.offset + 30 + int64(binary.LittleEndian.Uint16(local[26:])) + int64(binary.LittleEndian.Uint16(local[28:]))
		if e.zip.packed > z.size || at > z.size-e.zip.packed {
			return nil, skipf("cut short: the archive ends before the file does")
		}
		packed := io.NewSectionReader(z.f, at, e.zip.packed)
		c := &checkedReader{z: z, r: packed, left: e.size, want: e.zip.crc}
		if e.zip.method == 8 {
			c.inflater = inflaters.Get().(io.ReadCloser)
			if err := c.inflater.(flate.Resetter).Reset(bufio.NewReaderSize(packed, 1<<13), nil); err != nil {
				return nil, err
			}
			c.r = c.inflater
		}
		return c, nil
	}
}

// inflaters take 40 KiB each, more than most files here.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// checkedReader holds a file in a zip to the length and the checksum in the directory.
type checkedReader struct {
	z    *zipSource
	r    io.Reader
	left int64
	sum  uint32
	want uint32

	inflater io.ReadCloser // nil for a stored file
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.z.unpacked.Add(int64(n)) > max(c.z.lim.bombBytes, c.z.size*c.z.lim.bombRatio) {
		return n, bombError(c.z.name, c.z.lim) // ends the load: which file it hits is chance
	}
	c.sum = crc32.Update(c.sum, crc32.IEEETable, p[:n])
	c.left -= int64(n)
	switch {
	case c.left < 0:
		return n, skipf("corrupt: longer than the archive's directory says")
	case err == io.EOF && c.left > 0:
		return n, io.ErrUnexpectedEOF
	case err == io.EOF && c.sum != c.want:
		return n, skipf("corrupt: its checksum in the archive is wrong")
	}
	return n, err
}

func (c *checkedReader) Close() error {
	if c.inflater != nil {
		inflaters.Put(c.inflater)
		c.inflater, c.r = nil, nil
	}
	return nil
}
