package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// Encode returns the bytes of a file. The same arguments always give the same
// bytes: tensors keep the given order, metadata is sorted by key.
func Encode(tensors []Tensor, meta map[string]string) ([]byte, error) {
	var out bytes.Buffer
	if err := encode(&out, "", tensors, meta); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// WriteFile writes a file so that path names either the old content or the
// whole new one, never part of it, even if the machine stops.
func WriteFile(path string, tensors []Tensor, meta map[string]string) error {
	return durable.File(path, 0o644, func(w io.Writer) error { return encode(w, path, tensors, meta) })
}

// Write writes the bytes of a file, for callers that place it themselves.
func Write(w io.Writer, tensors []Tensor, meta map[string]string) error {
	return encode(w, "", tensors, meta)
}

// WriteHead writes what comes before the bytes of tensors. Their Data is not looked at: the caller writes it next, tensor by tensor, as many
// bytes as dtypes and shapes say.
func WriteHead(w io.Writer, tensors []Tensor, meta map[string]string) error {
	return writeHead(w, "", tensors, meta)
}

func writeHead(w io.Writer, path string, tensors []Tensor, meta map[string]string) error {
	head, err := header(path, tensors, meta)
	if err != nil {
		return err
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))); err != nil {
		return err
	}
	_, err = w.Write(head)
	return err
}

func encode(w io.Writer, path string, tensors []Tensor, meta map[string]string) error {
	for i := range tensors {
		t := &tensors[i]
		if size, err := byteSize(t.DType, t.Shape); err == nil && size != uint64(len(t.Data)) {
			return fail(path, t.Name, "dtype %s and shape %v need %d bytes, the data has %d", t.DType, t.Shape, size, len(t.Data))
		}
	}
	if err := writeHead(w, path, tensors, meta); err != nil {
		return err
	}
	for i := range tensors {
		if _, err := w.Write(tensors[i].Data); err != nil {
			return err
		}
	}
	return nil
}

// header returns the JSON header, padded with spaces to a multiple of eight.
func header(path string, tensors []Tensor, meta map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	comma := ""
	if len(meta) > 0 {
		b.WriteString(`"` + metadataKey + `":{`)
		for _, k := range slices.Sorted(maps.Keys(meta)) {
			b.WriteString(comma)
			if err := errors.Join(writeString(&b, k), b.WriteByte(':'), writeString(&b, meta[k])); err != nil {
				return nil, fail(path, "", "metadata %.40q: %v", k, err)
			}
			comma = ","
		}
		b.WriteByte('}')
	}
	seen := map[string]bool{metadataKey: true}
	at := uint64(0)
	for i := range tensors {
		t := &tensors[i]
		size, err := byteSize(t.DType, t.Shape)
		switch {
		case err != nil:
			return nil, fail(path, t.Name, "%v", err)
		case seen[t.Name]:
			return nil, fail(path, t.Name, "the name is taken")
		}
		seen[t.Name] = true
		b.WriteString(comma)
		comma = ","
		if err := writeString(&b, t.Name); err != nil {
			return nil, fail(path, t.Name, "%v", err)
		}
		b.WriteString(`:{"dtype":"` + t.DType + `","shape":[`)
		for j, d := range t.Shape {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprint(&b, d)
		}
		fmt.Fprintf(&b, `],"data_offsets":[%d,%d]}`, at, at+size)
		at += size
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, fail(path, "", "the header has %d bytes; the limit is %d", b.Len(), maxHeader)
	}
	return b.Bytes(), nil
}

// writeString writes s as JSON. Invalid UTF-8 would not survive the round trip.
func writeString(b *bytes.Buffer, s string) error {
	if !utf8.ValidString(s) {
		return errors.New("it is not valid UTF-8")
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the newline that Encode adds
	return nil
}
