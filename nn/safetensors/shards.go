package safetensors

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// maxIndex is the largest index that is read.
const maxIndex = 100_000_000

// ReadSharded reads the files that an index (model.safetensors.index.json)
// names, which lie beside it, as one. Every tensor must be in the file that the
// index says, and in no other.
func ReadSharded(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxIndex {
		return nil, fail(path, "", "the index has %d bytes; the limit is %d", info.Size(), maxIndex)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	shards, err := parseIndex(path, data)
	if err != nil {
		return nil, err
	}
	all := &File{Path: path, index: map[string]int{}}
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		f, err := ReadFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, t := range f.tensors {
			if !shards[name][t.Name] {
				return nil, fail(path, t.Name, "it is in %s, and the index does not say so", name)
			}
			delete(shards[name], t.Name)
			all.index[t.Name] = len(all.tensors)
			all.tensors = append(all.tensors, t)
		}
		for _, missing := range slices.Sorted(maps.Keys(shards[name])) {
			return nil, fail(path, missing, "it is not in %s, where the index says it is", name)
		}
	}
	return all, nil
}

// parseIndex returns the tensors of each file. A name is a file beside the
// index, never a path that leads elsewhere.
func parseIndex(path string, data []byte) (map[string]map[string]bool, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fail(path, "", "index: %v", err)
	}
	if len(index.WeightMap) == 0 {
		return nil, fail(path, "", "index: weight_map is missing or empty")
	}
	shards := map[string]map[string]bool{}
	for tensor, name := range index.WeightMap {
		if name == "" || name == "." || name == ".." || filepath.Base(name) != name || filepath.IsAbs(name) {
			return nil, fail(path, tensor, "index: %.200q is not the name of a file beside it", name)
		}
		if shards[name] == nil {
			shards[name] = map[string]bool{}
		}
		shards[name][tensor] = true
	}
	return shards, nil
}
