package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

const metadataKey = "__metadata__"

// An entry is one tensor of the header, not yet checked against the data.
type entry struct {
	name, dtype string
	shape       []int
	begin, end  uint64
}

// parseHeader reads the JSON header token by token: decoding it into a map
// would hide duplicate keys, and the last of two would silently win.
func parseHeader(path string, head []byte) ([]entry, map[string]string, error) {
	p := &headerParser{dec: json.NewDecoder(bytes.NewReader(head))}
	p.dec.UseNumber()
	var entries []entry
	var meta map[string]string
	if len(head) == 0 || head[0] != '{' {
		return nil, nil, fail(path, "", "the header does not begin with '{' (is this a safetensors file?)")
	}
	bad := func(name string, err error) ([]entry, map[string]string, error) {
		return nil, nil, fail(path, name, "header: %v", err)
	}
	err := p.object(func(key string) error {
		if key == metadataKey {
			var err error
			if meta, err = p.metadata(); err != nil {
				return fmt.Errorf("%s: %w", metadataKey, err)
			}
			return nil
		}
		e, err := p.entry()
		if err != nil {
			return fmt.Errorf("tensor %.200q: %w", key, err)
		}
		e.name = key
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return bad("", err)
	}
	if rest := head[p.dec.InputOffset():]; len(bytes.Trim(rest, " \t\r\n")) != 0 {
		return bad("", errors.New("there is something after the closing brace"))
	}
	return entries, meta, nil
}

type headerParser struct{ dec *json.Decoder }

// object reads an object, calling value at the value of each key. A key that
// comes twice is an error.
func (p *headerParser) object(value func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.dec.More() {
		key, err := p.str()
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("key %.200q occurs twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

func (p *headerParser) metadata() (map[string]string, error) {
	meta := map[string]string{}
	err := p.object(func(key string) (err error) {
		meta[key], err = p.str()
		return err
	})
	return meta, err
}

func (p *headerParser) entry() (entry, error) {
	var e entry
	var offsets []uint64
	have := map[string]bool{}
	err := p.object(func(key string) (err error) {
		have[key] = true
		switch key {
		case "dtype":
			e.dtype, err = p.str()
		case "shape":
			var dims []uint64
			dims, err = p.numbers()
			e.shape = make([]int, len(dims))
			for i, d := range dims {
				if e.shape[i] = int(d); e.shape[i] < 0 || uint64(e.shape[i]) != d {
					return fmt.Errorf("shape: dimension %d is too large", d)
				}
			}
		case "data_offsets":
			if offsets, err = p.numbers(); err == nil && len(offsets) != 2 {
				err = fmt.Errorf("has %d numbers, want 2", len(offsets))
			}
		default: // the reference implementation ignores other keys
			var skip json.RawMessage
			err = p.dec.Decode(&skip)
		}
		if err != nil {
			return fmt.Errorf("%.40s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !have[key] {
			return e, fmt.Errorf("%s is missing", key)
		}
	}
	e.begin, e.end = offsets[0], offsets[1]
	return e, nil
}

// numbers reads an array of integers of at most 63 bits, none negative.
func (p *headerParser) numbers() ([]uint64, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	var out []uint64
	for p.dec.More() {
		tok, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		num, ok := tok.(json.Number)
		if !ok {
			return nil, fmt.Errorf("has %.40q where a number belongs", fmt.Sprint(tok))
		}
		v, err := strconv.ParseUint(string(num), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("has %.40q where a whole number from 0 to 2^63-1 belongs", string(num))
		}
		out = append(out, v)
	}
	return out, p.delim(']')
}

func (p *headerParser) str() (string, error) {
	tok, err := p.dec.Token()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", fmt.Errorf("has %.40q where a string belongs", fmt.Sprint(tok))
	}
	return s, nil
}

func (p *headerParser) delim(want json.Delim) error {
	tok, err := p.dec.Token()
	if err != nil {
		return err
	}
	if tok != want {
		return fmt.Errorf("has %.40q where %q belongs", fmt.Sprint(tok), string(want))
	}
	return nil
}
