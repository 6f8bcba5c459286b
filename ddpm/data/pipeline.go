package data

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// job is one file on its way to a worker.
type job struct {
	rank int // its place among the entries
	size int64
	open opener
	held int64 // what its bytes took from the read budget, where they are already in memory
}

// result is what a worker says of a file: any number of slabs, then one result that is last.
type result struct {
	rank  int
	seq   int // among the slabs of the file
	slab  slab
	last  bool
	err   error // with last: the file is skipped, and its slabs with it
	fatal error // the load cannot go on
}

// run decodes all entries and hands every result to the collector, in the order they come.
func (l *loader) run(ctx context.Context, c *collector) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs := make(chan job)
	results := make(chan result, l.opt.Workers)
	reads := semaphore.NewWeighted(l.lim.readBudget)
	dec := newDecoder(l.size, l.opt.Channels, l.lim)

	var workers sync.WaitGroup
	for range l.opt.Workers {
		workers.Go(func() {
			for j := range jobs {
				err := l.work(ctx, dec, reads, j, results)
				if errors.Is(err, errBomb) {
					send(ctx, results, result{fatal: err})
					continue
				}
				send(ctx, results, result{rank: j.rank, last: true, err: err})
			}
		})
	}
	go func() {
		err := l.feedAll(ctx, jobs, reads, c)
		close(jobs)
		workers.Wait()
		if err != nil && !errors.Is(err, errEnough) {
			send(ctx, results, result{fatal: err})
		}
		close(results)
	}()

	var failed error
	for r := range results {
		if failed != nil {
			continue // drain, so that everybody can leave
		}
		if r.fatal != nil {
			failed = r.fatal
		} else {
			failed = c.add(r)
		}
		if failed != nil {
			cancel()
		}
		if r.last {
			c.tell()
		}
	}
	if failed == nil {
		failed = ctx.Err() // the caller's: ours is cancelled only when something failed
	}
	return failed
}

// feedAll hands out the files by rank, until all are read or MaxImages pictures are there: as every file before them was
// handed out too, the first MaxImages are among those. A tar keeps an order of its own, so there the files go out in
// rounds of neighbouring ranks, and a round ends before the next begins.
func (l *loader) feedAll(ctx context.Context, jobs chan<- job, reads *semaphore.Weighted, c *collector) error {
	round := len(l.entries)
	if l.opt.MaxImages > 0 && !l.src.ordered() {
		round = max(l.opt.MaxImages, 64)
	}
	for from := 0; from < len(l.entries); {
		to := min(from+round, len(l.entries))
		err := l.src.feed(ctx, l.entries[from:to], func(i int, size int64, open opener) error {
			if l.src.ordered() && c.enough.Load() {
				return errEnough
			}
			j := job{rank: from + i, size: size, open: open}
			if !l.src.ordered() {
				l.hold(ctx, reads, &j)
			}
			select {
			case jobs <- j:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			return err
		}
		for to < len(l.entries) && c.told.Load() < int64(to) {
			select {
			case <-c.news:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if c.enough.Load() {
			return nil
		}
		from, round = to, round*2
	}
	return nil
}

func send(ctx context.Context, to chan<- result, r result) error {
	select {
	case to <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold reads a file of a tar into memory, because the tar moves on. What goes wrong becomes the opener's error.
func (l *loader) hold(ctx context.Context, reads *semaphore.Weighted, j *job) {
	fail := func(err error) { j.open = func() (io.ReadCloser, error) { return nil, err } }
	if j.size > l.lim.fileBytes {
		fail(tooLong(j.size, l.lim))
		return
	}
	take := min(j.size, l.lim.readBudget)
	if err := reads.Acquire(ctx, take); err != nil {
		fail(err)
		return
	}
	r, err := j.open()
	var p []byte
	if err == nil {
		p, err = readCapped(r, j.size, l.lim)
	}
	if err != nil {
		reads.Release(take)
		fail(err)
		return
	}
	j.open, j.held = memory(p), take
}

func tooLong(size int64, lim limits) error {
	return skipf("%d MiB long: picture files over %d MiB are not read", size>>20, lim.fileBytes>>20)
}

// work reads one file and sends its slabs. It returns why the file is skipped, and never panics.
func (l *loader) work(ctx context.Context, dec *decoder, reads *semaphore.Weighted, j job, results chan<- result) (err error) {
	defer recovered(&err)
	if j.held > 0 {
		defer reads.Release(j.held)
	}
	name := l.entries[j.rank].name
	if j.size == 0 {
		return errEmpty
	}
	f, err := openFile(name, j.size, j.open)
	if err != nil {
		return err
	}
	defer f.Close()
	seq := 0
	emit := func(s slab) error {
		seq++
		return send(ctx, results, result{rank: j.rank, seq: seq - 1, slab: s})
	}
	_, sheet := l.src.(embedded)
	switch {
	case f.kind.picture():
		if j.held > 0 && f.size < 0 { // a gzip in a tar: what it unpacks to is not in the budget, so one at a time
			dec.unpacking.Lock()
			defer dec.unpacking.Unlock()
		}
		if j.held == 0 {
			take := l.lim.fileBytes
			if f.size >= 0 {
				take = min(f.size, take)
			}
			take = min(take, l.lim.readBudget)
			if err := reads.Acquire(ctx, take); err != nil {
				return err
			}
			defer reads.Release(take)
		}
		file, err := f.readAll(l.lim)
		if err != nil {
			return err
		}
		if sheet {
			return dec.readSheet(file, emit)
		}
		p, err := dec.decode(ctx, f.kind, file)
		if err != nil {
			return err
		}
		return emit(slab{pix: p.pix, n: 1, w: p.w, h: p.h, kind: f.kind})
	case f.kind == cifarFile:
		return dec.readCIFAR(io.LimitReader(f, l.lim.recordSize), emit)
	case f.kind == idxImages:
		return dec.readIDX(io.LimitReader(f, l.lim.recordSize), f.size, l.labels(name), l.lim, emit)
	case f.kind == idxLabels:
		return errQuiet
	case f.kind == zipFile, f.kind == tarFile:
		return skipf("an archive inside the source: name it itself, or unpack it")
	}
	return foreign(f.head)
}

// labels finds the labels that belong to an idx file of pictures; nil if there are none.
func (l *loader) labels(images string) []byte {
	for _, name := range labelNames(images) {
		r, err := l.src.sibling(name)
		if err != nil {
			continue
		}
		f, err := openFile(name, -1, func() (io.ReadCloser, error) { return r, nil })
		if err != nil {
			continue
		}
		labels := readIDXLabels(f)
		f.Close()
		if labels != nil {
			return labels
		}
	}
	return nil
}
