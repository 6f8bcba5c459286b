package metrics

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// A Part is what one process does of an evaluation, of several that know nothing of each other: of every task's chunks the K-th of N equal
// ranges, counted from 0. What cannot be shared out (the autoencoder, and the numbers that rest on all chunks) is left to who has all parts.
// The zero value is the whole.
type Part struct{ K, N int }

func (p Part) is() bool { return p.N > 0 }

// of is the range of a task's chunks.
func (p Part) of(t task) (begin, end int) {
	if !p.is() || t.chain {
		return 0, t.n
	}
	return dist.Share(t.n, p.K, p.N)
}

// WritePart writes the chunks of this process's part into a file, each as a tensor under the name of its folder and its number.
func (w *Work) WritePart(path string, metadata map[string]string) error {
	var list []safetensors.Tensor
	for _, name := range w.made {
		v := readChunk(filepath.Join(w.Dir, name))
		if v == nil {
			return fmt.Errorf("%s is not there any more: the same command makes it again", filepath.Join(w.Dir, name))
		}
		list = append(list, safetensors.Float32(strings.TrimSuffix(filepath.ToSlash(name), chunkEnding), []int{len(v)}, v))
	}
	return safetensors.WriteFile(path, list, metadata)
}

// TakePart puts the chunks of a file that WritePart wrote where an evaluation of the run looks for them.
func (w *Work) TakePart(f *safetensors.File) error {
	for _, name := range f.Names() {
		t, err := f.Tensor(name)
		if err != nil {
			return err
		}
		folder, number, _ := strings.Cut(name, "/")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || len(t.Shape) != 1 || !slices.Contains(partTasks, strings.SplitN(folder, "-", 2)[0]) || filepath.Base(folder) != folder {
			return fmt.Errorf("%q is no chunk of an evaluation", name)
		}
		v, err := t.Float32s()
		if err != nil {
			return err
		}
		if err := writeChunk(chunkPath(filepath.Join(w.Dir, folder), i), v); err != nil {
			return err
		}
	}
	return nil
}

// partTasks are the tasks whose chunks a part has.
var partTasks = []string{"loss", "bits", "samples", "features", "nearest"}
