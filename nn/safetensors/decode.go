package safetensors

import (
	"cmp"
	"encoding/binary"
	"os"
	"slices"
)

// maxHeader is the largest header that is read, the limit of the reference
// implementation.
const maxHeader = 100_000_000

// ReadFile reads and checks a whole file.
func ReadFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err // names the path already
	}
	return Decode(path, data)
}

// Decode checks and decodes the bytes of a file; path is used in errors only.
// The tensors share data's memory.
func Decode(path string, data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, fail(path, "", "the file has %d bytes; the header's length alone is 8", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader {
		return nil, fail(path, "", "the header claims %d bytes; the limit is %d (is this a safetensors file?)", n, maxHeader)
	}
	if n > uint64(len(data)-8) {
		return nil, fail(path, "", "the header claims %d bytes but the file ends after %d: it is cut short", n, len(data)-8)
	}
	head, body := data[8:8+n], data[8+n:]

	entries, meta, err := parseHeader(path, head)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, Metadata: meta, index: make(map[string]int, len(entries))}

	// The data must be covered exactly: in order of offset, each tensor begins
	// where the one before it ended.
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	var at uint64
	last := ""
	for _, e := range entries {
		size, err := byteSize(e.dtype, e.shape)
		switch {
		case err != nil:
			return nil, fail(path, e.name, "%v", err)
		case e.begin > e.end:
			return nil, fail(path, e.name, "data_offsets [%d, %d] run backwards", e.begin, e.end)
		case e.end > uint64(len(body)):
			return nil, fail(path, e.name, "data_offsets [%d, %d] pass the end of the data, which has %d bytes", e.begin, e.end, len(body))
		case e.end-e.begin != size:
			return nil, fail(path, e.name, "dtype %s and shape %v need %d bytes, data_offsets [%d, %d] give %d", e.dtype, e.shape, size, e.begin, e.end, e.end-e.begin)
		case e.begin < at:
			return nil, fail(path, e.name, "data_offsets [%d, %d] overlap tensor %.200q, which ends at %d", e.begin, e.end, last, at)
		case e.begin > at:
			return nil, fail(path, e.name, "data_offsets [%d, %d] leave a hole: the data before it ends at %d", e.begin, e.end, at)
		}
		at, last = e.end, e.name
		f.index[e.name] = len(f.tensors)
		f.tensors = append(f.tensors, Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: body[e.begin:e.end:e.end], path: path})
	}
	if at != uint64(len(body)) {
		return nil, fail(path, "", "%d bytes of data belong to no tensor: the tensors end at %d of %d", uint64(len(body))-at, at, len(body))
	}
	return f, nil
}
