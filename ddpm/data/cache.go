package data

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A cache is a decoded set as a safetensors file: the pixels as a tensor [N,H,W,C] of bytes, and all else in the metadata. It belongs
// to the options and the list of files that it was made with (Set.Hash), and is checked to the last byte before it is used.
const (
	cachePixels = "pixels"
	cacheAbout  = "about" // metadata: a cached as JSON
	cacheSum    = "sha256"
)

// cacheVersion grows when this package decodes a picture to other bytes than before.
const cacheVersion = 1

// cached is what a cache says beside the pixels.
type cached struct {
	Version      int         `json:"version"`
	Hash         string      `json:"hash"` // Set.Hash
	Name         string      `json:"name"`
	Pixels       string      `json:"pixels"` // their SHA-256
	Labels       []int       `json:"labels,omitempty"`
	Classes      []string    `json:"classes,omitempty"`
	Skipped      []Skip      `json:"skipped,omitempty"`
	SkippedTotal int         `json:"skipped_total,omitempty"`
	Sources      []SizeCount `json:"sources,omitempty"`
	Formats      []Count     `json:"formats,omitempty"`
	Files        []string    `json:"files,omitempty"`
	First        []int       `json:"first,omitempty"` // the first picture of ...
	Of           []int       `json:"of,omitempty"`    // ... this file
}

// WriteCache writes a set to a file, beside it first, so that it is there whole or not at all.
func WriteCache(path string, s *Set) error {
	sum := sha256.Sum256(s.Pixels)
	c := cached{
		Version: cacheVersion, Hash: s.Hash, Name: s.Name, Pixels: hex.EncodeToString(sum[:]), Labels: s.Labels, Classes: s.Classes,
		Skipped: s.Skipped, SkippedTotal: s.SkippedTotal, Sources: s.Sources, Formats: s.Formats, Files: s.files,
	}
	for _, o := range s.origin {
		c.First, c.Of = append(c.First, o.first), append(c.Of, o.file)
	}
	about, err := json.Marshal(&c)
	if err != nil {
		return err
	}
	aboutSum := sha256.Sum256(about)
	pixels := []safetensors.Tensor{{Name: cachePixels, DType: "U8", Shape: []int{s.N, s.Size, s.Size, s.Channels}, Data: s.Pixels}}
	return durable.File(path, 0o666, func(w io.Writer) error {
		return safetensors.Write(w, pixels, map[string]string{cacheAbout: string(about), cacheSum: hex.EncodeToString(aboutSum[:])})
	})
}

// ErrNoCache says that there is no cache at a path.
var ErrNoCache = errors.New("there are no decoded images")

// ReadCache reads what WriteCache wrote of a source that still has the fingerprint hash; see Fingerprint. The error says why the cache
// cannot be used, and is ErrNoCache where there is none.
func ReadCache(path, source, hash string, opt Options) (*Set, error) {
	opt, err := opt.normal()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoCache
	}
	if err != nil {
		return nil, err
	}
	if err := regular(info); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if most := opt.MaxBytes + 1<<30; info.Size() > most {
		return nil, fmt.Errorf("%s is too large to be of these images", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := decodeCache(path, data)
	switch {
	case err != nil:
		return nil, err
	case s.Hash != hash:
		return nil, fmt.Errorf("%s is of other images or another size", path)
	case s.Channels != opt.Channels || opt.Size != 0 && s.Size != opt.Size:
		return nil, fmt.Errorf("%s holds images of %dx%dx%d", path, s.Size, s.Size, s.Channels)
	}
	s.Name = Escape(source) // it may have been moved
	return s, nil
}

// decodeCache checks the bytes of a cache and makes them a set, whose pixels are a part of data.
func decodeCache(path string, data []byte) (*Set, error) {
	file, err := safetensors.Decode(path, data)
	if err != nil {
		return nil, err
	}
	about := []byte(file.Metadata[cacheAbout])
	if sum := sha256.Sum256(about); hex.EncodeToString(sum[:]) != file.Metadata[cacheSum] {
		return nil, fmt.Errorf("%s is damaged: its metadata does not have its SHA-256", path)
	}
	var c cached
	if err := json.Unmarshal(about, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if c.Version != cacheVersion {
		return nil, fmt.Errorf("%s has version %d, this program writes %d", path, c.Version, cacheVersion)
	}
	t, err := file.Tensor(cachePixels)
	if err != nil {
		return nil, err
	}
	if len(t.Shape) != 4 || t.DType != "U8" || t.Shape[0] < 1 || t.Shape[1] < 1 || t.Shape[1] != t.Shape[2] || t.Shape[1] > MaxSize || t.Shape[3] != 1 && t.Shape[3] != 3 {
		return nil, fmt.Errorf("%s: pixels are %s%v, want U8 [N,S,S,C]", path, t.DType, t.Shape)
	}
	if sum := sha256.Sum256(t.Data); hex.EncodeToString(sum[:]) != c.Pixels {
		return nil, fmt.Errorf("%s is damaged: its pixels do not have their SHA-256", path)
	}
	s := &Set{
		Name: c.Name, Size: t.Shape[1], Channels: t.Shape[3], N: t.Shape[0], Pixels: t.Data, Labels: c.Labels, Classes: c.Classes,
		Skipped: c.Skipped, SkippedTotal: c.SkippedTotal, Hash: c.Hash, Sources: c.Sources, Formats: c.Formats, files: c.Files,
	}
	bad := s.Labels != nil && len(s.Labels) != s.N || len(c.First) != len(c.Of)
	for i := range min(len(c.First), len(c.Of)) {
		bad = bad || c.First[i] < 0 || c.First[i] >= s.N || i > 0 && c.First[i] <= c.First[i-1] || c.Of[i] < 0 || c.Of[i] >= len(s.files)
		s.origin = append(s.origin, span{c.First[i], c.Of[i]})
	}
	if bad {
		return nil, fmt.Errorf("%s: what it says of its images does not fit them", path)
	}
	return s, nil
}
