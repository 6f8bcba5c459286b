package metrics

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Work that was stopped goes on where it was, and a chunk that is damaged is computed again.
func TestChunksAreComputedOnce(t *testing.T) {
	w := &Work{Dir: t.TempDir()}
	var done []int
	job := func(ctx context.Context, stop int) ([][]float32, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		done = nil
		return chunks(ctx, w, task{name: "squares", deps: "a", n: 5}, func(i int, before []float32, tick func(float64)) ([]float32, error) {
			done = append(done, i)
			if i == stop {
				cancel()
			}
			return []float32{float32(i * i), 1}, nil
		})
	}
	if _, err := job(context.Background(), 2); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	if !slices.Equal(done, []int{0, 1, 2}) {
		t.Errorf("before the stop: %v", done)
	}
	files, _ := filepath.Glob(filepath.Join(w.Dir, "*", "00001.chunk"))
	if len(files) != 1 {
		t.Fatalf("chunk 1 is in %v", files)
	}
	p, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	p[len(p)-1] ^= 1
	if err := os.WriteFile(files[0], p, 0o666); err != nil {
		t.Fatal(err)
	}
	all, err := job(context.Background(), -1)
	if err != nil || !slices.Equal(done, []int{1, 3, 4}) {
		t.Errorf("after it: %v, %v", done, err)
	}
	for i, chunk := range all {
		if !slices.Equal(chunk, []float32{float32(i * i), 1}) {
			t.Errorf("chunk %d is %v", i, chunk)
		}
	}
}

// A chain goes on from its last chunk, keeps no other, and returns it.
func TestChain(t *testing.T) {
	w := &Work{Dir: t.TempDir()}
	count := 0
	job := func(fail int) ([][]float32, error) {
		return chunks(context.Background(), w, task{name: "chain", n: 4, chain: true}, func(i int, before []float32, _ func(float64)) ([]float32, error) {
			if i == fail {
				return nil, errors.New("no")
			}
			count++
			return append(slices.Clone(before), float32(i)), nil
		})
	}
	if _, err := job(2); err == nil {
		t.Fatal("no error")
	}
	all, err := job(-1)
	if err != nil || len(all) != 1 || !slices.Equal(all[0], []float32{0, 1, 2, 3}) || count != 4 {
		t.Errorf("%v, %v, %d chunks", all, err, count)
	}
	if all, err = job(0); err != nil || !slices.Equal(all[0], []float32{0, 1, 2, 3}) {
		t.Errorf("again: %v, %v", all, err)
	}
	if files, _ := filepath.Glob(filepath.Join(w.Dir, "*", "*")); len(files) != 1 {
		t.Errorf("kept: %v", files)
	}
}

// The progress of work reaches its end and counts what was there.
func TestProgress(t *testing.T) {
	var last Progress
	w := &Work{Dir: t.TempDir(), OnProgress: func(p Progress) {
		if p.Done < last.Done {
			t.Errorf("from %v back to %v", last.Done, p.Done)
		}
		last = p
	}}
	for _, kept := range []int{0, 3} {
		last = Progress{}
		if _, err := chunks(context.Background(), w, task{name: "x", n: 3}, func(_ int, _ []float32, tick func(float64)) ([]float32, error) {
			tick(0.5)
			return []float32{1}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if last.Done != 3 || last.Total != 3 || last.Kept != kept {
			t.Errorf("%+v, want %d kept", last, kept)
		}
	}
}

func TestSplit(t *testing.T) {
	m := Images{N: 10, Size: 1, Channels: 1, Pixels: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}
	for n := range 10 {
		rest, held := Split(m, n)
		if rest.N != 10-n || held.N != n || len(held.Pixels) != n || len(rest.Pixels) != 10-n {
			t.Fatalf("%d: %d and %d", n, len(rest.Pixels), len(held.Pixels))
		}
		all := slices.Concat(rest.Pixels, held.Pixels)
		slices.Sort(all)
		if !slices.Equal(all, m.Pixels) {
			t.Errorf("%d: %v and %v", n, rest.Pixels, held.Pixels)
		}
	}
	if _, held := Split(m, 2); !slices.Equal(held.Pixels, []byte{2, 7}) {
		t.Errorf("held out: %v", held.Pixels)
	}
}
