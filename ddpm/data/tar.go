package data

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
)

// tarSource is a tar, gzipped or not. It is read from front to end twice: once for the names, once for the files.
type tarSource struct {
	f    archiveFile
	size int64
	name string
	lim  limits
	gz   bool
}

func (t *tarSource) label() string                         { return t.name }
func (t *tarSource) ordered() bool                         { return false }
func (t *tarSource) close() error                          { return t.f.Close() }
func (t *tarSource) sibling(string) (io.ReadCloser, error) { return nil, errNoSibling }

// errBomb ends the reading of an archive that unpacks to far more than pictures do.
var errBomb = errors.New("bomb")

func bombError(name string, lim limits) error {
	return fmt.Errorf("%s unpacks to more than %d times its size: it looks like a %w and is not read; if it is good, unpack it and name the folder", name, lim.bombRatio, errBomb)
}

// walk calls do for each member with its place in the archive. An archive that breaks off ends the walk with damaged
// set: what came before stays good.
func (t *tarSource) walk(ctx context.Context, do func(seq int32, h *tar.Header, r io.Reader) error) (damaged, err error) {
	var r io.Reader = bufio.NewReaderSize(io.NewSectionReader(t.f, 0, t.size), 1<<16)
	if t.gz {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err, nil
		}
		r = &bombReader{r: z, limit: max(t.lim.bombBytes, t.size*t.lim.bombRatio)}
	}
	tr := tar.NewReader(&ctxReader{ctx, r})
	for seq := int32(0); ; seq++ {
		h, err := tr.Next()
		switch {
		case err == io.EOF:
			return nil, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errBomb):
			return nil, bombError(t.name, t.lim)
		case err != nil:
			return err, nil
		}
		if err := do(seq, h, tr); err != nil {
			return nil, err
		}
	}
}

func (t *tarSource) list(ctx context.Context) (entries []entry, skips []Skip, err error) {
	var names int64
	damaged, err := t.walk(ctx, func(seq int32, h *tar.Header, _ io.Reader) error {
		if ignored(h.Name) || h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			return nil
		}
		if names += int64(len(h.Name)); len(entries)+len(skips) >= t.lim.entries || names > t.lim.nameBytes {
			return fmt.Errorf("%s holds more than %d files: unpack it and name a folder with fewer", t.name, t.lim.entries)
		}
		skip := func(why string) { skips = append(skips, Skip{Escape(h.Name), why}) }
		switch {
		case h.Typeflag == tar.TypeSymlink, h.Typeflag == tar.TypeLink:
			skip("a link inside an archive, not followed")
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse:
			skip("a device or pipe, not a file")
		case outside(h.Name):
			skip("its path points out of the archive")
		default:
			entries = append(entries, entry{name: h.Name, size: h.Size, seq: seq})
		}
		return nil
	})
	if damaged != nil {
		skips = append(skips, Skip{t.name, fmt.Sprintf("the archive is damaged (%s): what lies behind file %d is lost", reason(damaged), len(entries))})
	}
	return entries, skips, err
}

func (t *tarSource) feed(ctx context.Context, want []entry, do func(int, int64, opener) error) error {
	place := make(map[int32]int, len(want))
	for i, e := range want {
		place[e.seq] = i
	}
	_, err := t.walk(ctx, func(seq int32, h *tar.Header, r io.Reader) error {
		i, ok := place[seq]
		if !ok {
			return nil
		}
		delete(place, seq)
		return do(i, h.Size, func() (io.ReadCloser, error) { return io.NopCloser(r), nil })
	})
	if err != nil {
		return err
	}
	for _, i := range place { // listed, but gone on the second reading
		if err := do(i, want[i].size, func() (io.ReadCloser, error) {
			return nil, skipf("the archive changed while it was read")
		}); err != nil {
			return err
		}
	}
	return nil
}

// bombReader fails once more than limit bytes came out.
type bombReader struct {
	r     io.Reader
	limit int64
	n     int64
}

func (b *bombReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.n += int64(n); b.n > b.limit {
		return n, errBomb
	}
	return n, err
}

// ctxReader lets a long skip inside an archive be cancelled.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// memory is an opener of bytes that are already here.
func memory(p []byte) opener {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }
}
