package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// CheckpointVersion is the newest version of a checkpoint that is understood.
const CheckpointVersion = 1

// The files of a checkpoint.
const (
	modelFile     = "model.safetensors"
	emaFile       = "ema.safetensors"
	optimizerFile = "optimizer.safetensors"
	stateFile     = "state.json"
)

// A CheckpointState is a checkpoint's state.json: all that is needed, besides
// tensors, to go on training, or to sample with no other file at hand.
type CheckpointState struct {
	Version      int               `json:"version"` // filled in by Save
	Step         int64             `json:"step"`    // optimizer steps done
	Seed         uint64            `json:"seed"`
	DataPosition int64             `json:"data_position"` // images drawn so far, step times batch
	Schedule     json.RawMessage   `json:"schedule,omitempty"`
	UNet         json.RawMessage   `json:"unet,omitempty"`   // diffusers' config.json
	Config       json.RawMessage   `json:"config,omitempty"` // the run's config.json
	Kernels      map[string]string `json:"kernels,omitempty"`
	Averages     *Averages         `json:"averages,omitempty"`
	LossScaling  *LossScaling      `json:"loss_scaling,omitempty"` // nil: the loss is not scaled
	Hashes       map[string]string `json:"files"`                  // file name to SHA-256 in hex; filled in by Save
}

// Averages are the running means that the screens show, which go on after a resume. They depend on the steps alone, as the weights do.
type Averages struct {
	Loss    Float   `json:"loss"`
	Steps   int     `json:"steps"`   // that Loss is of
	Buckets []Float `json:"buckets"` // of the loss by timestep, as in Metrics
	Counts  []int   `json:"counts"`  // losses in each
}

// LossScaling is the state of dynamic loss scaling, which goes on after a resume exactly as it was.
type LossScaling struct {
	Scale   float64 `json:"scale"`         // of the next step, a power of two
	Good    int64   `json:"good_steps"`    // since it last changed
	Skipped int64   `json:"skipped_steps"` // so far: steps that were done and changed nothing
}

// The last line but one of state.json carries the SHA-256 of every byte before
// that line, so that damage to state.json itself is seen as well.
const (
	sealBegin = "  \"sha256\": \""
	sealEnd   = "\"\n}\n"
	sealBytes = len(sealBegin) + 2*sha256.Size + len(sealEnd)
)

// encode returns the bytes of state.json, which depend on nothing but s.
func (s *CheckpointState) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ") // the raw messages too, however they came
	if err := enc.Encode(s); err != nil {
		return nil, err
	}
	b.Truncate(b.Len() - len("\n}\n"))
	b.WriteString(",\n")
	b.WriteString(sealBegin + hash(b.Bytes()) + sealEnd)
	return b.Bytes(), nil
}

// decodeState reads the bytes of a state.json; path is for errors.
func decodeState(path string, data []byte) (*CheckpointState, error) {
	body, sealed := bytes.CutSuffix(data, []byte(sealEnd))
	if at := len(data) - sealBytes; sealed && at > 0 && string(data[at:at+len(sealBegin)]) == sealBegin {
		if string(body[at+len(sealBegin):]) != hash(data[:at]) {
			return nil, fmt.Errorf("%s is damaged: its SHA-256 is not the one it should have", path)
		}
	} else {
		sealed = false
	}
	// A later version may do without the seal, so it is looked for first.
	err := checkVersion(path, data, CheckpointVersion)
	if newer := (*NewerError)(nil); errors.As(err, &newer) {
		return nil, err
	}
	if !sealed {
		return nil, fmt.Errorf("%s is damaged: it does not end with its SHA-256", path)
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		CheckpointState
		SHA256 string `json:"sha256"`
	}
	if err := decodeStrictly(data, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &file.CheckpointState
	for _, raw := range []*json.RawMessage{&s.Schedule, &s.UNet, &s.Config} {
		*raw = compact(*raw)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// check refuses what Save never writes; the names of files above all, which
// must not lead anywhere else.
func (s *CheckpointState) check() error {
	if s.Step < 0 || s.DataPosition < 0 {
		return fmt.Errorf("step %d and data position %d make no sense", s.Step, s.DataPosition)
	}
	if l := s.LossScaling; l != nil {
		if f, _ := math.Frexp(l.Scale); f != 0.5 || l.Good < 0 || l.Skipped < 0 || l.Skipped > s.Step {
			return fmt.Errorf("a loss scale of %v with %d good and %d skipped steps makes no sense", l.Scale, l.Good, l.Skipped)
		}
	}
	if s.Hashes[modelFile] == "" {
		return errors.New("it lists no " + modelFile)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Hashes)) {
		if name != modelFile && name != emaFile && name != optimizerFile {
			return fmt.Errorf("it lists a file %.100q", name)
		}
		if sum, err := hex.DecodeString(s.Hashes[name]); err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("the hash of %s is no SHA-256", name)
		}
	}
	return nil
}

// compact undoes the indentation that encode gave a raw message.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil || b.String() == "null" {
		return nil
	}
	return b.Bytes()
}

func hash(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}
