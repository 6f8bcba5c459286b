package run

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A Snapshot is a training run at one step, whole: from it the run goes on as
// if it had never stopped, and images are sampled with nothing else at hand.
type Snapshot struct {
	State     CheckpointState
	Model     []safetensors.Tensor
	EMA       []safetensors.Tensor // none: no file
	Optimizer []safetensors.Tensor // none: no file, and no resuming

	Path string // the folder it was loaded from; not saved
}

// metadata is what readers of safetensors files expect of weights.
var metadata = map[string]string{"format": "pt"}

// parts are the files of a snapshot besides state.json.
func (s *Snapshot) parts() []part {
	return []part{{modelFile, &s.Model}, {emaFile, &s.EMA}, {optimizerFile, &s.Optimizer}}
}

type part struct {
	name    string
	tensors *[]safetensors.Tensor
}

// write puts the snapshot's files into dir, an empty folder, and returns their
// size. Nothing in them depends on when or where they are written.
func (s *Snapshot) write(dir string) (size int64, err error) {
	if len(s.Model) == 0 {
		return 0, errors.New("the snapshot has no weights")
	}
	state := s.State
	state.Version = CheckpointVersion
	state.Hashes = map[string]string{}
	for _, p := range s.parts() {
		if len(*p.tensors) == 0 {
			continue
		}
		sum := sha256.New()
		err := durable.NewFile(filepath.Join(dir, p.name), 0o666, func(w io.Writer) error {
			n := &counter{w: io.MultiWriter(w, sum)}
			err := safetensors.Write(n, *p.tensors, metadata)
			size += n.n
			return err
		})
		if err != nil {
			return 0, err
		}
		state.Hashes[p.name] = hex.EncodeToString(sum.Sum(nil))
	}
	if err := state.check(); err != nil {
		return 0, err
	}
	data, err := state.encode()
	if err != nil {
		return 0, err
	}
	err = durable.NewFile(filepath.Join(dir, stateFile), 0o666, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return size + int64(len(data)), errors.Join(err, durable.SyncDir(dir))
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// LoadState reads a checkpoint's state.json alone.
func LoadState(dir string) (*CheckpointState, error) {
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no checkpoint %s", dir)
		}
		return nil, fmt.Errorf("%s is not a whole checkpoint: it has no %s", dir, stateFile)
	}
	if err != nil {
		return nil, err
	}
	return decodeState(path, data)
}

// LoadCheckpoint reads one checkpoint folder, wherever it is, and verifies every
// byte of it. There is nothing to fall back on.
func LoadCheckpoint(dir string) (*Snapshot, error) {
	state, err := LoadState(dir)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{State: *state, Path: dir}
	for _, p := range s.parts() {
		want, ok := state.Hashes[p.name]
		if !ok {
			continue
		}
		path := filepath.Join(dir, p.name)
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s is missing", path)
		}
		if err != nil {
			return nil, err
		}
		if hash(data) != want {
			return nil, fmt.Errorf("%s is damaged: its SHA-256 is not the one in %s", path, stateFile)
		}
		file, err := safetensors.Decode(path, data)
		if err != nil {
			return nil, err
		}
		for _, name := range file.Names() {
			t, err := file.Tensor(name)
			if err != nil {
				return nil, err
			}
			*p.tensors = append(*p.tensors, *t)
		}
	}
	return s, nil
}
