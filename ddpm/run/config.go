package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// ConfigVersion is the newest version of config.json that is understood.
const ConfigVersion = 1

// A NewerError is a file that a later version of the program wrote.
type NewerError struct {
	What           string // the file, and where in it
	Version, Known int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s has version %d and this program knows %d at most: use a newer ddpm-tui", e.What, e.Version, e.Known)
}

// ReadConfig reads config.json into v, strictly: a field that v lacks is an
// error, for it may change what the run does.
func (f *Folder) ReadConfig(v any) error {
	path := f.Path(configName)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return DecodeConfig(path, data, v)
}

// DecodeConfig decodes a config as ReadConfig does; path is for errors.
func DecodeConfig(path string, data []byte, v any) error {
	if err := checkVersion(path, data, ConfigVersion); err != nil {
		return err
	}
	if err := decodeStrictly(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// WriteConfig replaces config.json, as when a run is given more steps. The
// caller holds the lock.
func (f *Folder) WriteConfig(config any) error {
	data, err := encodeConfig(config)
	if err != nil {
		return err
	}
	return WriteFile(f.Path(configName), data, 0o666)
}

func encodeConfig(config any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(config); err != nil {
		return nil, fmt.Errorf("%s: %w", configName, err)
	}
	return b.Bytes(), checkVersion(configName, b.Bytes(), ConfigVersion)
}

// checkVersion looks at nothing but "version", so that a newer file is named as
// such, whatever else is in it.
func checkVersion(path string, data []byte, known int) error {
	var head struct {
		Version *int `json:"version"`
	}
	// Only syntax and the version's own type can fail here.
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case head.Version == nil:
		return fmt.Errorf(`%s: "version" is missing`, path)
	case *head.Version < 1:
		return fmt.Errorf("%s: version %d makes no sense", path, *head.Version)
	case *head.Version > known:
		return &NewerError{What: path, Version: *head.Version, Known: known}
	}
	return nil
}

func decodeStrictly(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // the error names the field
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the closing brace")
	}
	return nil
}
