// Package metrics says how good a model is, in numbers with an error bar: the loss by timestep and the variational bound on held-out
// images; distances between sampled and real images (sliced Wasserstein on Laplacian pyramids, Fréchet and kernel on features);
// precision and recall; and the nearest training image of every sample.
//
// Long work is cut into chunks. Each is computed once and kept in the run's folder eval, so that an evaluation that was stopped goes
// on where it was, and another metric, or more samples, use what is there.
package metrics

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// A Work keeps finished chunks and says how far it is.
type Work struct {
	Dir        string    // where chunks lie; "" keeps nothing. Of ranks only the first has it
	Comm       dist.Comm // the ranks that share the chunks, nil for one process alone
	Part       Part      // which chunks this process does
	OnProgress func(Progress)

	made []string // chunks of Part that are there, by their paths in Dir
}

// A Progress says how far a task is.
type Progress struct {
	Task        string  // for people
	Done, Total float64 // chunks
	Kept        int     // chunks that were there already
	Left        float64 // seconds, NaN while unknown
}

// A task is work in chunks.
type task struct {
	name  string // of its folder
	about string // for people
	deps  any    // all that its chunks depend on, to be marshalled
	n     int    // chunks
	chain bool   // each chunk goes on from the one before it, and only the last counts
}

// key names what a task depends on, in 16 characters.
func (t task) key() (string, error) {
	p, err := json.Marshal(t.deps)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:8]), nil
}

// chunks computes those chunks of a task that are not kept yet and returns all; of a chain, the last alone. Those that Part leaves to other
// processes are nil. compute gets the chunk
// before, where there is one, and says with tick how far a chunk is, from 0 to 1.
func chunks(ctx context.Context, w *Work, t task, compute func(i int, before []float32, tick func(float64)) ([]float32, error)) ([][]float32, error) {
	key, err := t.key()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(w.Dir, t.name+"-"+key)
	all := make([][]float32, t.n)
	begin, end := w.Part.of(t)
	p := Progress{Task: t.about, Total: float64(end - begin), Left: math.NaN()}
	first := begin // chunk that is not there
	for i := begin; i < end; i++ {
		if w.Dir != "" {
			if all[i] = readChunk(chunkPath(dir, i)); all[i] != nil {
				if p.Kept++; t.chain {
					p.Kept, first = i+1, i+1
				}
			}
		}
	}
	p.Done = float64(p.Kept)
	w.say(p)
	if w.Comm != nil && w.Comm.Size() > 1 {
		return together(ctx, w, t, dir, all, first, p, compute)
	}
	start := time.Now()
	for i := first; i < end; i++ {
		if all[i] != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var previous []float32
		if i > 0 {
			previous = all[i-1]
		}
		before := p.Done
		all[i], err = compute(i, previous, func(part float64) {
			p.Done = before + part
			if here := p.Done - float64(p.Kept); here > 0 {
				p.Left = time.Since(start).Seconds() / here * (p.Total - p.Done)
			}
			w.say(p)
		})
		if err != nil {
			return nil, err
		}
		if w.Dir != "" {
			if err := writeChunk(chunkPath(dir, i), all[i]); err != nil {
				return nil, err
			}
			if t.chain && i > 0 {
				_ = os.Remove(chunkPath(dir, i-1)) // it only takes room
			}
		}
		p.Done = before + 1
		p.Left = time.Since(start).Seconds() / (p.Done - float64(p.Kept)) * (p.Total - p.Done)
		w.say(p)
	}
	if t.chain {
		return all[t.n-1:], nil
	}
	for i := begin; i < end && w.Part.is(); i++ {
		w.made = append(w.made, chunkPath(filepath.Base(dir), i))
	}
	return all, nil
}

func (w *Work) say(p Progress) {
	if w.OnProgress != nil {
		w.OnProgress(p)
	}
}

// chunkEnding is what the names of chunks end with.
const chunkEnding = ".chunk"

func chunkPath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("%05d", i)+chunkEnding)
}

// chunkMagic begins a chunk; the CRC-32C of the floats follows, and the floats, little endian.
const chunkMagic = "ddpmchk1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readChunk returns nil for what is not a whole chunk: it is computed again.
func readChunk(path string) []float32 {
	p, err := os.ReadFile(path)
	if err != nil || len(p) < 12 || string(p[:8]) != chunkMagic || (len(p)-12)%4 != 0 {
		return nil
	}
	if binary.LittleEndian.Uint32(p[8:]) != crc32.Checksum(p[12:], castagnoli) {
		return nil
	}
	v := make([]float32, (len(p)-12)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(p[12+4*i:]))
	}
	return v
}

func writeChunk(path string, v []float32) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, v) // memory takes it
	return durable.File(path, 0o666, func(f io.Writer) error {
		head := binary.LittleEndian.AppendUint32([]byte(chunkMagic), crc32.Checksum(b.Bytes(), castagnoli))
		if _, err := f.Write(head); err != nil {
			return err
		}
		_, err := f.Write(b.Bytes())
		return err
	})
}
